"""Experiment trackers (MLflow, Weights & Biases): they follow a run, go on with it, and hear how it ended.

Lightning's loggers of these begin anew when a run is taken up, log a second time what is computed again, and call a run
finished before it is scored; so these speak to the packages themselves.
"""

from __future__ import annotations

import logging
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, ClassVar

from lightning.pytorch.loggers import Logger

from seqlab.config import build, factory, resolve_class
from seqlab.errors import RequestError, RunError
from seqlab.runs import Run
from seqlab.training import screen

log = logging.getLogger("seqlab")
#: Unless a person has decided otherwise, the packages report nothing home and write nothing on the screen.
MANNERS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
}
#: Parts of a config that say nothing of the experiment.
LEFT_OUT = ("logger", "overwrite")
#: Names and steps of scores.
Logged = set[tuple[str, int]]


class Tracker(Logger):
    """A Lightning logger that leads to another package.

    Where it can't be begun the run fails, for nothing is lost yet; where it breaks later, that is said once and the run
    goes on without it.

    Args:
        run: that is followed.
    """

    #: The package, and the extra of seqlab that brings it.
    package: ClassVar[str]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run, self.begun, self.broken = run, False, False
        self.logged: Logged = set()

    @property
    def name(self) -> str:
        """Return which tracker it is."""
        return self.package

    @property
    def version(self) -> str:
        """Return the run's own name: ``gru-1a2b3c4d/seed-0``."""
        return "/".join(self.run.folder.absolute().parts[-2:])

    @property
    def experiment(self) -> None:
        """Begin: Lightning asks for this before the first step."""
        self._safely(lambda: None)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Take none from Lightning: the run's settings are logged when it begins."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scores, but none that was logged at this step before the run was interrupted."""
        at = step or 0
        fresh = {name: float(score) for name, score in metrics.items() if (name, at) not in self.logged}
        if fresh:
            self._safely(lambda: self.send(fresh, at))
            self.logged |= {(name, at) for name in fresh}

    def close(self, run: Run) -> None:
        """Log the scores at the best checkpoint, and how the run ended: completed, failed or interrupted."""
        if self.begun:
            self.log_metrics({f"best/{name}": score for name, score in run.metrics.items()}, run.record.get("steps"))
            self._safely(lambda: self.end(run))

    def _safely(self, act: Callable[[], None]) -> None:
        if self.broken:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the packages' advice about themselves
                if not self.begun:
                    self.logged |= self.begin()
                    self.begun = True
                act()
        except Exception as error:  # of whatever kind: the network's, a database's, the package's own
            first = (str(error).splitlines() or [type(error).__name__])[0]
            if not self.begun and self.known() is None:
                raise RunError(
                    f"logger.{self.package} can't be begun: {first}. Use logger=csv to train without it"
                    f" (pip install 'seqlab[{self.package}]' brings all that it needs)."
                ) from error
            self.broken = True
            log.exception("logger.%s broke.", self.package)
            screen.say(f"logger.{self.package} broke, and the run goes on without it: {first}")

    @abstractmethod
    def known(self) -> str | None:
        """Return the tracker's own id of this run; None if it was not followed before."""

    @abstractmethod
    def begin(self) -> Logged:
        """Begin, or go on with, the tracker's run; return what it was told already."""

    @abstractmethod
    def send(self, metrics: Mapping[str, float], step: int) -> None:
        """Log scores of a step."""

    @abstractmethod
    def end(self, run: Run) -> None:
        """Say how the run ended."""


@contextmanager
def followed(run: Run) -> Iterator[list[Tracker]]:
    """Give the trackers of a run, which hear if it is interrupted or fails; whoever completes it closes them.

    Args:
        run: with the logger group in its config.
    """
    nodes = {name: node for name, node in (run.config.get("logger") or {}).items() if is_tracker(node)}
    trackers = [build(node, Tracker, f"logger.{name}", run=run) for name, node in nodes.items()]
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    try:
        yield trackers
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        for tracker in trackers:
            tracker.close(run.updated(status="interrupted" if stopped else "failed"))
        raise


def is_tracker(node: Any) -> bool:
    """Return whether a node of the logger group is a tracker's."""
    target = node.get("_target_") if isinstance(node, Mapping) else None
    return isinstance(target, str) and issubclass(resolve_class(target, Logger), Tracker)


def check_trackers(loggers: Mapping[str, Any] | None) -> None:
    """Refuse trackers whose package is not installed, and options that they don't have.

    Args:
        loggers: the logger group.

    Raises:
        RequestError: with the command that installs it.
    """
    for name, node in (loggers or {}).items():
        if is_tracker(node):
            factory(node, Tracker, f"logger.{name}")
            package = resolve_class(node["_target_"], Tracker).package
            if find_spec(package) is None:
                raise RequestError(f"logger.{name} needs a further package: pip install 'seqlab[{package}]'.")


def settings_of(run: Run) -> dict[str, Any]:
    """Return what a run is made of, flat: ``{"cell": "gru", "model.hidden_size": 64, ...}``."""
    config = {key: value for key, value in run.config.items() if key not in LEFT_OUT}
    return {**_flat(config), **run.choices}


def _flat(node: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found
