"""How numbers and names are written for people; files for machines keep full precision."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seqlab.compare.comparison import Section


def decimals(section: Section) -> int:
    """Return the decimals at which the smallest spread in a table shows two digits, or else the scores four."""
    spreads = [row.estimate.sd for row in section.rows if row.estimate.sd > 0]
    sizes = [abs(row.estimate.mean) for row in section.rows if row.finite and row.estimate.mean]
    if not sizes:
        return 4
    four = 3 - math.floor(math.log10(min(sizes)))
    wanted = 1 - math.floor(math.log10(min(spreads))) if spreads else four
    return max(0, min(wanted, four + 3))


def fixed(value: float | None, digits: int) -> str:
    """Return a number with a fixed number of decimals; "-" where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with some significant digits; "-" where there is none."""
    if value is None or math.isnan(value):
        return "-"
    if value == 0 or 1e-4 <= abs(value) < 10**digits:
        return f"{value:.{digits}g}"
    return f"{value:,.0f}" if 1 <= abs(value) < 1e12 else f"{value:.{digits - 1}e}"


def p_value(value: float) -> str:
    """Return a p value to two digits."""
    return "-" if math.isnan(value) else "<.001" if value < 0.001 else f"{value:.2g}"


def reference_of(section: Section) -> str:
    """Return what the differences are to: a row's label as it is, a trivial predictor's name as words."""
    return word(section.reference) if section.reference in section.baselines else section.reference


def percent(share: float) -> str:
    """Return a share in percent: ``95 %``."""
    return f"{100 * share:.3g} %" if share < 0.1 or share > 0.9 else f"{100 * share:.0f} %"


def word(name: str) -> str:
    """Return a trivial predictor's name as words."""
    return name.replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def counted(n: int, over: Sequence[str]) -> str:
    """Return ``3 seeds``."""
    return f"{n} {replicate(over) if n == 1 else plural(over)}"


def replicate(over: Sequence[str]) -> str:
    """Return what repeats a run, as a word."""
    return "fold" if "data.fold" in over else "seed" if tuple(over) == ("seed",) else "replicate"


def plural(over: Sequence[str]) -> str:
    """Return what repeats a run, as a plural."""
    return replicate(over) + "s"
