"""What the ledger keeps of a run: enough to judge it and to say how it came about, and nothing of where it lay.

One entry a run, as JSON has it. Older entries stay until the same run, or a newer one in the same place, is recorded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from seqlab.compare.facts import decides, facts, shown
from seqlab.compare.mixing import metric_info
from seqlab.errors import RequestError, RunError, did_you_mean
from seqlab.reproduce.preset import FOLD, PREFIX, Reproduction, Row, key_of, plain
from seqlab.runs import Run, find_runs
from seqlab.runs.files import write_text
from seqlab.runs.identity import GROUPS

FORMAT = 1
Entry = dict[str, Any]
#: Entries of the environment that say which machine it was, and nothing else of it.
HARDWARE = ("processor", "cores", "threads", "gpus")
#: Parts of an entry that many runs have alike; a file holds each once, under its hash.
SHARED = ("environment", "metric_info")


def entries_below(known: Mapping[str, Reproduction], folders: Sequence[str | Path]) -> list[Entry]:
    """Return an entry for each completed run below ``folders`` that belongs to a reproduction; of doubles the newest.

    One that was made while the experiment's yaml said something else is passed over.

    Args:
        known: the reproductions by name.
        folders: where to look.

    Raises:
        RequestError: a folder does not exist, or a run lacks a metric that its header names.
        RunError: a run's record is corrupt.
    """
    found = []
    for run in find_runs(*folders):
        prefix, _, name = str(run.record.get("name", "")).partition(PREFIX)
        if not prefix and name in known and run.status == "completed" and _is_of(known[name], run):
            found.append(entry(known[name], run))
    return merged([], found)


def entry(reproduction: Reproduction, run: Run) -> Entry:
    """Return what the ledger keeps of a run.

    Raises:
        RequestError: the run lacks a metric that the header names.
    """
    known, record = facts(run), run.record
    for name in reproduction.metrics:
        if name not in record["metrics"]:
            raise RequestError(
                f"The runs of {reproduction.name} have no metric {name!r}, which its header names."
                f"{did_you_mean(name, record['metrics'])}"
            )
    environment = record.get("environment") or {}
    hardware = environment.get("hardware") or {}
    git = environment.get("seqlab_git") or {}
    return {
        "experiment": reproduction.name,
        "row": dict(row_of(reproduction, run)),
        "seed": run.seed,
        "fold": known.get(FOLD),
        "folds": known.get("data.folds"),
        "metrics": {name: record["metrics"][name] for name in reproduction.metrics},
        "metric_info": {name: metric_info(run, name) for name in reproduction.metrics},
        "baselines": {k: v for k, v in record["baselines"].items() if k.partition("/")[2] == reproduction.metrics[0]},
        "parameters": record.get("parameters"),
        "seconds": (record.get("seconds") or {}).get("total"),
        "finished": record.get("finished", ""),
        "hash": record.get("hash", ""),
        "settings": reproduction.digest,
        "files": _hashes(reproduction.files, known.get("data.path")),
        "path_given": any(key_of(word) == "data.path" for word in record.get("overrides") or []),
        "environment": {
            "versions": environment.get("versions") or {},
            "hardware": {key: hardware.get(key) for key in HARDWARE},
            "seqlab_git": {"commit": git.get("commit"), "dirty": git.get("dirty")},
        },
    }


def _is_of(reproduction: Reproduction, run: Run) -> bool:
    """Return whether a run has every setting of the experiment that its command line did not replace."""
    typed = {key_of(word) for word in run.record.get("overrides") or []}
    own = facts(run)
    return all(
        key in own and plain(str(own[key])) == value for key, value in reproduction.settings.items() if key not in typed
    )


def current(known: Mapping[str, Reproduction], entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries without those that were made before a setting of their experiment changed."""
    return [e for e in entries if e["experiment"] not in known or e.get("settings") == known[e["experiment"]].digest]


def row_of(reproduction: Reproduction, run: Run) -> Row:
    """Return a run's row: its values of the keys in ``runs``, then whatever else was asked that can change a result."""
    known = facts(run)
    typed = {key_of(word): word.partition("=")[2] for word in run.record.get("overrides") or []}
    row = {key: plain(shown(known[key]) if key in known else typed.get(key, "")) for key in reproduction.keys}
    others = {k: plain(v) for k, v in typed.items() if _changes_results(k, v) and k not in reproduction.over}
    return (*row.items(), *sorted((k, v) for k, v in others.items() if k not in row))


def _changes_results(key: str, value: str) -> bool:
    if "." in key:
        return decides(key)
    return key in GROUPS or key == "ckpt" or (key == "trainer" and value != "cpu")


def _hashes(files: Sequence[str], path: object) -> dict[str, str]:
    """Return the SHA-256 of each public file that lies at ``path``, where it still does."""
    if not isinstance(path, str):
        return {}
    at = Path(path)
    places = {file: at / file if at.is_dir() else at if len(files) == 1 else at.with_name(file) for file in files}
    return {file: _sha256(place) for file, place in places.items() if place.is_file()}


@cache
def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def merged(kept: Iterable[Entry], new: Iterable[Entry]) -> list[Entry]:
    """Return all entries, sorted: new ones in place of kept ones of the same run, and the newest of each replicate.

    Where a row's settings changed (its runs' hash), what was recorded with the older ones is left out.
    """
    runs = {(e["experiment"], e["hash"], *_replicate(e)): e for e in [*kept, *new]}
    by_age = sorted(runs.values(), key=lambda e: (e["finished"], e["hash"]))
    newest = {_replicate(e): e for e in by_age}
    settings = {_replicate(e)[:-1]: e["hash"] for e in by_age}
    return sorted((e for e in newest.values() if e["hash"] == settings[_replicate(e)[:-1]]), key=_order)


def _replicate(of: Entry) -> tuple[Any, ...]:
    return of["experiment"], tuple(of["row"].items()), of["fold"], of["seed"]


def _order(of: Entry) -> tuple[Any, ...]:
    return of["experiment"], json.dumps(of["row"]), -1 if of["fold"] is None else of["fold"], of["seed"]


def as_run(of: Entry) -> Run:
    """Return an entry in the form that comparisons take: a run without a folder."""
    data = {"fold": of["fold"], "folds": of["folds"]}
    parts = {"config": {"seed": of["seed"], "data": data}, "seconds": {"total": of["seconds"]}}
    return Run(Path(of["experiment"]), {**of, **parts})


def read(file: Path) -> list[Entry]:
    """Return the entries that a file keeps; none where there is no file.

    Raises:
        RunError: it can't be read.
    """
    if not file.exists():
        return []
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] > FORMAT:
            raise RunError(f"{file} has format {content['format']}; this seqlab reads up to {FORMAT}. Upgrade seqlab.")
        return [e | {key: content["shared"][e[key]] for key in SHARED} for e in content["runs"]]
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise RunError(
            f"{file} is no record of reproductions ({type(error).__name__}: {error}). Restore it."
        ) from error


def write(file: Path, entries: Sequence[Entry]) -> None:
    """Write entries as JSON, a line each."""
    shared = {_digest(e[key]): e[key] for e in entries for key in SHARED}
    runs = [json.dumps(e | {key: _digest(e[key]) for key in SHARED}, allow_nan=False) for e in entries]
    values = [f'"{digest}": {json.dumps(shared[digest])}' for digest in sorted(shared)]
    text = '{{"format": {},\n"shared": {{\n{}\n}},\n"runs": [\n{}\n]}}\n'
    write_text(file, text.format(FORMAT, ",\n".join(values), ",\n".join(runs)))


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
