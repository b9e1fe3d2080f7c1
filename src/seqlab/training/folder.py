"""The folder of a run: made, found complete, set aside before a new start, or taken back."""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path

from seqlab.errors import RunError
from seqlab.runs import Run
from seqlab.runs.files import write_text
from seqlab.runs.lock import owning
from seqlab.runs.record import RECORD_FILE
from seqlab.training.checkpoints import FOLDER
from seqlab.training.guards import house_errors
from seqlab.training.request import Request
from seqlab.training.trainer import process_rank

log = logging.getLogger("seqlab")
HYDRA_FOLDER = ".hydra"


def completed_run(request: Request) -> Run | None:
    """Return the run if it is completed and must not be touched; set it aside if it is to start over."""
    if process_rank() != 0 or not (request.folder / RECORD_FILE).exists():
        return None
    if request.config.get("overwrite"):
        _set_aside(request.folder)
        request.config["overwrite"] = False  # once
        return None
    run = Run.load(request.folder)
    if run.status == "failed":
        _set_aside(request.folder, only="failed")
    return run if run.status == "completed" else None


def withdraw(run: Run) -> None:
    """Take back what a refused request wrote, so that nothing looks like a run; work of an earlier session stays."""
    if not (run.folder / FOLDER).exists():
        shutil.rmtree(run.folder)
        with contextlib.suppress(OSError):  # others live there too
            run.folder.parent.rmdir()
            run.folder.parent.parent.rmdir()


def _set_aside(folder: Path, only: str | None = None) -> None:
    """Rename a run folder to a hidden one beside it; nothing is deleted.

    Another process may have done so and begun anew since the status was read: with ``only`` it is read again.
    """
    with house_errors(), owning(folder):
        if only is not None and not ((folder / RECORD_FILE).exists() and Run.load(folder).status == only):
            return
        number = 1
        while (aside := folder.with_name(f".{folder.name}.{number}")).exists():
            number += 1
        folder.rename(aside)
    log.info("Moved the former run to %s.", aside)


def make_folder(request: Request) -> None:
    """Make the run's folder.

    Raises:
        RunError: the system refuses.
    """
    try:
        request.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"The run folder {request.folder} can't be made: {error.strerror or error}. See output_dir."
        ) from error


def write_hydra_files(request: Request) -> None:
    """Write Hydra's own files into the run's folder."""
    folder = request.folder / HYDRA_FOLDER
    folder.mkdir(exist_ok=True)
    for name, text in request.hydra_files.items():
        write_text(folder / name, text)
