"""What a sweep shows while it runs: how many jobs are done, running and failed, and the time left."""

from __future__ import annotations

import datetime
import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from seqlab.runs import METRICS_FILE
from seqlab.sweep.plan import Job
from seqlab.sweep.state import State, Watched

#: Seconds between two looks; a long list of folders is looked at less often.
LOOK_SECONDS = 0.5


class Watch:
    """Looks at the run folders every half second and shows what changed, whoever changed it.

    In a terminal one line is kept up to date; elsewhere there is a line for each job that ends.

    Args:
        jobs: of the sweep.
        watched: the jobs' folders, in the same order.
        console: where to write.
        live: whether to keep a line up to date; not where jobs write to the same screen.
    """

    def __init__(self, jobs: Sequence[Job], watched: Sequence[Watched], console: Console, live: bool = True) -> None:
        self.jobs, self.watched, self.console = jobs, watched, console
        self.open = [(job, folder) for job, folder in zip(jobs, watched, strict=True) if not folder.done]
        self.total, self.began = len(jobs), time.time()
        self.width = max(len(job.label) for job in jobs)
        self.lock, self.over = threading.Lock(), threading.Event()
        self.progress = Progress(
            TextColumn("sweep"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
            transient=True,
            disable=not (live and console.is_terminal),
        )
        self.line = self.progress.add_task("", total=self.total, completed=self.total - len(self.open))
        self.thread = threading.Thread(target=self._run, daemon=True, name="seqlab-watch")

    def __enter__(self) -> Watch:
        self.progress.start()
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()
        if error is None:
            self.look()
        self.progress.stop()

    def look(self) -> None:
        """Look at every job that is not done, and show what is new."""
        with self.lock:
            ended = [(job, folder.state) for job, folder in self.open if folder.look()]
            self.open = [(job, folder) for job, folder in self.open if not folder.done]
            done = self.total - len(self.open)
            self.progress.update(self.line, completed=done, description=self._now())
            for number, (job, state) in enumerate(ended, done - len(ended) + 1):
                self.console.print(self._ended(number, job, state), markup=False, soft_wrap=True)
            self.progress.refresh()

    def _run(self) -> None:
        pause = max(LOOK_SECONDS, 0.005 * self.total)
        while not self.over.wait(pause):
            self.look()

    def _ended(self, number: int, job: Job, state: State) -> str:
        head = f"[{number:>{len(str(self.total))}}/{self.total}] {job.label:<{self.width}}"
        if state.status == "failed" or state.run is None:
            return f"{head}  failed: {first_line(state.error)}"
        monitor = state.run.record.get("monitor") or ""
        score = state.run.metrics.get(monitor, math.nan)
        return f"{head}  {monitor} {score:.4g}  {duration(state.run.seconds.get('total', 0.0))}"

    def _now(self) -> str:
        """Return the running jobs, and the time left as the ended ones and the epochs of the running ones tell it."""
        running = [(job, folder.state) for job, folder in self.open if folder.state.status == "running"]
        failed = Counter(folder.state.status for folder in self.watched if folder.done)["failed"]
        words = [f"{len(running)} running"] * bool(running) + [f"[red]{failed} failed[/]"] * (failed > 0)
        left = self._left([(job, state) for job, state in running if state.run is not None])
        return ", ".join(words + ([] if left is None else [f"about {duration(max(1, round(left)))} left"]))

    def _left(self, running: Sequence[tuple[Job, State]]) -> float | None:
        took = [f.state.run.seconds.get("total", 0.0) for f in self.watched if f.done and f.state.run is not None]
        took = [seconds for seconds in took if seconds > 0]
        passed = [(_seconds_since(state), _share(job, state)) for job, state in running]
        took += [seconds / share for seconds, share in passed if share > 0.1]
        if not took or not running:
            return None
        each = sum(took) / len(took)
        to_do = each * (len(self.open) - len(running)) + sum(max(0.0, each - seconds) for seconds, _ in passed)
        return to_do / len(running)


def _seconds_since(state: State) -> float:
    assert state.run is not None
    return time.time() - datetime.datetime.fromisoformat(state.run.record["started"]).timestamp()


def _share(job: Job, state: State) -> float:
    """Return how much of its epochs a running job has behind it; 0 where that can't be told."""
    epochs = job.request.config["trainer"].get("max_epochs")
    if not isinstance(epochs, int) or epochs < 1:
        return 0.0
    try:
        with (job.folder / METRICS_FILE).open(encoding="utf-8") as file:
            return max(0, sum(1 for _ in file) - 1) / epochs
    except OSError:
        return 0.0


def duration(seconds: float) -> str:
    """Return ``14 s``, ``3 min 20 s`` or ``5 h 3 min``."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def first_line(text: str | None) -> str:
    """Return the first line of an error."""
    return (text or "no reason was recorded").splitlines()[0]
