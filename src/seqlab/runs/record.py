"""The record of a run: run.json, typed access to it, and finding runs below folders."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from seqlab.errors import RequestError, RunError
from seqlab.runs.files import write_text

RECORD_FILE = "run.json"
METRICS_FILE = "metrics.csv"
FLOW_FILE = "gradient_flow.json"
FORMAT = 1
Status = Literal["running", "completed", "failed", "interrupted"]
_REQUIRED = ("format", "status", "config", "metrics", "baselines")


@dataclass(frozen=True)
class Run:
    """A run's folder and its record.

    Attributes:
        folder: where the run lives.
        record: run.json, as read or as written last.
    """

    folder: Path
    record: dict[str, Any] = field(repr=False)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Run:
        """Read a run from its folder.

        Raises:
            RequestError: there is no run at ``folder``.
            RunError: its run.json can't be read as one.
        """
        path = Path(folder)
        file = path / RECORD_FILE
        if not file.is_file():
            below = [r.folder for r in find_runs(path)][:3] if path.is_dir() else []
            hint = (
                f" Runs below it: {', '.join(map(str, below))}." if below else " See `seqlab compare outputs` for runs."
            )
            what = f"has no {RECORD_FILE}" if path.is_dir() else "does not exist"
            raise RequestError(f"Expected a run folder; {path} {what}.{hint}")
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            missing = [key for key in _REQUIRED if key not in record]
        except (ValueError, TypeError, OSError) as error:
            raise RunError(
                f"{file} is corrupt ({error}). Run the same command with overwrite=true to start over."
            ) from error
        if missing:
            raise RunError(f"{file} lacks {', '.join(missing)}; it was not written by seqlab, or was changed by hand.")
        if record["format"] > FORMAT:
            raise RunError(f"{file} has format {record['format']}; this seqlab reads up to {FORMAT}. Upgrade seqlab.")
        return cls(path, record)

    def save(self) -> None:
        """Write run.json as a whole; every reader sees the old record or the new one."""
        write_text(self.folder / RECORD_FILE, json.dumps(_plain(self.record), indent=2, allow_nan=False) + "\n")

    def updated(self, **changes: Any) -> Run:
        """Return the run with some entries of its record changed."""
        return Run(self.folder, {**self.record, **changes})

    @property
    def status(self) -> Status:
        """Return running, completed, failed or interrupted."""
        status: Status = self.record["status"]
        return status

    @property
    def config(self) -> dict[str, Any]:
        """Return the resolved config."""
        return dict(self.record["config"])

    @property
    def choices(self) -> dict[str, str]:
        """Return the option chosen in each config group, ``{"cell": "gru", ...}``."""
        return dict(self.record.get("choices", {}))

    @property
    def metrics(self) -> dict[str, float]:
        """Return the scores at the best checkpoint, flat: ``{"test/mse": 0.004}``; NaN where undefined."""
        return {k: math.nan if v is None else float(v) for k, v in self.record["metrics"].items()}

    @property
    def baselines(self) -> dict[str, float]:
        """Return the trivial predictors' scores, flat: ``{"naive/test/mse": 0.089}``."""
        return {k: math.nan if v is None else float(v) for k, v in self.record["baselines"].items()}

    @property
    def seed(self) -> int:
        """Return the seed of everything but the split."""
        return int(self.record["config"].get("seed", 0))

    @property
    def parameters(self) -> int:
        """Return the number of trainable parameters, the embedding table left out."""
        return int(self.record.get("parameters") or 0)

    @property
    def seconds(self) -> dict[str, float]:
        """Return wall times: total, fit, and step (median of one optimiser step)."""
        return dict(self.record.get("seconds") or {})

    @property
    def data_fingerprint(self) -> str:
        """Return the SHA-256 of the data's source bytes and schema."""
        return str(self.record.get("data_fingerprint", ""))

    @property
    def error(self) -> str | None:
        """Return the message of a failed run."""
        return self.record.get("error")

    def lacks(self, config: Mapping[str, Any]) -> str | None:
        """Return in words what ``config`` asks for beyond the result and this run did not record; None for nothing."""
        asked = bool(config.get("diagnostics")) and not (self.folder / FLOW_FILE).exists()
        return "trained without the diagnostics asked for; overwrite=true trains it again" if asked else None


def find_runs(*folders: str | os.PathLike[str]) -> list[Run]:
    """Return every run at or below ``folders``, sorted by path; folders set aside (hidden ones) are passed over.

    Raises:
        RequestError: a folder does not exist.
        RunError: a run.json below is corrupt.
    """
    found: dict[Path, Run] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise RequestError(f"Expected a folder with runs; {folder} does not exist.")
        for where, below, files in os.walk(folder, followlinks=True):
            below[:] = sorted(d for d in below if not d.startswith(".") and d != "checkpoints")
            if RECORD_FILE in files:
                found.setdefault(Path(where).resolve(), Run.load(where))
                below[:] = []
    return [found[key] for key in sorted(found)]


def _plain(value: Any) -> Any:
    """Return ``value`` with everything JSON lacks replaced: NaN by null, infinities by words, paths by text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Path):
        return str(value)
    return value
