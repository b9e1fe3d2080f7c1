"""Attributes of modules that are set at every step or batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

_PLAIN = frozenset({Tensor, str, int, type(None)})


class PlainlySet(nn.Module):
    """A module that sets again at once what is a plain attribute already.

    torch looks each time for a parameter, a buffer and a module. Lightning notes every hook's name on its module, forty
    times a step, and a score replaces its states at every batch.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) in _PLAIN and name in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
