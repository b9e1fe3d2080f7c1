"""RNN: torch.nn.LSTM's interface for any cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells import Aux, CellLike, State, make_cell, wrap
from seqlab.cells._base import RecurrentCell, valid_steps, zero_padding
from seqlab.config import check_arguments
from seqlab.errors import RequestError
from seqlab.nn._inputs import check_aux, check_features, check_finite, check_lengths, check_state
from seqlab.nn.state import map_state

#: One layer's state: the cell's, or (forward's, backward's) where bidirectional.
LayerState: TypeAlias = "State | tuple[State, State]"


class RNN(nn.Module):
    """Layers of one cell, each fed by the one below; batch first.

    Args:
        cell: a name of ``options("cell")``, a RecurrentCell class, or a callable that builds one.
        input_size: I.
        hidden_size: H, units a layer and direction.
        num_layers: layers, one above the other.
        dropout: share of each layer's output that is dropped, the last one's left alone.
        bidirectional: whether each layer also runs backward, each row reversed by its own length; its output is then
            [forward, backward].
        backend: how the cell runs over time; "auto" chooses by device.
        check_finite: whether to look for NaN and infinity in the input, which costs a pass over it.
        wrappers: ``zoneout``, ``variational_dropout``, ``weight_drop`` and ``mogrifier``; see ``seqlab.cells.wrap``.

    Attributes:
        output_size: O, features of the output: the cell's, times two where bidirectional.

    Raises:
        RequestError: there is no such cell, or an option doesn't suit it.
    """

    def __init__(
        self,
        cell: CellLike,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        backend: str = "auto",
        check_finite: bool = False,
        **wrappers: Any,
    ) -> None:
        super().__init__()
        if not isinstance(num_layers, int) or num_layers < 1:
            raise RequestError(f"num_layers must be a whole number of at least 1; got {num_layers!r}.")
        if not 0 <= dropout < 1:
            raise RequestError(f"dropout must be in [0, 1), the share that is dropped; got {dropout!r}.")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.check_finite = bidirectional, check_finite
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList()
        check_arguments("RNN", wrap, wrappers)
        size = input_size
        for _ in range(num_layers):
            cells = [wrap(make_cell(cell, size, hidden_size), **wrappers) for _ in range(1 + bidirectional)]
            for made in cells:
                made.use_backend(backend)
            self.layers.append(nn.ModuleList(cells))
            size = sum(made.output_size for made in cells)
        self.output_size = size

    def initial_state(self, batch_size: int) -> tuple[LayerState, ...]:
        """Return the state before the first step: one cell state a layer, a pair where bidirectional."""
        return tuple(self._nest([c.initial_state(batch_size) for c in cells]) for cells in self._cells())

    def forward(
        self,
        x: Tensor,
        state: Sequence[LayerState] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        aux: Aux | None = None,
    ) -> tuple[Tensor, tuple[LayerState, ...]]:
        """Run over a batch of sequences.

        Args:
            x: (B, T, I).
            state: as ``initial_state`` returns it; None starts afresh.
            lengths: (B,) whole numbers from 1 to T, the real steps of each row; None when all T are.
            aux: mask, delta and time of the input; layers above the first see the time alone.

        Returns:
            The last layer's output (B, T, O), zero at padded steps, and the state after each row's last real step.

        Raises:
            RequestError: a shape, a length, a state or an aux is not what it must be.
        """
        x, lengths, aux = self._check(x, lengths, aux)
        start = self.initial_state(x.shape[0])
        if state is not None:
            check_state(state, start)
            # A state from a region in mixed precision may be narrower than the parameters.
            start = cast("tuple[LayerState, ...]", map_state(lambda s, like: s.to(like.dtype), tuple(state), start))
        after = []
        for number, (cells, layer_state) in enumerate(zip(self._cells(), start, strict=True)):
            x = self.dropout(x) if number else x
            states = cast("tuple[State, ...]", layer_state if self.bidirectional else (layer_state,))
            y, new = cells[0].unroll(x, states[0], lengths, aux)
            news = [new]
            if self.bidirectional:
                back, new = cells[1].unroll(reverse(x, lengths), states[1], lengths, _reverse_aux(aux, lengths))
                y = torch.cat((y, reverse(back, lengths)), 2)
                news.append(new)
            x = y
            after.append(self._nest(news))
            aux = None if aux is None or aux.time is None else Aux(time=aux.time)
        return x, tuple(after)

    def _check(
        self, x: Tensor, lengths: Tensor | Sequence[int] | None, aux: Aux | None
    ) -> tuple[Tensor, Tensor | None, Aux | None]:
        """Return what came in, with zeros for whatever stands at padded steps."""
        check_features(x, self.input_size, next(self.parameters()))
        lengths = None if lengths is None else check_lengths(lengths, x)
        x = zero_padding(x, lengths)
        if self.check_finite:
            check_finite(x)
        if aux is not None:
            aux = check_aux(aux, x, lengths)
            for name, value in aux._asdict().items():
                if self.check_finite and value is not None:
                    check_finite(value, f"aux.{name}")
        return x, lengths, aux

    def _cells(self) -> list[list[RecurrentCell]]:
        return [[cast(RecurrentCell, c) for c in cast(nn.ModuleList, cells)] for cells in self.layers]

    def _nest(self, states: list[State]) -> LayerState:
        return (states[0], states[1]) if self.bidirectional else states[0]


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return x (B, T, ...) with each row's real steps in reverse order and its padding in place.

    A row ``[1, 2, 3, 0]`` of length 3 becomes ``[3, 2, 1, 0]``.
    """
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    index = torch.where(valid_steps(lengths, x.shape[1]), lengths.unsqueeze(1) - 1 - steps, steps)
    return x.gather(1, index.reshape(*index.shape, *[1] * (x.dim() - 2)).expand_as(x))


def _reverse_aux(aux: Aux | None, lengths: Tensor | None) -> Aux | None:
    """Return aux as the backward direction sees it: time runs from the end, and what was last observed came later."""
    if aux is None:
        return None
    mask, delta, time = (None if a is None else reverse(a, lengths) for a in aux)
    time = None if time is None else time[:, :1] - time
    return Aux(mask, delta if mask is None else _since_observed(mask, time), time)


def _since_observed(mask: Tensor, time: Tensor | None) -> Tensor:
    """Return (B, T, I), the time since each feature was last observed: one step before the first where it never was."""
    steps = torch.arange(mask.shape[1], device=mask.device)
    time = steps.to(mask.dtype).expand(mask.shape[:2]) if time is None else time
    last = torch.where(mask > 0.5, steps.unsqueeze(1), -1).cummax(1).values
    before = F.pad(last[:, :-1], (0, 0, 1, 0), value=-1)
    then = time.unsqueeze(2).expand_as(mask).gather(1, before.clamp(min=0)) - (before < 0).to(mask.dtype)
    return time.unsqueeze(2) - then
