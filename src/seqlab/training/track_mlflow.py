"""A run in an MLflow store: a database in the output folder, or a server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import filelock

from seqlab.runs import Run
from seqlab.runs.files import write_text
from seqlab.training.trackers import Logged, Tracker, settings_of

#: Which run of MLflow's follows a run is kept in the run folder.
ID_FILE = "mlflow_run_id"
#: Settings that MLflow takes at once, and characters of each.
SETTINGS, CHARACTERS = 100, 6000
STATUS = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MLflow(Tracker):
    """Settings as parameters, scores by step, and how the run ended.

    Args:
        run: that is followed.
        experiment_name: the experiment of MLflow's that the run belongs to.
        tracking_uri: of the store: ``sqlite:///outputs/mlflow.db``, or a server's.
        tags: of one's own.
    """

    package = "mlflow"

    def __init__(
        self, run: Run, experiment_name: str, tracking_uri: str, tags: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(run)
        self.experiment_name, self.uri, self.tags = experiment_name, tracking_uri, dict(tags or {})
        self.run_id = ""

    def known(self) -> str | None:
        """Return MLflow's id of this run; None if it was not followed before."""
        file = self.run.folder / ID_FILE
        return file.read_text(encoding="utf-8").strip() if file.exists() else None

    def begin(self) -> Logged:
        """Create MLflow's run, or go on with it; return the scores that it has."""
        from mlflow import MlflowClient

        if "MLFLOW_LOGGING_LEVEL" not in os.environ:
            logging.getLogger("mlflow").setLevel(logging.ERROR)  # how a database came about concerns nobody
        with self._turn():  # where the database is not there yet, this creates it
            self.client = MlflowClient(self.uri)
            return self._begun()

    def _begun(self) -> Logged:
        if (known := self.known()) is None:
            self._create()
            return set()
        self.run_id = known
        self.client.update_run(known, "RUNNING")
        names = self.client.get_run(known).data.metrics
        return {(score.key, score.step) for name in names for score in self.client.get_metric_history(known, name)}

    def _turn(self) -> AbstractContextManager[object]:
        """Wait for one's turn at a database that the jobs of a sweep write to at once; a server needs none."""
        path = self.uri.removeprefix("sqlite:///")
        if path == self.uri:
            return nullcontext()
        database = Path(path)
        return filelock.FileLock(database.with_name(f".{database.name}.lock"))

    def _create(self) -> None:
        from mlflow.entities import Param

        tags = {"mlflow.source.name": self.run.record["command"], "seqlab.folder": str(self.run.folder.absolute())}
        created = self.client.create_run(self._experiment(), tags={**tags, **self.tags}, run_name=self.version)
        self.run_id = created.info.run_id
        settings = [Param(key, str(value)[:CHARACTERS]) for key, value in settings_of(self.run).items()]
        for first in range(0, len(settings), SETTINGS):
            self.client.log_batch(self.run_id, params=settings[first : first + SETTINGS])
        write_text(self.run.folder / ID_FILE, self.run_id + "\n")

    def _experiment(self) -> str:
        """Return the experiment's id; another job of a sweep may be creating it just now."""
        from mlflow.exceptions import MlflowException

        if found := self.client.get_experiment_by_name(self.experiment_name):
            return str(found.experiment_id)
        try:
            return str(self.client.create_experiment(self.experiment_name))
        except MlflowException:
            if found := self.client.get_experiment_by_name(self.experiment_name):
                return str(found.experiment_id)
            raise

    def send(self, metrics: Mapping[str, float], step: int) -> None:
        """Log scores of a step."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        scores = [Metric(name, score, now, step) for name, score in metrics.items()]
        with self._turn():
            self.client.log_batch(self.run_id, metrics=scores)

    def end(self, run: Run) -> None:
        """Set the status."""
        with self._turn():
            self.client.set_terminated(self.run_id, STATUS[run.status])
