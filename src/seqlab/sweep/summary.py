"""What a sweep says before its first job and after its last."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import psutil
from hydra.plugins.launcher import Launcher
from rich.console import Console

from seqlab.errors import RequestError
from seqlab.runs import Run
from seqlab.runs.environment import environment
from seqlab.sweep.launcher import LocalJobs
from seqlab.sweep.plan import Job, root_of
from seqlab.sweep.state import State, Watched
from seqlab.sweep.watch import duration, first_line


def code_of(run: Run) -> str:
    """Return the code that made a run."""
    from seqlab.compare.mixing import code_of as compared

    return compared(run)


def present_code() -> str:
    """Return the code that would make a run now, in the words of ``code_of``."""
    return code_of(Run(Path(), {"environment": environment()}))


def show_start(
    console: Console, jobs: Sequence[Job], watched: Sequence[Watched], plan: Path, code: str, launcher: Launcher
) -> None:
    """Say how many jobs there are, what is left of them, and where the plan lies."""
    done = [w.state for w in watched if w.done]
    counts = Counter(state.status for state in done)
    begun = sum(w.state.status == "interrupted" for w in watched)
    busy = sum(w.state.status == "running" for w in watched)
    left = len(jobs) - len(done)
    words = [
        f"{counts['completed']} completed" * bool(counts["completed"]),
        f"{counts['failed']} failed and left" * bool(counts["failed"]),
        f"{begun} to go on" * bool(begun),
        f"{busy} in other hands" * bool(busy),
        f"{left - begun - busy} to run" * bool(left - begun - busy),
    ]
    console.print(f"Sweep of {len(jobs)} run{'s' * (len(jobs) != 1)}: {', '.join(filter(None, words))}.", style="bold")
    how = f"{launcher.shares}; " if isinstance(launcher, LocalJobs) and left else ""
    console.print(f"  {how}plan in {plan}", style="dim", soft_wrap=True, markup=False)
    other = Counter(code_of(s.run) for s in done if s.run is not None and s.status == "completed")
    for made_by, number in other.items():
        if made_by != code:
            console.print(
                f"  {number} completed {'run was' if number == 1 else 'runs were'} made by {made_by}; this is {code}."
                f" {'It is' if number == 1 else 'They are'} kept; overwrite=true makes every run again.",
                soft_wrap=not console.is_terminal,
                markup=False,
            )
    for job, folder in zip(jobs, watched, strict=True):
        run = folder.state.run if folder.done else None
        if run is not None and run.status == "completed" and (lacking := run.lacks(job.request.config)):
            console.print(f"  {job.label} was {lacking}.", soft_wrap=True, markup=False)


def show_end(
    console: Console,
    jobs: Sequence[Job],
    states: Sequence[State],
    left: Mapping[int, str],
    mixed: bool,
    launcher: Launcher,
) -> None:
    """Show the table of results, then what did not complete and why, then where all of it lies.

    Args:
        console: where to write.
        jobs: of the sweep.
        states: where they stand.
        left: why jobs were left, by number, where their records don't say.
        mixed: whether the table may hold runs made by different code.
        launcher: that ran them.
    """
    completed = [s.run for s in states if s.status == "completed" and s.run is not None]
    if len(completed) > 1:
        console.print()
        console.print(_table(completed, console, mixed).rstrip(), markup=False, soft_wrap=True)
    missing = [(job, state) for job, state in zip(jobs, states, strict=True) if state.status != "completed"]
    if missing:
        console.print(f"\n{len(missing)} of {len(jobs)} runs did not complete:", style="bold")
    for job, state in missing:
        why = state.error or left.get(job.number) or "not started"
        console.print(f"  {job.label}: {first_line(why)}", markup=False, soft_wrap=True)
        if job.folder.exists():
            console.print(f"    {job.folder}", style="dim", markup=False, soft_wrap=True)
    console.print(f"\nRuns: {root_of(jobs)}{_time_taken(launcher)}", markup=False, soft_wrap=True)
    if len(completed) > 1:
        console.print(f"Next: seqlab compare {_short(root_of(jobs))}", style="dim", markup=False, soft_wrap=True)


def _time_taken(launcher: Launcher) -> str:
    """Return how long this process has lived, and how much of it passed before the first job."""
    if not isinstance(launcher, LocalJobs) or launcher.first_start is None:
        return ""
    born = psutil.Process().create_time()
    return f" ({duration(time.time() - born)}, {duration(launcher.first_start - born)} of it to start)"


def _table(runs: Sequence[Run], console: Console, mixed: bool) -> str:
    from seqlab.compare import compare
    from seqlab.compare.render import as_text

    width = console.width if console.is_terminal else 200
    try:
        comparison = compare(runs, allow_mixed_code=mixed)
    except RequestError as error:
        return fill(f"No table: {error}".replace("--allow-mixed-code", "sweep.allow_mixed_code=true"), width)
    return as_text(comparison, width=width, colour=console.is_terminal)


def _short(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
