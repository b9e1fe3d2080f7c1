"""The contract of a recurrent cell: one step of a recurrence, and how it runs over time.

A cell's own file holds its equations (``project`` and ``step``) and its initialisation. Time, padding, layers and
direction live elsewhere: ``unroll`` belongs to the cell's family (one file each), layers and direction to seqlab.nn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from seqlab.errors import RequestError, did_you_mean

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
        backends: the ways of running over time that can be forced; every one gives the same numbers.
        refuses: wrappers that the cell can't take, with the reason ("zoneout": "its states are one scaled triple").
        recurrent_weights: names of the parameters that multiply the state, which weight-drop drops from.
        gate_names: the equations' letters of the gates, in the order in which their sigmoids are formed.
        backend: the way that was asked for; "auto" chooses by device.
    """

    family: ClassVar[str]
    backends: ClassVar[tuple[str, ...]] = ("auto", "loop")
    refuses: ClassVar[Mapping[str, str]] = {}
    recurrent_weights: ClassVar[tuple[str, ...]] = ()
    gate_names: tuple[str, ...] = ()

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(size, int) or size < 1:
                raise RequestError(f"{name} must be a whole number of at least 1; got {size!r}.")
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.backend = "auto"

    def use_backend(self, name: str) -> None:
        """Force a way of running over time.

        Raises:
            RequestError: the cell has no such backend.
        """
        available = self.available_backends()
        if name not in available:
            raise RequestError(
                f"{type(self).__name__} with these arguments has no backend {name!r}; it has {', '.join(available)}."
                f"{did_you_mean(name, available)}"
            )
        self.backend = name

    def available_backends(self) -> tuple[str, ...]:
        """Return the backends that this cell's arguments leave open."""
        return self.backends

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first step, on the parameters' device and dtype: tensors (B, ...)."""

    @abstractmethod
    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
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

        Raises:
            RequestError: x is not (B, I).
        """
        if x.dim() != 2 or x.shape[1] != self.input_size:
            raise RequestError(f"x must be one step, (B, {self.input_size}); got {tuple(x.shape)}.")
        state = self.initial_state(x.shape[0]) if state is None else state
        pre, state = self.project(x.unsqueeze(1), state, None, aux)
        return self.step(tuple(p[:, 0] for p in pre), state)

    def __getstate__(self) -> dict[str, Any]:
        """Carry the optimiser hints along: torch copies and pickles a parameter without its attributes."""
        return {**self.__dict__, "_hints": param_hints(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy or a pickle, hints included."""
        hints = state.pop("_hints", {})
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        for name, settings in hints.items():
            hint(self.get_parameter(name), **settings)

    @property
    def state_size(self) -> int:
        """Return the real numbers in the state of one sequence (a complex one counts twice)."""
        return sum(s[0].numel() * (2 if s.is_complex() else 1) for s in self.initial_state(1))


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """Return (B, T) bool, True at the real steps: ``[[True, True, False]]`` for a length of 2 of 3."""
    return torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)


def per_row(row: Tensor, like: Tensor) -> Tensor:
    """Return ``row`` (B,) with trailing axes of size one, so that it broadcasts over ``like`` (B, ...)."""
    return row.reshape(-1, *[1] * (like.dim() - 1))


def hold(alive: Tensor, new: State, old: State) -> State:
    """Return the new state where a row is ``alive`` (B,) bool, and the old one where its sequence has ended."""
    return tuple(n if n is o else torch.where(per_row(alive, n), n, o) for n, o in zip(new, old, strict=True))


def zero_padding(y: Tensor, lengths: Tensor | None) -> Tensor:
    """Return y (B, T, ...) with zeros at the padded steps."""
    if lengths is None:
        return y
    alive = valid_steps(lengths, y.shape[1])
    return y.masked_fill(~alive.reshape(*alive.shape, *[1] * (y.dim() - 2)), 0)


def unroll_by_steps(
    cell: RecurrentCell,
    x: Tensor,
    state: State | None = None,
    lengths: Tensor | None = None,
    aux: Aux | None = None,
    **options: Any,
) -> tuple[Tensor, State]:
    """Run any cell over a sequence one ``step`` at a time: the reference that every faster way must equal.

    Arguments and results are those of ``RecurrentCell.unroll``; ``options`` go to each ``step``.
    """
    state = cell.initial_state(x.shape[0]) if state is None else state
    pre, state = cell.project(x, state, lengths, aux)
    # Unbinding once keeps the backward pass linear in T; slicing pre[:, t] would make it quadratic.
    columns = zip(*(p.unbind(1) for p in pre), strict=True)
    alive = None if lengths is None else valid_steps(lengths, x.shape[1]).unbind(1)
    outputs = []
    for t, pre_t in enumerate(columns):
        y, new = cell.step(pre_t, state, **options)
        state = new if alive is None else hold(alive[t], new, state)
        outputs.append(y)
    return zero_padding(torch.stack(outputs, 1), lengths), state


def refuse_second_derivative() -> None:
    """Raise RequestError inside a hand-written backward pass of which a derivative is asked for (create_graph=True).

    Torch's ``once_differentiable`` lets a wrong zero through where the gradient that comes in is a constant.
    """
    if torch.is_grad_enabled():
        raise RequestError("The loop has no second derivative; run the cell with backend='steps', which has.")


def hint(parameter: nn.Parameter, **settings: float) -> nn.Parameter:
    """Mark a parameter for the optimiser and return it: ``hint(p, weight_decay=0.0, lr_scale=0.1)``.

    Args:
        parameter: the parameter; its attribute ``optim`` holds the settings.
        settings: ``weight_decay`` replaces the optimiser's; ``lr_scale`` multiplies its learning rate.
    """
    parameter.optim = settings  # type: ignore[attr-defined]
    return parameter


def param_hints(module: nn.Module) -> dict[str, dict[str, float]]:
    """Return the hints of a module's parameters by name; parameters without one are left out."""
    return {name: p.optim for name, p in module.named_parameters() if hasattr(p, "optim")}
