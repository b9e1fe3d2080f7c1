"""What every stack of recurrent layers is to a model, and how one runs in chunks with the graph cut between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from seqlab.cells import Aux
from seqlab.nn._checks import check_count
from seqlab.nn.rnn import RNN
from seqlab.nn.state import NestedState, map_state, size_of

#: One tensor (B, T, D) a layer.
LayerOutputs = list[Tensor]
#: One state a layer.
LayerStates = tuple[NestedState, ...]


class Encoder(nn.Module, ABC):
    """Recurrent layers, one above the other.

    Args:
        input_size: I.
        bidirectional: whether each layer also runs backward.

    Attributes:
        output_size: D, features of what ``forward`` returns.
        directions: 1, or 2 where bidirectional.
        layers_read: how many layers' outputs lie side by side in D.
        mixed: whether each feature of the output has already seen every direction.
    """

    layers: nn.ModuleList

    def __init__(self, input_size: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, input_size
        self.directions = 2 if bidirectional else 1
        self.layers_read, self.mixed = 1, False

    @abstractmethod
    def run_layers(
        self, x: Tensor, state: LayerStates | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[LayerOutputs, LayerStates]:
        """Run every layer over x (B, T, I).

        Returns:
            Each layer's output, (B, T, .) with zeros at padded steps, and the state after each row's last real step.
        """

    @abstractmethod
    def initial_state(self, batch_size: int) -> LayerStates:
        """Return the state before the first step."""

    def read(self, outputs: LayerOutputs) -> Tensor:
        """Return what the layers above the encoder see: (B, T, D)."""
        return outputs[-1]

    def forward(
        self, x: Tensor, state: LayerStates | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Tensor, LayerStates]:
        """Run over x (B, T, I): y (B, T, D) and the state, as ``RNN`` returns them."""
        outputs, state = self.run_layers(x, state, lengths, aux)
        return self.read(outputs), state

    @property
    def state_size(self) -> int:
        """Return the real numbers in the cells' states of one sequence, over all layers and directions."""
        return sum(size_of(m.initial_state(1)) for m in self.modules() if isinstance(m, RNN))


def run_chunks(
    encoder: Encoder, x: Tensor, state: LayerStates, lengths: Tensor | None, aux: Aux | None, steps: int
) -> tuple[LayerOutputs, LayerStates]:
    """Run ``encoder`` over ``steps`` steps at a time; the state is carried on and the graph cut (truncated BPTT).

    Arguments and results are those of ``Encoder.run_layers``. A chunk that covers the sequence is full
    backpropagation through time.
    """
    check_count(1, tbptt=steps)
    chunks: list[LayerOutputs] = []
    for start in range(0, x.shape[1], steps):
        if start:
            state = cast(LayerStates, map_state(torch.Tensor.detach, state))
        here = slice(start, start + steps)
        chunk = None if aux is None else Aux(*(a if a is None else a[:, here] for a in aux))
        outputs, state = _run_alive(encoder, x[:, here], state, None if lengths is None else lengths - start, chunk)
        chunks.append(outputs)
    return [torch.cat(parts, 1) for parts in zip(*chunks, strict=True)], state


def _run_alive(
    encoder: Encoder, x: Tensor, state: LayerStates, left: Tensor | None, aux: Aux | None
) -> tuple[LayerOutputs, LayerStates]:
    """Run the rows that have steps ``left``; the others keep their state and return zeros."""
    if left is None or bool((left > 0).all()):
        return encoder.run_layers(x, state, left if left is None else left.clamp(max=x.shape[1]), aux)
    rows = (left > 0).nonzero().squeeze(1)

    def of_rows(whole: Tensor) -> Tensor:
        return whole[rows]

    def put_back(whole: Tensor, part: Tensor) -> Tensor:
        return whole.index_copy(0, rows, part.to(whole.dtype))

    part = cast(LayerStates, map_state(of_rows, state))
    some = None if aux is None else Aux(*(a if a is None else a[rows] for a in aux))
    outputs, after = encoder.run_layers(x[rows], part, left[rows].clamp(max=x.shape[1]), some)
    padded = [y.new_zeros(len(x), *y.shape[1:]).index_copy(0, rows, y) for y in outputs]
    return padded, cast(LayerStates, map_state(put_back, state, after))
