"""An optimiser that ends its process, or hangs, as it is told."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch


class Adam(torch.optim.Adam):
    """torch's Adam; its second step is the last.

    Args:
        ending: "none", "error", "exit", "hang", or a signal's name.
    """

    def __init__(self, params: Any, ending: str = "none", **given: Any) -> None:
        super().__init__(params, **given)
        self.ending, self.steps = ending, 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        if self.steps == 2 and self.ending != "none":
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
