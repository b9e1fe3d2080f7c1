"""A run in Weights & Biases: offline, in the run folder, unless told otherwise."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from seqlab.runs import Run
from seqlab.training.trackers import Logged, Tracker, settings_of

#: The axis of all scores, by the name that Lightning's users know.
STEP = "trainer/global_step"
#: Names and steps of what was logged, so that a run that is taken up logs nothing twice.
LOGGED_FILE = "logged.csv"


class Wandb(Tracker):
    """Settings, scores by step, and how the run ended.

    All of it is in the run's own folder: one part below ``wandb`` each time the run is taken up, with the same id.
    ``wandb sync RUN/wandb/offline-run-*`` sends the parts in their order.

    Args:
        run: that is followed.
        project: the project of Weights & Biases' that the run belongs to.
        mode: "offline" sends nothing; "online" does.
        entity: the account or team; None is one's own.
        tags: of one's own.
    """

    package = "wandb"

    def __init__(
        self,
        run: Run,
        project: str,
        mode: Literal["offline", "online"] = "offline",
        entity: str | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        super().__init__(run)
        self.project, self.mode, self.entity, self.tags = project, mode, entity, list(tags)
        self.file = run.folder / "wandb" / LOGGED_FILE
        self.part: Any = None

    def known(self) -> str | None:
        """Return the id under which this run was followed before; None if it was not."""
        files = sorted(self.run.folder.glob("wandb/*run-*/run-*.wandb"))
        return files[0].stem.removeprefix("run-") if files else None

    def begin(self) -> Logged:
        """Begin a part with the run's id, or a new one; return the scores in its earlier parts."""
        import wandb

        known, home = self.known(), self.run.folder / "wandb"
        with _environment(WANDB_CACHE_DIR=str(home / "cache")):
            self.part = wandb.init(
                project=self.project,
                entity=self.entity,
                mode=self.mode,
                dir=str(self.run.folder),
                id=known,
                resume="allow" if known else None,
                name=self.version,
                group=self.run.folder.absolute().parent.name,
                tags=self.tags,
                config=settings_of(self.run),
                reinit="create_new",  # another run that this process follows stays as it is
                settings=wandb.Settings(silent=True, console="off"),
            )
        self.part.define_metric("*", step_metric=STEP)
        return self._logged()

    def _logged(self) -> Logged:
        """Return the scores of the earlier parts, of which wandb itself could tell only online."""
        if not self.file.exists():
            return set()
        with self.file.open(newline="", encoding="utf-8") as rows:
            return {(row[0], int(row[1])) for row in csv.reader(rows) if len(row) == 2}

    def send(self, metrics: Mapping[str, float], step: int) -> None:
        """Log scores of a step."""
        self.part.log({**metrics, STEP: step})
        with self.file.open("a", newline="", encoding="utf-8") as rows:
            csv.writer(rows).writerows([name, step] for name in metrics)

    def end(self, run: Run) -> None:
        """End this part."""
        self.part.finish(exit_code=0 if run.status == "completed" else 1)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set variables, unless they are set, for the length of the block."""
    ours = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
