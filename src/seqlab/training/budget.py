"""The same number of parameters for every cell: a model's width is solved from a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from seqlab.data import Spec
from seqlab.errors import RequestError
from seqlab.training.parts import BUDGET_KEY, make_task

#: How far from the budget a model may be before that is said.
TOLERANCE = 0.01
#: Widths between which a constructor takes one: heads and groups must divide it.
LARGEST_STEP = 128


def with_solved_width(config: Mapping[str, Any], spec: Spec) -> tuple[dict[str, Any], str | None]:
    """Return the config with the ``model.hidden_size`` that comes nearest to ``model.parameter_budget``.

    Trainable parameters are counted, the table of token vectors left out. Random states are left as they are.

    Args:
        config: the resolved config; without a budget it is returned as it is.
        spec: of the data, after ``setup``.

    Returns:
        The config, and in words how near it came; None without a budget.

    Raises:
        RequestError: the budget is no number of parameters, or even the smallest width exceeds it.
    """
    budget = config["model"].get(BUDGET_KEY)
    if budget is None:
        return dict(config), None
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise RequestError(f"model.{BUDGET_KEY} must be a number of parameters, or null; got {budget!r}.")

    def at(width: int) -> dict[str, Any]:
        return {**config, "model": {**config["model"], "hidden_size": width}}

    def count(width: int) -> int:
        return make_task(at(width), spec).model.num_parameters(embedding=False)

    with torch.random.fork_rng(devices=[]):
        width, found = nearest_width(count, budget)
    return at(width), _said(budget, width, found)


def nearest_width(count: Callable[[int], int], budget: int) -> tuple[int, int]:
    """Return the width whose count comes nearest to the budget, and the count.

    Args:
        count: parameters at a width, growing with it; raises RequestError for a width that a model refuses.
        budget: of parameters.

    Raises:
        RequestError: no width is accepted, or the smallest exceeds the budget by more than the tolerance.
    """
    step, least = _smallest(count)
    if least > budget * (1 + TOLERANCE):
        raise RequestError(
            f"model.{BUDGET_KEY}={budget} is less than this model has at its smallest width, {step}: {least:,}."
        )
    low, high, counts = 1, 2, {1: least}
    while counts.setdefault(high, count(high * step)) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if counts.setdefault(middle, count(middle * step)) <= budget else (low, middle)
    best = min((low, high), key=lambda steps: abs(counts[steps] - budget))
    return best * step, counts[best]


def _smallest(count: Callable[[int], int]) -> tuple[int, int]:
    """Return the smallest width of which the multiples are accepted, with its count."""
    refusal: RequestError | None = None
    for width in range(1, LARGEST_STEP + 1):
        try:
            least = count(width)
            for multiple in (2, 3):
                count(width * multiple)
        except RequestError as error:
            refusal = refusal or error
        else:
            return width, least
    assert refusal is not None
    raise refusal


def _said(budget: int, width: int, found: int) -> str:
    off = abs(found - budget) / budget
    near = f"{100 * off:.2g} % {'below' if found < budget else 'above'}" if found != budget else "exactly"
    said = f"hidden_size {width}: {found:,} parameters, {near} the budget of {budget:,}"
    return said if off <= TOLERANCE else f"{said}; no width comes nearer"
