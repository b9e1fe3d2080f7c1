"""What a run is, as flat facts: by these keys runs are grouped, labelled and checked against each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seqlab.errors import RequestError, did_you_mean
from seqlab.runs import Run
from seqlab.runs.identity import GROUPS, PLACE_KEYS, SHOW_KEYS

Facts = dict[str, Any]


def facts(run: Run) -> Facts:
    """Return a run's choices (``cell``) and its config's leaves (``model.num_layers``) in one flat mapping."""
    return {**leaves(run.config), **run.choices}


def leaves(node: Mapping[str, Any], prefix: str = "") -> Facts:
    """Return each value of nested mappings under its dotted key."""
    found: Facts = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def decides(key: str) -> bool:
    """Return whether a fact can change a result, and is neither the seed nor a choice's name."""
    group, _, name = key.partition(".")
    if not name:
        return False
    if group == "trainer":
        return name.partition(".")[0] not in SHOW_KEYS
    return group in GROUPS and not (group == "data" and name in PLACE_KEYS)


def is_data(key: str) -> bool:
    """Return whether a fact names or describes the data."""
    return key == "data" or key.startswith("data.")


def frozen(value: Any) -> str:
    """Return a text that is equal for equal values: lists are not hashable, and 1 equals 1.0."""
    return json.dumps(float(value) if isinstance(value, int) and not isinstance(value, bool) else value, default=str)


def shown(value: Any) -> str:
    """Return a fact's value as a person would write it on the command line."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def varying(of: Sequence[Facts], keys: Iterable[str] | None = None) -> list[str]:
    """Return the keys whose values are not the same in all of ``of``, sorted; a missing key is a value too."""
    names = set().union(*of) if keys is None else keys
    return sorted(k for k in names if len({frozen(f.get(k, "missing")) for f in of}) > 1)


def check_keys(asked: Iterable[str], runs: Sequence[Facts], option: str) -> None:
    """Refuse a key that no run has.

    Raises:
        RequestError: with the nearest key that exists.
    """
    known = set().union(*runs)
    for key in asked:
        if key not in known:
            raise RequestError(f"{option}: no run has a key {key!r}.{_nearest(key, known)}")


def _nearest(key: str, known: set[str]) -> str:
    # Of hundreds of keys only those of the same group are worth listing.
    group = {k for k in known if k.partition(".")[0] == key.partition(".")[0] and "." in k}
    return did_you_mean(key, group or {k for k in known if "." not in k})
