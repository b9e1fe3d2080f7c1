"""One owner a run folder: a lock with host, pid and heartbeat, taken over when its owner is dead."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from seqlab.errors import RunError

LOCK_FILE = ".lock"
OWNER_FILE = ".owner.json"
BEAT_SECONDS = 10.0
#: On another host, an owner that has not been heard of for this long is dead.
DEAD_SECONDS = 60.0


class Held(RunError):
    """Another living process owns the run folder."""


def owner(folder: Path) -> dict[str, Any] | None:
    """Return {host, pid, seconds since its last heartbeat} of who last owned the folder; None if nobody did."""
    file = folder / OWNER_FILE
    try:
        return {**json.loads(file.read_text()), "silent": time.time() - file.stat().st_mtime}
    except (OSError, ValueError):
        return None


def living_owner(folder: Path) -> dict[str, Any] | None:
    """Return the owner of ``folder`` if it seems alive, without touching the lock; None otherwise.

    Only ``owning`` knows for certain: a process that was halted looks dead after a while, and still holds the lock.
    """
    who = owner(folder)
    if who is None or who["silent"] > DEAD_SECONDS:
        return None
    return who if who.get("host") != platform.node() or _runs(who.get("pid", 0)) else None


def _runs(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


@contextlib.contextmanager
def owning(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Own ``folder`` for the length of the block.

    The operating system frees the lock when its owner dies, so a dead one on this host never stands in the way. A file
    system that does not carry locks between hosts is covered by the heartbeat.

    Args:
        folder: an existing run folder.
        wait: seconds to wait for a living owner; negative waits for ever.

    Raises:
        Held: somebody else owns it still.
        OSError: the folder can't be written.
    """
    lock = filelock.FileLock(folder / LOCK_FILE, timeout=wait)
    try:
        lock.acquire(poll_interval=0.2)
    except filelock.Timeout as error:
        raise Held(_held_message(folder)) from error
    with lock:
        _wait_for_silence(folder, wait)
        beat = _Heartbeat(folder / OWNER_FILE)
        try:
            yield
        finally:
            beat.stop()


def _wait_for_silence(folder: Path, wait: float) -> None:
    """Hold back while an owner on another host still beats."""
    began = time.monotonic()
    while True:
        other = owner(folder)
        if other is None or other.get("host") == platform.node() or other["silent"] > DEAD_SECONDS:
            return
        if 0 <= wait < time.monotonic() - began:
            raise Held(_held_message(folder))
        time.sleep(0.5)


def _held_message(folder: Path) -> str:
    who = owner(folder) or {}
    return (
        f"Another process works on {folder} (host {who.get('host', 'unknown')}, pid {who.get('pid', 'unknown')})."
        " Wait for it to end, or stop it; the same command then continues the run."
    )


class _Heartbeat(threading.Thread):
    """Touches the owner file every few seconds; removes it at the end."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True, name="seqlab-heartbeat")
        self.file = file
        self.ended = threading.Event()
        file.write_text(json.dumps({"host": platform.node(), "pid": os.getpid()}))
        self.start()

    def run(self) -> None:
        while not self.ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # the folder may have been deleted; training will say so
                os.utime(self.file)

    def stop(self) -> None:
        self.ended.set()
        self.join()
        with contextlib.suppress(OSError):
            self.file.unlink()
