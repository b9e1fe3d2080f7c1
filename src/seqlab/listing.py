"""``seqlab list GROUP``: what a config group offers, read from the yaml files; cells are also measured."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from seqlab.config import add_search_path, conf_dir, header, is_reproduction, options, trust
from seqlab.errors import RequestError, did_you_mean

#: What people type for a group, beside its own name.
PLURALS = {"cells": "cell", "experiments": "experiment", "models": "model", "tasks": "task", "optimizers": "optimizer"}
PLURALS |= {"schedulers": "scheduler", "trainers": "trainer", "loggers": "logger", "sweeps": "sweep"}


def main(arguments: Sequence[str]) -> int:
    """Run ``seqlab list``."""
    parser = argparse.ArgumentParser("seqlab list", description="List what a config group offers.")
    parser.add_argument("group", nargs="?", help="cells, data, experiments, models, ... (none lists the groups)")
    parser.add_argument("--input-size", type=int, default=8, help="features a step, for the cells' sizes")
    parser.add_argument("--hidden-size", type=int, default=64, help="units, for the cells' sizes")
    parser.add_argument("--format", choices=("table", "json", "names"), default="table")
    parser.add_argument("--config-dir", action="append", default=[], help="look for more configs there")
    parser.add_argument("--trust", action="append", default=[], help="let configs name classes of this package")
    chosen = parser.parse_args(list(arguments))
    for package in chosen.trust:
        trust(package)
    for folder in chosen.config_dir:
        add_search_path(folder)
    groups = sorted(p.name for p in conf_dir().iterdir() if p.is_dir() and p.name != "hydra")
    if chosen.group is None:
        sys.stdout.write("groups: " + ", ".join(groups) + "\n")
        return 0
    group = PLURALS.get(chosen.group, chosen.group)
    if group not in groups:
        raise RequestError(f"There is no group {chosen.group!r}.{did_you_mean(chosen.group, [*groups, *PLURALS])}")
    rows = cell_rows(chosen.input_size, chosen.hidden_size) if group == "cell" else option_rows(group)
    _show(rows, chosen.format)
    return 0


def option_rows(group: str) -> list[dict[str, Any]]:
    """Return one row an option: its name and the fields of its first line, and whether `seqlab reproduce` takes it."""
    titles = {"experiment": ("expects", "takes")}.get(group, ("by", "source"))
    rows = []
    for name in options(group):
        fields = [*header(group, name), "", ""]
        row = {"name": name, "what it is": fields[0], titles[0]: fields[1], titles[1]: fields[2]}
        if group == "experiment":
            row["published"] = "yes" if is_reproduction(name) else ""
        rows.append(row)
    return rows


def cell_rows(input_size: int, hidden_size: int) -> list[dict[str, Any]]:
    """Return one row a cell: what it is, year, source, family, and its sizes at the given width."""
    from seqlab.cells import make_cell

    rows = []
    for name in options("cell"):
        what, authors, source = [*header("cell", name), "", "", ""][:3]
        cell = make_cell(name, input_size, hidden_size)
        year = re.search(r"\b(19|20)\d\d\b", authors)
        rows.append(
            {
                "name": name,
                "what it is": what,
                "year": int(year[0]) if year else None,
                "source": f"{authors[: year.start()].strip(' ,')}, {source}" if year else source,
                "family": cell.family,
                "state": cell.state_size,
                f"parameters ({input_size} -> {hidden_size})": sum(p.numel() for p in cell.parameters()),
            }
        )
    return rows


def _show(rows: list[dict[str, Any]], form: str) -> None:
    if form == "json":
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    if form == "names":
        sys.stdout.write("".join(f"{row['name']}\n" for row in rows))
        return
    shown = [key for key in rows[0] if any(row[key] not in ("", None) for row in rows)]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for key in shown:
        number = isinstance(next((row[key] for row in rows if row[key] is not None), ""), int)
        table.add_column(
            key, justify="right" if number and key != "year" else "left", overflow="fold", no_wrap=key == "name"
        )
    for row in rows:
        table.add_row(
            *(
                "" if row[k] is None else f"{row[k]:,}" if isinstance(row[k], int) and k != "year" else str(row[k])
                for k in shown
            )
        )
    console = Console(highlight=False, markup=False)
    console.print(table)
