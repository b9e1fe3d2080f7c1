"""An optimiser that ends its process, or hangs, as it is told."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch


class Adam(torch.optim.Adam):
    """torch's Adam; at one of its steps it is over, unless SLURM has started the job again.

    Args:
        params: as torch's.
        ending: "none", "error", "exit", "hang", or a signal's name.
        at: which step.
        given: torch's own arguments.
    """

    def __init__(self, params: Any, ending: str = "none", at: int = 2, **given: Any) -> None:
        super().__init__(params, **given)
        self.ending, self.at, self.steps = ending, at, 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        if self.steps == self.at and self.ending != "none" and os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
            self.end()
        return super().step(closure)

    def end(self) -> None:
        if self.ending == "error":
            raise RuntimeError("this is the end")
        if self.ending == "exit":
            os._exit(5)
        if self.ending == "hang":
            time.sleep(600)
        os.kill(os.getpid(), getattr(signal, self.ending))
