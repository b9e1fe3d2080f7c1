"""Runs sorted into groups that differ only in their replicates (seeds, folds)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from seqlab.compare.facts import Facts, check_keys, decides, facts, frozen, is_data, shown, varying
from seqlab.compare.mixing import check_code, check_data
from seqlab.errors import RequestError
from seqlab.runs import Run

Unit = tuple[object, ...]


@dataclass(frozen=True)
class Group:
    """Runs of one experiment.

    Attributes:
        label: what sets it apart from the other groups: ``gru, num_layers=2``.
        facts: those of its first run.
        runs: sorted by replicate.
        units: the values of the ``over`` keys, one tuple a run.
    """

    label: str
    facts: Facts
    runs: tuple[Run, ...]
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class DataSet:
    """The groups that were tested on the same examples."""

    name: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class _Entry:
    run: Run
    facts: Facts


def data_sets(runs: Sequence[Run], by: Sequence[str], over: Sequence[str], mixed_code: bool) -> list[DataSet]:
    """Sort completed runs into data sets and groups.

    Args:
        runs: completed ones, at least one.
        by: keys to group by. Those of data separate data sets; without any other, a group is whatever is equal in all
            that can change a result.
        over: keys of the replicates.
        mixed_code: whether runs of different code may stand side by side.

    Raises:
        RequestError: an unknown key; runs that may not be compared; a replicate that occurs twice.
    """
    entries = [_Entry(run, facts(run)) for run in runs]
    check_keys(by, [e.facts for e in entries], "--by")
    check_keys(over, [e.facts for e in entries], "--over")
    if both := sorted(set(by) & set(over)):
        raise RequestError(f"{both[0]} is named in --by and in --over; a key either separates groups or repeats them.")
    if not mixed_code:
        check_code(runs)
    data_keys = [key for key in by if is_data(key)]
    group_keys = [key for key in by if not is_data(key)]
    parts = _partition(entries, data_keys)
    for part in parts:
        check_data([(e.run, e.facts) for e in part], over, data_keys)
    grouped = [_partition(part, group_keys or _deciding(part, over)) for part in parts]
    keys = group_keys or _label_keys(grouped, over)
    return [
        DataSet(_name(groups[0][0].facts, data_keys), tuple(_group(members, keys, over) for members in groups))
        for groups in grouped
    ]


def _partition(entries: Sequence[_Entry], keys: Sequence[str]) -> list[list[_Entry]]:
    parts: dict[tuple[str, ...], list[_Entry]] = {}
    for entry in entries:
        parts.setdefault(tuple(frozen(entry.facts.get(key, "missing")) for key in keys), []).append(entry)
    return list(parts.values())


def _deciding(entries: Sequence[_Entry], over: Sequence[str]) -> list[str]:
    """Return the keys that differ among runs and can change a result."""
    return [key for key in varying([e.facts for e in entries]) if decides(key) and key not in over]


def _label_keys(grouped: Sequence[Sequence[Sequence[_Entry]]], over: Sequence[str]) -> list[str]:
    """Return what tells groups apart: names of choices, then the fewest settings among groups of the same names."""
    firsts = [[members[0] for members in groups] for groups in grouped]
    choices = sorted({k for of in firsts for k in varying([e.facts for e in of]) if _is_choice(k, of)})
    settings = [
        key for of in firsts for same in _partition(of, choices) for key in _fewest(same, _deciding(same, over))
    ]
    return [*choices, *sorted(set(settings))] or ["cell"]


def _is_choice(key: str, entries: Sequence[_Entry]) -> bool:
    target = f"{key}._target_"
    return key == "experiment" or (decides(target) and any(target in e.facts for e in entries))


def _fewest(entries: Sequence[_Entry], keys: Sequence[str]) -> list[str]:
    chosen: list[str] = []
    while (apart := len(_partition(entries, chosen))) < len(entries):
        best = max(keys, key=lambda key: len(_partition(entries, [*chosen, key])))
        if len(_partition(entries, [*chosen, best])) == apart:
            return list(keys)  # no single key splits further; only together do they
        chosen.append(best)
    return chosen


def _name(of: Facts, keys: Sequence[str]) -> str:
    """Return the data's name, with the values of the other data keys that set it apart."""
    rest = [f"{key.removeprefix('data.')}={shown(of.get(key))}" for key in keys if key != "data"]
    return ", ".join([shown(of.get("data", "data")), *rest])


def _group(members: Sequence[_Entry], keys: Sequence[str], over: Sequence[str]) -> Group:
    label = _label(members[0].facts, keys)
    if differing := _deciding(members, over):
        first = differing[0]
        values = sorted({shown(e.facts.get(first, "missing")) for e in members})
        raise RequestError(
            f"The group {label} mixes runs that differ in {', '.join(differing[:4])}"
            f" ({first}: {', '.join(values[:4])}). Add {first} to --by to keep them apart, or name fewer folders."
        )
    units = [(tuple(e.facts.get(key) for key in over), e.run) for e in members]
    units.sort(key=lambda pair: [_sortable(value) for value in pair[0]])
    for (unit, before), (again, run) in itertools.pairwise(units):
        if unit == again:
            what = ", ".join(f"{key}={shown(value)}" for key, value in zip(over, unit, strict=True))
            raise RequestError(
                f"The group {label} has two runs with {what}: {before.folder} and {run.folder}."
                " A replicate counts once; name the folder of one of them."
            )
    return Group(label, members[0].facts, tuple(run for _, run in units), tuple(unit for unit, _ in units))


def _sortable(value: object) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return (not number, float(value) if isinstance(value, int | float) else 0.0, str(value))


def _label(of: Facts, keys: Sequence[str]) -> str:
    last = Counter(key.rpartition(".")[2] for key in keys)
    parts = []
    for key in keys:
        name = key.rpartition(".")[2]
        value = shown(of[key]) if key in of else "-"
        parts.append(value if "." not in key else f"{name if last[name] == 1 else key}={value}")
    return ", ".join(parts) or "all runs"
