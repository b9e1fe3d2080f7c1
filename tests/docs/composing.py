"""A command up to the point where it would read data or train: does every option, key and value of it exist?"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hydra.core.override_parser.types import Override

from seqlab.__main__ import main
from seqlab.cells import RecurrentCell
from seqlab.config import conf_dir, config_file, factory
from seqlab.data import SequenceData
from seqlab.nn import SequenceModel
from seqlab.sweep.plan import Job, combinations
from seqlab.training.parts import BUDGET_KEY
from seqlab.training.request import Request


class Composed(BaseException):
    """The command was understood; not an Exception, so that nothing on the way takes it for an error."""


def composes(words: Sequence[str]) -> bool:
    """Return whether a command is understood; RequestError says what is wrong, or it ends with a code."""
    with _stopped_before_work():
        try:
            code = main(words[1:])
        except Composed:
            return True
    return code == 0


@contextmanager
def _stopped_before_work() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQLAB_DEBUG", "1")  # errors come through
        patch.setattr("seqlab.training.request._fingerprint", _no_fingerprint)
        patch.setattr("seqlab.training.pipeline.run_request", _one)
        patch.setattr("seqlab.sweep.early.prepare", lambda arguments: None)
        patch.setattr("seqlab.sweep.sweeper.GridSweeper._has_server", lambda self: False)
        patch.setattr("seqlab.sweep.plan.combinations", _first)
        patch.setattr("seqlab.sweep.sweeper.check_launcher", lambda *given: None)  # asks what this machine has
        patch.setattr("seqlab.sweep.sweeper.GridSweeper._run", _all)
        for name in ("parse_args", "parse_intermixed_args"):
            patch.setattr(f"argparse.ArgumentParser.{name}", _parse_only(getattr(argparse.ArgumentParser, name)))
        yield


def _parse_only(parse: Callable[..., Any]) -> Callable[..., Any]:
    def parsed(self: argparse.ArgumentParser, *given: Any) -> Any:
        asked = parse(self, *given)
        if self.prog.startswith("seqlab "):  # a command's; Hydra has one, too
            raise Composed
        return asked

    return parsed


def _first(overrides: Iterable[Override]) -> list[tuple[list[str], str]]:
    """Return the first combination; of the others every option of a group must exist."""
    every = combinations(overrides)
    for group, name in {tuple(one.split("=", 1)) for typed, _ in every for one in typed if "=" in one}:
        if (conf_dir() / group).is_dir() and "/" not in group:
            config_file(group, name)
    return every[:1]


def _no_fingerprint(data: Mapping[str, Any], known: Mapping[str, str]) -> str:
    factory(data, SequenceData, "data")
    return "0" * 64


def _one(request: Request) -> NoReturn:
    _check(request)
    raise Composed


def _all(sweeper: Any, launcher: Any, jobs: Sequence[Job], *rest: Any) -> NoReturn:
    for job in jobs:
        _check(job.request)
    raise Composed


def _check(request: Request) -> None:
    """Check what ``make_request`` leaves to the building of the parts."""
    factory(request.config["cell"], RecurrentCell, "cell")
    model = {key: value for key, value in request.config["model"].items() if key != BUDGET_KEY}
    factory(model, SequenceModel, "model")
    assert not Path(request.folder).is_absolute() or request.folder.name.startswith("seed-")
