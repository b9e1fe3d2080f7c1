"""Where each job of a sweep stands, as its run folder tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqlab.errors import SeqlabError
from seqlab.runs import RECORD_FILE, Run
from seqlab.runs.lock import living_owner

#: new: nothing was done yet. interrupted: begun, and nobody works on it. The others are as in run.json.
Status = Literal["new", "running", "interrupted", "failed", "completed"]

#: Errors of runs that a person or a scheduler interrupted.
ASKED_TO_LEAVE = ("Ctrl-C", "SIGTERM")


@dataclass(frozen=True)
class State:
    """A job's standing.

    Attributes:
        status: see ``Status``.
        run: its record; None before it has one, or where that can't be read.
        error: why it failed, or could not go on.
        written: when run.json was written (seconds since the epoch); 0 before.
    """

    status: Status
    run: Run | None = None
    error: str | None = None
    written: float = 0.0


def state_of(folder: Path) -> State:
    """Read a run folder."""
    try:
        written = (folder / RECORD_FILE).stat().st_mtime
        run = Run.load(folder)
    except OSError:
        return State("running" if living_owner(folder) else "new")
    except SeqlabError as error:
        gone = not (folder / RECORD_FILE).exists()  # set aside in between
        return State("new") if gone else State("failed", error=str(error), written=written)
    if run.status in ("completed", "failed"):
        return State(run.status, run, run.error, written)
    if run.status == "running" and living_owner(folder) is not None:
        return State("running", run, written=written)
    return State("interrupted", run, None if run.error in ASKED_TO_LEAVE else run.error, written)


class Watched:
    """A job's folder, read again only when its record has changed.

    Args:
        folder: the run folder.
        since: when this sweep began (seconds since the epoch).
        again: statuses that don't count if they are older than the sweep: failed where failures are retried, completed
            where runs are to be overwritten.
    """

    def __init__(self, folder: Path, since: float, again: Sequence[Status]) -> None:
        self.folder, self.since, self.again = folder, since, again
        self.state = state_of(folder)

    @property
    def done(self) -> bool:
        """Return whether nothing is left to do."""
        old = self.state.written <= self.since
        return self.state.status in ("completed", "failed") and not (old and self.state.status in self.again)

    def look(self) -> bool:
        """Read the folder again; return whether the job is newly done."""
        if self.done:
            return False
        try:
            unchanged = (self.folder / RECORD_FILE).stat().st_mtime == self.state.written
        except OSError:
            unchanged = False
        if not (unchanged and self.state.status in ("completed", "failed")):
            self.state = state_of(self.folder)
        return self.done
