"""States of whole models: tuples of tensors, nested by layer and direction, the batch first in every tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

#: Tensors (B, ...) in tuples of tuples: a layer's state, a pair where bidirectional, a tuple of those for a stack.
NestedState: TypeAlias = "Tensor | tuple[NestedState, ...]"


def map_state(function: Callable[..., Tensor], state: NestedState, *others: NestedState) -> NestedState:
    """Return ``function`` of every tensor of ``state`` (and of those at the same place in ``others``)."""
    if isinstance(state, Tensor):
        return function(state, *others)
    return tuple(map_state(function, *parts) for parts in zip(state, *others, strict=True))


def leaves(state: NestedState) -> list[Tensor]:
    """Return every tensor of ``state``, in order."""
    return [state] if isinstance(state, Tensor) else [leaf for part in state for leaf in leaves(part)]


def size_of(state: NestedState) -> int:
    """Return the real numbers a sequence has in ``state`` (a complex one counts twice)."""
    return sum(s[0].numel() * (2 if s.is_complex() else 1) for s in leaves(state))


class LearnedState(nn.Module):
    """An initial state that is trained; it starts as the cell's own.

    Tensors that can't be trained (counters, infinities that mark "nothing yet", empty tails) stay what they are.

    Args:
        template: the cell's own initial state for one sequence, tensors (1, ...).
    """

    def __init__(self, template: NestedState) -> None:
        super().__init__()
        # Only its nesting and kinds of number are kept; the meta device holds no values.
        self.template = map_state(lambda leaf: leaf.detach().to("meta"), template)
        self.start = nn.ParameterList(_parameter(leaf) for leaf in leaves(template))

    def forward(self, batch_size: int) -> NestedState:
        """Return the state for ``batch_size`` sequences."""
        parameters = iter(self.start)

        def leaf(like: Tensor) -> Tensor:
            start = next(parameters)
            start = torch.view_as_complex(start) if like.is_complex() else start
            return start.expand(batch_size, *start.shape[1:])

        return map_state(leaf, self.template)


def _parameter(leaf: Tensor) -> nn.Parameter:
    """Return the tensor as a parameter; a complex one as real pairs, which every optimiser takes."""
    leaf = (torch.view_as_real(leaf) if leaf.is_complex() else leaf).detach().clone()
    trained = leaf.is_floating_point() and leaf.numel() > 0 and bool(leaf.isfinite().all())
    return nn.Parameter(leaf, requires_grad=trained)
