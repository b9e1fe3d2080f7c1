"""An optimiser that leaves a byte for every step it takes, so that steps lost to a kill can be counted too.

Used by chaos.py: ``optimizer._target_=counting.Adam`` with this folder on PYTHONPATH and SEQLAB_TRUST=counting.
"""

from __future__ import annotations

import os
from typing import Any

import torch


class Adam(torch.optim.Adam):
    """torch's Adam; each step appends one byte to the file named by CHAOS_STEPS."""

    def step(self, closure: Any = None) -> Any:
        file = os.open(os.environ["CHAOS_STEPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, b".")
        os.close(file)
        return super().step(closure)
