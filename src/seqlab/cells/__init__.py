"""Recurrent cells: one module a cell, one file a family for how it runs over time. Start at ``_base.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from seqlab import config
from seqlab.cells._base import Aux as Aux
from seqlab.cells._base import RecurrentCell as RecurrentCell
from seqlab.cells._base import State as State
from seqlab.cells._base import hint as hint
from seqlab.cells._base import param_hints as param_hints
from seqlab.cells._base import unroll_by_steps as unroll_by_steps
from seqlab.cells._wrappers import wrap as wrap
from seqlab.errors import RequestError

#: A cell by name, by class, or by anything that takes ``input_size=`` and ``hidden_size=`` and returns one.
CellLike: TypeAlias = str | Callable[..., RecurrentCell]


def make_cell(cell: CellLike, input_size: int, hidden_size: int) -> RecurrentCell:
    """Build one cell.

    Args:
        cell: a name of ``options("cell")``, a RecurrentCell class, or a callable that takes ``input_size`` and
            ``hidden_size`` by keyword (a ``functools.partial`` of a class, say).
        input_size: I.
        hidden_size: H.

    Raises:
        RequestError: there is no such cell, a size doesn't suit it, or the callable returned something else.
    """
    if isinstance(cell, str):
        node = config.load("cell", cell)
        return config.build(node, RecurrentCell, f"cell={cell}", input_size=input_size, hidden_size=hidden_size)
    if not callable(cell):
        raise RequestError(f"cell must be a name, a RecurrentCell class or a callable that returns one; got {cell!r}.")
    made = cell(input_size=input_size, hidden_size=hidden_size)
    if not isinstance(made, RecurrentCell):
        raise RequestError(f"cell {cell!r} must return a RecurrentCell; it returned {type(made).__name__}.")
    return made
