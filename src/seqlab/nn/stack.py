"""Layers of any cell, connected as deep recurrent networks have been: plain, residual, dense, highway."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqlab.cells import Aux, CellLike
from seqlab.nn._checks import check_choice, check_count, check_share
from seqlab.nn.encoder import Encoder, LayerOutputs, LayerStates
from seqlab.nn.rnn import RNN

Connection = Literal["plain", "residual", "dense", "highway"]
ReadOut = Literal["last", "every"]


class HighwayGate(nn.Module):
    """A gate between what a layer returns and what it was given: t * y + (1 - t) * x, t = sigmoid(W x + b).

    The bias starts at -1, so that a deep stack begins near the identity (Srivastava et al. 2015, arXiv 1505.00387,
    section 2.2).

    Args:
        size: H of both.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(size, size)
        nn.init.constant_(self.gate.bias, -1.0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the blend of a layer's input x and output y, (..., H) each."""
        return x.lerp(y, torch.sigmoid(self.gate(x)))


class Stack(Encoder):
    """One-layer RNNs, one above the other.

    With x_l what layer l is given and y_l its output after dropout, what it hands on is

    - plain: y_l;
    - residual: x_l + y_l (Wu et al. 2016, arXiv 1609.08144, section 3.1);
    - highway: t * y_l + (1 - t) * x_l, see HighwayGate;
    - dense: y_l, and every layer is given the input and all outputs below it (Ding et al. 2018, arXiv 1802.00889).

    Residual and highway begin at the second layer: the first brings the input to the layers' width.
    ``connection="plain"`` is ``RNN`` with the outputs of all its layers at hand.

    Args:
        cell: a name of ``options("cell")``, a RecurrentCell class, or a callable that builds one.
        input_size: I.
        hidden_size: H, units a layer and direction.
        num_layers: L.
        dropout: share of each layer's output that is dropped, the last one's left alone.
        bidirectional: whether each layer also runs backward; its output is then [forward, backward].
        connection: plain, residual, dense or highway.
        dropout_last: whether the last layer's output is dropped as well.
        read_out: ``last`` returns the last layer's output, ``every`` all layers' side by side (Graves 2013, section 2).
        cell_options: RNN's ``zoneout``, ``variational_dropout``, ``weight_drop``, ``mogrifier``, ``backend`` and
            ``check_finite``.

    Raises:
        RequestError: an option is not among those named here, or a number out of its range.
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
        connection: Connection = "plain",
        dropout_last: bool = False,
        read_out: ReadOut = "last",
        **cell_options: Any,
    ) -> None:
        super().__init__(input_size, bidirectional)
        check_count(1, **{"model.hidden_size": hidden_size, "model.num_layers": num_layers})
        check_share(**{"model.dropout": dropout})
        check_choice("model.connection", connection, ("plain", "residual", "dense", "highway"))
        check_choice("model.read_out", read_out, ("last", "every"))
        self.connection, self.read_out = connection, read_out
        self.layers, self.gates, self.drops = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        width = given = input_size
        for number in range(num_layers):
            layer = RNN(cell, given, hidden_size, bidirectional=bidirectional, **cell_options)
            width = layer.output_size
            given = given + width if connection == "dense" else width
            self.layers.append(layer)
            self.drops.append(nn.Dropout(dropout if dropout_last or number < num_layers - 1 else 0.0))
            if connection == "highway" and number:
                self.gates.append(HighwayGate(width))
        self.layers_read = num_layers if read_out == "every" else 1
        self.output_size = width * self.layers_read

    def initial_state(self, batch_size: int) -> LayerStates:
        """Return the state before the first step: one RNN state a layer."""
        return tuple(layer.initial_state(batch_size) for layer in self.layers)  # type: ignore[operator]

    def run_layers(
        self, x: Tensor, state: LayerStates | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[LayerOutputs, LayerStates]:
        """Run every layer over x (B, T, I); see ``Encoder.run_layers``."""
        state = self.initial_state(len(x)) if state is None else state
        outputs: LayerOutputs = []
        after = []
        for number, (layer, drop) in enumerate(zip(self.layers, self.drops, strict=True)):
            y, new = layer(x, state[number], lengths, aux)
            after.append(new)
            y = drop(y)
            if number and self.connection == "residual":
                y = x + y
            elif number and self.connection == "highway":
                y = self.gates[number - 1](x, y)
            outputs.append(y)
            x = torch.cat([x, y], -1) if self.connection == "dense" else y
            aux = later_aux(aux)
        return outputs, tuple(after)

    def read(self, outputs: LayerOutputs) -> Tensor:
        """Return the last layer's output, or all of them side by side: (B, T, D)."""
        return torch.cat(outputs, -1) if self.read_out == "every" else outputs[-1]


def later_aux(aux: Aux | None) -> Aux | None:
    """Return what still holds above the first layer: the time stamps, for the features are no longer the input's."""
    return None if aux is None or aux.time is None else Aux(time=aux.time)
