"""What a child process needs so that Ctrl-C can be tried on it."""

from __future__ import annotations

import signal


def hear_ctrl_c() -> None:
    """Undo what a shell does to the processes that it starts in the background: they would ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
