"""Recurrent cells: one module a cell, one file a family for how it runs over time. Start at ``_base.py``."""

from seqlab.cells._base import Aux as Aux
from seqlab.cells._base import RecurrentCell as RecurrentCell
from seqlab.cells._base import State as State
