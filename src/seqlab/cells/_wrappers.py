"""Wrappers around any cell: zoneout, variational dropout, weight-drop and the Mogrifier."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, RecurrentCell, State, unroll_by_steps
from seqlab.cells._gated import GatedCell
from seqlab.errors import RequestError


def wrap(
    cell: RecurrentCell,
    zoneout: float | Sequence[float] = 0.0,
    variational_dropout: float | Sequence[float] = 0.0,
    weight_drop: float = 0.0,
    mogrifier: int = 0,
) -> RecurrentCell:
    """Put the wrappers that are asked for around a cell, in the one order in which they combine.

    Args:
        cell: the cell.
        zoneout: share of units that keep their old state at a step; one number for all states, or one for each.
        variational_dropout: share dropped from the input and from h in the recurrent products, the same at every step
            of a sequence; one number for both, or (input, h).
        weight_drop: share of the recurrent weights that is dropped, the same for a whole forward pass.
        mogrifier: rounds in which input and h gate one another before each step.

    Raises:
        RequestError: a rate is outside [0, 1), or the cell can't take a wrapper; the message says why.
    """
    if mogrifier:
        cell = Mogrifier(cell, mogrifier)
    if _any(zoneout):
        cell = Zoneout(cell, zoneout)
    if _any(variational_dropout):
        cell = VariationalDropout(cell, *_rates("variational_dropout", variational_dropout, 2))
    return WeightDrop(cell, weight_drop) if weight_drop else cell


def _any(rate: float | Sequence[float] | None) -> bool:
    return any(rate) if isinstance(rate, Sequence) else bool(rate)


def _rates(key: str, rate: float | Sequence[float], count: int) -> list[float]:
    rates = list(rate) if isinstance(rate, Sequence) else [rate] * count
    if len(rates) != count or not all(0 <= r < 1 for r in rates):
        raise RequestError(f"{key} must be one share in [0, 1), or a list of {count} of them; got {rate!r}.")
    return rates


class Wrapper(RecurrentCell, ABC):
    """A cell around a cell; what a subclass doesn't change is the inner cell's.

    Args:
        cell: the inner cell.
        key: the wrapper's name, for messages and for the cell's ``refuses``.
    """

    family = "wrapper"

    def __init__(self, cell: RecurrentCell, key: str) -> None:
        super().__init__(cell.input_size, cell.hidden_size)
        self.cell, self.output_size = cell, cell.output_size
        if key in self.innermost.refuses:
            raise self.refusal(key, self.innermost.refuses[key])

    @property
    def innermost(self) -> RecurrentCell:
        """Return the cell under all wrappers."""
        return self.cell.innermost if isinstance(self.cell, Wrapper) else self.cell

    def refusal(self, key: str, reason: str) -> RequestError:
        """Return the error that says why the innermost cell can't take this wrapper."""
        return RequestError(f"{type(self.innermost).__name__} can't take {key}: {reason}. Leave {key} out.")

    def initial_state(self, batch_size: int) -> State:
        """Return the inner cell's."""
        return self.cell.initial_state(batch_size)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return the inner cell's."""
        return self.cell.project(x, state, lengths, aux)

    def step(self, pre: Pre, state: State, **options: Any) -> tuple[Tensor, State]:
        """Advance one step; ``options`` go to the inner cell."""
        return self.cell.step(pre, state, **options)

    def unroll(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        aux: Aux | None = None,
        **options: Any,
    ) -> tuple[Tensor, State]:
        """Run over a sequence step by step; wrappers that leave the steps alone have a faster way."""
        return unroll_by_steps(self, x, state, lengths, aux, **options)


class Zoneout(Wrapper):
    """Zoneout (Krueger et al. 2016, arXiv 1606.01305): s' = z * s + (1 - z) * s', z Bernoulli; its mean in evaluation.

    Args:
        cell: a cell whose output is one of its states.
        rates: share of units that keep their old value; one number, or one for each state tensor.
    """

    def __init__(self, cell: RecurrentCell, rates: float | Sequence[float]) -> None:
        super().__init__(cell, "zoneout")
        with torch.no_grad():
            y, states = cell(cell.initial_state(1)[0].new_zeros(1, self.input_size).real)
        if not any(y is s for s in states):
            raise self.refusal("zoneout", "its output is computed from its state, not one of its states")
        self.rates = _rates("zoneout", rates, len(states))

    def step(self, pre: Pre, state: State, **options: Any) -> tuple[Tensor, State]:
        """Advance one step and bring back a share of the old state."""
        y, new = self.cell.step(pre, state, **options)
        zoned = tuple(map(self._zone, new, state, self.rates))
        return next((z for z, n in zip(zoned, new, strict=True) if n is y), y), zoned

    def _zone(self, new: Tensor, old: Tensor, rate: float) -> Tensor:
        if new is old or not rate:
            return new
        if not self.training:
            return new + rate * (old - new)
        return torch.where(torch.rand(new.shape, device=new.device) < rate, old, new)


