"""The contract of a recurrent cell: one step of a recurrence, and how it runs over time.

A cell's own file holds its equations (``project`` and ``step``) and its initialisation. Time, padding, layers and
direction live elsewhere: ``unroll`` belongs to the cell's family (one file each), layers and direction to seqlab.nn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, TypeAlias

from torch import Tensor, nn

#: A cell's state: tensors with the batch first.
State: TypeAlias = tuple[Tensor, ...]
#: All input products of a sequence: tensors with batch and time first, (B, T, ...).
Pre: TypeAlias = tuple[Tensor, ...]


class Aux(NamedTuple):
    """What was observed and when; each optional (absent: everything observed, one step apart).

    Attributes:
        mask: (B, T, I), 1 where the feature was observed.
        delta: (B, T, I), time since the feature was last observed, in steps.
        time: (B, T), the time stamp of each step.
    """

    mask: Tensor | None = None
    delta: Tensor | None = None
    time: Tensor | None = None


class RecurrentCell(nn.Module, ABC):
    """One step of a recurrence.

    Args:
        input_size: I, features a step.
        hidden_size: H, units.

    Attributes:
        output_size: O, features of y; H for most cells.
        family: how the cell runs over time: native, gated, elementwise, linear or matrix.
    """

    family: ClassVar[str]

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first step, on the parameters' device and dtype: tensors (B, ...)."""

    @abstractmethod
    def project(self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None) -> tuple[Pre, State]:
        """Form all products with the input at once.

        Args:
            x: (B, T, I).
            state: the state before x. Whatever the projection itself carries over time (the tail of a convolution, a
                token shift) lives in it; what comes back holds the tail after each row's last real step.
            lengths: (B,), real steps of each row; None when all T are.
            aux: observation mask, time since observed, and time stamps.

        Returns:
            ``pre``, tensors (B, T, ...), and the state with its tails moved on and the rest untouched.
        """

    @abstractmethod
    def step(self, pre: Pre, state: State) -> tuple[Tensor, State]:
        """Advance one step; no product with x.

        Args:
            pre: the projection at one step, tensors (B, ...).
            state: the state before the step.

        Returns:
            y (B, O) and the state after the step.
        """

    @abstractmethod
    def unroll(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Tensor, State]:
        """Run over a sequence: y (B, T, O), zero at padded steps, and the state after each row's last real step."""

    def forward(self, x: Tensor, state: State | None = None, aux: Aux | None = None) -> tuple[Tensor, State]:
        """Advance one step by hand.

        Args:
            x: (B, I).
            state: the state before; None starts a sequence.
            aux: tensors with T = 1.

        Returns:
            y (B, O) and the state after.
        """
        state = self.initial_state(x.shape[0]) if state is None else state
        pre, state = self.project(x.unsqueeze(1), state, None, aux)
        return self.step(tuple(p[:, 0] for p in pre), state)

    @property
    def state_size(self) -> int:
        """Return the real numbers in the state of one sequence (a complex one counts twice)."""
        return sum(s[0].numel() * (2 if s.is_complex() else 1) for s in self.initial_state(1))
