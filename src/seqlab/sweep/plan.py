"""What a sweep is asked to run: lists of values become jobs, each with the run folder it will live in."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from seqlab.errors import RequestError, RunError, SeqlabError
from seqlab.runs.files import write_text
from seqlab.sweep.processes import Child, stop

if TYPE_CHECKING:
    from seqlab.training.request import Request

PLANS_FOLDER = "sweeps"
#: Configs that can be composed in the time that torch takes to import; both take longer on a slower machine.
COMPOSED_MEANWHILE = 32


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        number: its place in the sweep, from 0.
        overrides: of the command line of a single run that is the same.
        label: what tells it from the others: ``cell=gru seed=1``.
        request: what is to be trained.
    """

    number: int
    overrides: tuple[str, ...]
    label: str
    request: Request = field(repr=False)

    @property
    def folder(self) -> Path:
        """Return the run folder."""
        return self.request.folder


def plan_jobs(context: HydraContext, arguments: Sequence[str], params: Mapping[str, Any], aside: bool) -> list[Job]:
    """Return the jobs of a sweep, checked.

    Args:
        context: of the Hydra that runs.
        arguments: the overrides as typed; they go before those of ``params``.
        params: lists of values from a preset, key to list.
        aside: whether to compose and check them in processes that have torch imported already.

    Raises:
        RequestError: no job, two jobs that are the same run, an interval, or a job that no run could be.
    """
    parser = OverridesParser.create(config_loader=context.config_loader)
    typed = parser.parse_overrides([*(f"{key}={_listed(value)}" for key, value in params.items()), *arguments])
    asked = combinations(typed)
    jobs: list[Job] = []
    for number, ((overrides, label), request) in enumerate(zip(asked, _requests(asked, aside), strict=True)):
        name = label or f"cell={request.choices.get('cell')} seed={request.config['seed']}"
        jobs.append(Job(number, tuple(overrides), name, request))
    _refuse_duplicates(jobs)
    return jobs


def _requests(asked: Sequence[tuple[list[str], str]], aside: bool) -> list[Request]:
    if not aside:
        return _settled(check_jobs(asked))
    todo = list(itertools.zip_longest(asked, _composed_meanwhile(asked)))
    parts = [part for part in (todo[::2], todo[1::2]) if part]
    children = [
        Child.start(functools.partial(check_jobs, *zip(*part, strict=True)), slot, {})
        for slot, part in enumerate(parts)
    ]
    try:
        answers = [child.result() for child in children]
    except BaseException:
        stop(children)
        raise
    return _settled([one for pair in itertools.zip_longest(*answers) for one in pair if one is not None])


def _composed_meanwhile(asked: Sequence[tuple[list[str], str]]) -> list[DictConfig]:
    """Compose the first jobs' configs while the server imports torch, which only their check needs.

    It ends at the first that can't be composed; who checks it says why.
    """
    from seqlab.training.request import compose_config

    composed: list[DictConfig] = []
    with contextlib.suppress(SeqlabError, HydraException, OmegaConfBaseException):
        for overrides, _ in asked[:COMPOSED_MEANWHILE]:
            composed.append(compose_config(overrides))
    return composed


def _settled(composed: Sequence[Request | SeqlabError]) -> list[Request]:
    requests = []
    for one in composed:
        if isinstance(one, SeqlabError):
            raise one
        requests.append(one)
    return requests


def check_jobs(
    asked: Sequence[tuple[list[str], str]], configs: Sequence[DictConfig | None] | None = None
) -> list[Request | SeqlabError]:
    """Return each job's request, or what is wrong with it.

    Args:
        asked: overrides and label of each.
        configs: those already composed.
    """
    from seqlab.training.complaints import in_house_style
    from seqlab.training.request import compose_config, make_request, register_resolvers

    register_resolvers()  # configs that were composed elsewhere use them
    fingerprints: dict[str, str] = {}
    checked: list[Request | SeqlabError] = []
    for (overrides, label), config in zip(asked, configs or [None] * len(asked), strict=True):
        try:
            with in_house_style():
                request = make_request(config or compose_config(overrides), overrides, fingerprints=fingerprints)
            checked.append(replace(request, folder=request.folder.absolute()))
        except RequestError as error:
            checked.append(RequestError(f"{label}: {error}" if label else str(error)))
        except SeqlabError as error:
            checked.append(error)
    return checked


def combinations(overrides: Iterable[Override]) -> list[tuple[list[str], str]]:
    """Return every combination of listed values as overrides, with the part that varies as a label.

    Settings of the sweep itself (``sweep.on_error``) are no part of a run and are left out.

    Raises:
        RequestError: a list is empty, or a sweep's own setting is a list.
    """
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if key.partition(".")[0].lstrip("+~") == "sweep":
            if override.is_sweep_override():
                raise RequestError(f"{override.input_line}: a setting of the sweep itself can't be a list.")
            continue
        values[key] = _values(override)
    varying = [key for key, options in values.items() if len(options) > 1]
    found = []
    for combination in itertools.product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        found.append((list(combination), " ".join(chosen[key] for key in varying)))
    return found


def _values(override: Override) -> list[str]:
    key, typed = override.get_key_element(), str(override.input_line)
    if not override.is_sweep_override():
        return [typed]
    if not override.is_discrete_sweep():
        raise RequestError(
            f"{typed}: an interval has no end of values, and this sweep tries every one."
            f" List them ({key}=a,b,c or 'range(...)')."
        )
    options = [f"{key}={value}" for value in override.sweep_string_iterator()]
    if not options:
        raise RequestError(f"{typed} names no value, so that the sweep would have no job. List at least one.")
    return options


def _listed(value: Any) -> str:
    """Return a preset's value as it would be typed: a YAML list becomes ``a,b,c``."""
    items = value if isinstance(value, list | tuple) else [value]
    return ",".join(str(item).lower() if isinstance(item, bool) else str(item) for item in items)


def _refuse_duplicates(jobs: Sequence[Job]) -> None:
    seen: dict[Path, Job] = {}
    for job in jobs:
        if (other := seen.setdefault(job.folder, job)) is not job:
            raise RequestError(
                f"Two jobs of the sweep are the same run: {shlex.join(other.overrides)!r} and"
                f" {shlex.join(job.overrides)!r} (both {job.folder}). Leave one out, or vary a key that can change"
                " the result."
            )


def root_of(jobs: Sequence[Job]) -> Path:
    """Return the folder that holds all runs of a sweep."""
    return Path(os.path.commonpath([job.folder.parents[1] for job in jobs]))


def write_plan(jobs: Sequence[Job], arguments: Sequence[str], code: str) -> Path:
    """Write down what was asked: one file a command, for people and programs to read; seqlab itself never reads it.

    Args:
        jobs: of the sweep.
        arguments: the overrides as typed.
        code: which seqlab planned it.

    Raises:
        RunError: the system refuses the file.
    """
    root = root_of(jobs)
    plan = {
        "command": shlex.join(["seqlab", "train", "-m", *arguments]),
        "code": code,
        "jobs": [{"folder": str(job.folder.relative_to(root)), "command": job.request.command} for job in jobs],
    }
    text = json.dumps(plan, indent=2) + "\n"
    asked = json.dumps([plan["command"], plan["jobs"]])
    file = root / PLANS_FOLDER / f"{hashlib.sha256(asked.encode()).hexdigest()[:8]}.json"
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, text)
    except OSError as error:
        raise RunError(f"The plan can't be written to {file}: {error.strerror or error}. See output_dir.") from error
    return file