class VariationalDropout(Wrapper):
    """Variational dropout (Gal and Ghahramani 2016, arXiv 1512.05287): one mask a sequence, at every step the same.

    The mask on h acts inside the recurrent products alone, so that no cell's memory is erased. Carrying a state to a
    next chunk draws new masks.

    Args:
        cell: a cell; one of the gated families for a rate on h.
        input_rate: share of the input's features that is dropped.
        state_rate: share of h that is dropped.
    """

    def __init__(self, cell: RecurrentCell, input_rate: float, state_rate: float) -> None:
        super().__init__(cell, "variational_dropout")
        if state_rate and not isinstance(self.innermost, GatedCell):
            reason = (
                f"it has no recurrent product of h to drop from; variational_dropout=[{input_rate}, 0] leaves h alone"
            )
            raise self.refusal("variational_dropout on h", reason)
        self.input_rate, self.state_rate = input_rate, state_rate

    def use_backend(self, name: str) -> None:
        """Force the inner cell's way of running."""
        self.cell.use_backend(name)

    def available_backends(self) -> tuple[str, ...]:
        """Return the inner cell's."""
        return self.cell.available_backends()

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Project the masked input; the mask of h travels as the last projection."""
        pre, state = self.cell.project(self._drop_inputs(x), state, lengths, aux)
        mask = self._state_mask(state)
        return pre if mask is None else (*pre, mask.unsqueeze(1).expand(-1, x.shape[1], -1)), state

    def step(self, pre: Pre, state: State, **options: Any) -> tuple[Tensor, State]:
        """Advance one step, with h masked inside the recurrent products."""
        if self.training and self.state_rate:
            *inner, options["mask"] = pre
            return self.cell.step(tuple(inner), state, **options)
        return self.cell.step(pre, state, **options)

    def unroll(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        aux: Aux | None = None,
        **options: Any,
    ) -> tuple[Tensor, State]:
        """Run the inner cell over the masked input."""
        state = self.initial_state(x.shape[0]) if state is None else state
        mask = self._state_mask(state)
        if mask is not None:
            options["mask"] = mask
        return self.cell.unroll(self._drop_inputs(x), state, lengths, aux, **options)

    def _drop_inputs(self, x: Tensor) -> Tensor:
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.input_rate, self.training)

    def _state_mask(self, state: State) -> Tensor | None:
        return F.dropout(torch.ones_like(state[0]), self.state_rate) if self.training and self.state_rate else None


class WeightDrop(Wrapper):
    """Weight-drop (Merity et al. 2017, arXiv 1708.02182): DropConnect on recurrent weights, one mask a pass.

    Args:
        cell: a cell with recurrent weights.
        rate: share of the weights that is dropped; the rest grows by 1 / (1 - rate).
    """

    def __init__(self, cell: RecurrentCell, rate: float) -> None:
        super().__init__(cell, "weight_drop")
        if not self.innermost.recurrent_weights:
            raise self.refusal("weight_drop", "it has no recurrent weight matrix")
        (self.rate,) = _rates("weight_drop", rate, 1)

    def use_backend(self, name: str) -> None:
        """Force the inner cell's way of running."""
        self.cell.use_backend(name)

    def available_backends(self) -> tuple[str, ...]:
        """Return the inner cell's."""
        return self.cell.available_backends()

    def step(self, pre: Pre, state: State, **options: Any) -> tuple[Tensor, State]:
        """Advance one step by hand, with a mask of its own."""
        with self._dropped():
            return self.cell.step(pre, state, **options)

    def unroll(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        aux: Aux | None = None,
        **options: Any,
    ) -> tuple[Tensor, State]:
        """Run the inner cell with dropped weights."""
        with self._dropped():
            return self.cell.unroll(x, state, lengths, aux, **options)

    @contextmanager
    def _dropped(self) -> Iterator[None]:
        # The parameter keeps its place: leaving and re-entering the dict would reorder what an optimiser sees.
        owner, names = self.innermost._parameters, self.innermost.recurrent_weights if self.training else ()
        whole = {name: owner[name] for name in names}
        try:
            for name in names:
                owner[name] = F.dropout(whole[name], self.rate)  # type: ignore[assignment, arg-type]
            yield
        finally:
            owner.update(whole)


class Mogrifier(Wrapper):
    """Mogrifier (Melis, Kocisky, Blunsom 2020, arXiv 1909.01792): x and h gate one another before each step.

        x = 2 s(Q_i h) * x    for odd i
        h = 2 s(R_i x) * h    for even i

    Args:
        cell: a cell whose first state is a vector (B, H).
        rounds: r, the last i.
    """

    backends: ClassVar[tuple[str, ...]] = ("auto", "loop")

    def __init__(self, cell: RecurrentCell, rounds: int) -> None:
        super().__init__(cell, "mogrifier")
        if not isinstance(rounds, int) or rounds < 1:
            raise RequestError(f"mogrifier must be a whole number of rounds of at least 1; got {rounds!r}.")
        h = cell.initial_state(1)[0]
        if h.dim() != 2 or h.is_complex():
            raise self.refusal("mogrifier", "its first state is not a real vector that could gate the input")
        from_h, from_x = (h.shape[1], self.input_size), (self.input_size, h.shape[1])
        sizes = [from_x if number % 2 else from_h for number in range(rounds)]
        self.gates = nn.ModuleList(nn.Linear(given, gated, bias=False) for given, gated in sizes)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return the input itself: its products wait for h."""
        return (x,), state

    def step(self, pre: Pre, state: State, **options: Any) -> tuple[Tensor, State]:
        """Let x and h gate one another, then advance the inner cell."""
        (x,), (h, *others) = pre, state
        for number, gate in enumerate(self.gates):
            if number % 2 == 0:
                x = 2 * torch.sigmoid(gate(h)) * x
            else:
                h = 2 * torch.sigmoid(gate(x)) * h
        columns, state = self.cell.project(x.unsqueeze(1), (h, *others))
        return self.cell.step(tuple(c[:, 0] for c in columns), state, **options)
