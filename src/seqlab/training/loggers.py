"""metrics.csv: one row an epoch (or validation), appended, and taken up at the right row after an interruption."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from seqlab.errors import RunError
from seqlab.runs.files import write_text


class MetricsFile(Logger):
    """A Lightning logger that keeps one complete csv file whose rows are part of the run's state.

    Args:
        file: where the rows go.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.columns: list[str] = ["epoch", "step"]
        self.rows = 0
        self.pending: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Return a fixed name; the run folder is the identity."""
        return "csv"

    @property
    def version(self) -> str:
        """Return an empty version."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Leave hyper-parameters to run.json."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Gather what is logged at one step into one row."""
        if self.pending and self.pending["step"] != step:
            self._write()
        self.pending.update({"step": step, **metrics})
        if "train/loss" in metrics:  # comes last in an epoch
            self._write()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the row that is still being gathered."""
        self._write()

    def state_dict(self) -> dict[str, Any]:
        """Return columns and number of rows, for the checkpoint."""
        self._write()
        return {"columns": list(self.columns), "rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keep the first rows only: later ones are computed again."""
        self.columns, self.rows, self.pending = list(state["columns"]), state["rows"], {}
        self._keep()

    @rank_zero_only
    def _keep(self) -> None:
        if self.rows == 0:
            self.file.unlink(missing_ok=True)
            return
        if not self.file.exists():
            raise RunError(
                f"{self.file} is gone, and {self.rows} rows of it belong to the run. overwrite=true starts over."
            )
        with self.file.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        header = rows[0] if rows else self.columns
        kept = [dict(zip(header, row, strict=False)) for row in rows[1 : self.rows + 1]]
        write_text(self.file, self._format(kept, header=True))

    def _write(self) -> None:
        if not self.pending:
            return
        row, self.pending = self.pending, {}
        new = [name for name in row if name not in self.columns]
        if new or self.rows == 0:
            self.columns += sorted(new)
            self._widen(row)
        else:
            with self.file.open("a", newline="", encoding="utf-8") as file:
                file.write(self._format([row], header=False))
        self.rows += 1

    def _widen(self, row: Mapping[str, Any]) -> None:
        """Write the file anew with more columns; the rows so far stay."""
        kept: list[dict[str, Any]] = []
        if self.rows:
            with self.file.open(newline="", encoding="utf-8") as file:
                kept = list(csv.DictReader(file))[: self.rows]
        write_text(self.file, self._format([*kept, dict(row)], header=True))

    def _format(self, rows: list[Any], header: bool) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", extrasaction="ignore", lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
