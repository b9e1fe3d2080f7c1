"""Cells that note what passes: the state after every step, for its gradient, and how far the gates are open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from seqlab.cells import Aux, State, unroll_by_steps
from seqlab.cells._base import Pre, RecurrentCell
from seqlab.cells._gated import GatedCell
from seqlab.cells._wrappers import Mogrifier, Wrapper
from seqlab.nn.rnn import RNN

#: A gate is closed below the first value and open above the second.
CLOSED, OPEN = 0.1, 0.9


@dataclass
class Noted:
    """What a cell's first pass over a batch left behind.

    Attributes:
        hidden: h after each step, (B, ...); the first tensor of the state.
        memory: c after each step, (B, H), of gated cells whose step changes a second tensor (an LSTM's); else empty.
        lengths: (B,) real steps of each row.
        gates: gate to (values, closed ones, open ones), counted over units and real steps.
    """

    lengths: Tensor
    hidden: list[Tensor] = field(default_factory=list)
    memory: list[Tensor] = field(default_factory=list)
    gates: dict[str, Tensor] = field(default_factory=dict)


class Probe(Wrapper):
    """A cell that runs step by step and keeps every state in the graph, so that dL/dh_t can be asked for.

    A derivative with respect to a step's own state is the total one: through that step's output and through every later
    step. (That with respect to the output sequence of a kernel would be the first part alone.) Only the first pass is
    noted: a decoder that runs on from the last state is no part of the input.

    Args:
        cell: the cell, wrappers included.
    """

    def __init__(self, cell: RecurrentCell) -> None:
        super().__init__(cell, "probe")
        self.names = _gate_names(cell)
        self.noted: Noted | None = None
        self.ahead: list[Tensor] = []

    def take(self) -> Noted:
        """Return what was noted, and note the next pass."""
        assert self.noted is not None, "nothing has run yet"
        noted, self.noted = self.noted, None
        return noted

    def unroll(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        aux: Aux | None = None,
        **options: Any,
    ) -> tuple[Tensor, State]:
        """Run over a sequence step by step."""
        if self.noted is not None:
            return unroll_by_steps(self.cell, x, state, lengths, aux, **options)
        whole = torch.full((len(x),), x.shape[1], device=x.device)
        self.noted = Noted(whole if lengths is None else lengths)
        return unroll_by_steps(self, x, state, lengths, aux, **options)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return the inner cell's; gates of x alone that are formed here, for all steps, are kept for theirs."""
        with _Sigmoids() as sigmoids:
            projected = self.cell.project(x, state, lengths, aux)
        self.ahead = sigmoids.values
        return projected

    def step(self, pre: Pre, state: State, **options: Any) -> tuple[Tensor, State]:
        """Advance one step and note it."""
        assert self.noted is not None
        with _Sigmoids() as sigmoids:
            y, new = self.cell.step(pre, state, **options)
        self._count(self.noted, [*(values[:, len(self.noted.hidden)] for values in self.ahead), *sigmoids.values])
        changed = [after for after, before in zip(new, state, strict=True) if after is not before]
        self.noted.hidden.append(changed[0])
        if isinstance(self.innermost, GatedCell) and len(changed) > 1:
            self.noted.memory.append(changed[1])
        return y, new

    def _count(self, noted: Noted, values: list[Tensor]) -> None:
        """Count a step's gate values; what comes after the named gates (a candidate's sigmoid) is none."""
        if not self.names:
            return
        flat = torch.cat([v.flatten(1) for v in values], 1)[noted.lengths > len(noted.hidden)]
        units = min(self.hidden_size, flat.shape[1] // len(self.names))
        for name, gate in zip(self.names, torch.split(flat, units, 1), strict=False):
            counts = torch.stack([torch.ones_like(gate), gate < CLOSED, gate > OPEN]).sum((1, 2))
            noted.gates[name] = noted.gates.get(name, 0) + counts


class _Sigmoids(TorchFunctionMode):
    """Keeps the value of every sigmoid that is formed meanwhile, in order; one formed as its logarithm too."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.sigmoid, Tensor.sigmoid):
            self.values.append(result.detach())
        elif func is F.logsigmoid:
            self.values.append(result.detach().exp())
        return result


def _gate_names(cell: RecurrentCell) -> tuple[str, ...]:
    """Return the cell's; none under a Mogrifier, whose own gates would be taken for them."""
    while isinstance(cell, Wrapper) and not isinstance(cell, Mogrifier):
        cell = cell.cell
    return cell.gate_names


def put_probes(model: nn.Module) -> dict[str, Probe]:
    """Put a probe around every cell of a model, in place, and return them by name.

    Returns:
        ``layer 1``, ``layer 2`` and so on from the input up; where bidirectional, each is followed by
        ``layer 1, backward``, whose steps are in the order in which it reads them.
    """
    probes: dict[str, Probe] = {}
    for number, cells in enumerate(_layers(model), 1):
        for direction, cell in enumerate(cells):
            probe = cells[direction] = Probe(cast(RecurrentCell, cell))
            probes[f"layer {number}{', backward' * direction}"] = probe
    return probes


def _layers(model: nn.Module) -> Iterator[nn.ModuleList]:
    for rnn in list(model.modules()):
        if isinstance(rnn, RNN):
            yield from (cast(nn.ModuleList, cells) for cells in rnn.layers)
