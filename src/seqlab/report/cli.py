"""``seqlab report FOLDER...``: the command line of the report."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlab.compare import compare
from seqlab.compare.cli import add_options
from seqlab.errors import RequestError

FILE = "report.html"


def main(arguments: Sequence[str]) -> int:
    """Write the page, say where it is, and return 0.

    Raises:
        RequestError: as ``compare``; or the output is no place for a report.
        RunError: as ``compare``; or the page can't be written.
    """
    asked = _parser().parse_args(arguments)
    options = {name: getattr(asked, name) for name in _SHARED}
    command = shlex.join(["seqlab", "report", *arguments])
    file = report(asked.folder, asked.output, figures=asked.figures, command=command, **options)
    sys.stdout.write(f"Report: {file}\n")
    return 0


_SHARED = ("metric", "split", "by", "over", "baseline", "interval", "level", "allow_mixed_code")


def report(
    folders: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    figures: str | os.PathLike[str] | None = None,
    command: str | None = None,
    **options: Any,
) -> Path:
    """Write one self-contained HTML page about the runs below ``folders``.

    Args:
        folders: where to look for runs.
        output: the file; ``report.html`` in the first folder by default. An earlier report is replaced.
        figures: a folder for the drawings, each as an SVG file of its own; None for none.
        command: what the page names as the way to make it again.
        options: as ``compare`` takes them, ``runs`` and ``examples`` left out.

    Raises:
        RequestError: as ``compare``; or the output is no place for a report.
        RunError: as ``compare``; or the page can't be written.
    """
    from seqlab.report.page import (
        make_parts,
        render,
        write,
        write_figures,
    )  # matplotlib and jinja2: not for `seqlab report --help`

    places = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
    if not places:
        raise RequestError("A report needs at least one folder with runs.")
    file = Path(output) if output else Path(places[0]) / FILE
    names = [os.fspath(place) for place in places]
    comparison = compare(places, examples=True, **options)
    parts = make_parts(comparison)
    if figures is not None:
        write_figures(comparison, parts, Path(figures))
    write(render(comparison, parts, command or shlex.join(["seqlab", "report", *names])), file)
    return file


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqlab report",
        description="Write one HTML page about runs: answer, tables, drawings, failures, how to repeat it.",
        allow_abbrev=False,
    )
    add_options(parser)
    parser.add_argument("--output", help=f"the page; default: {FILE} in the first folder")
    parser.add_argument("--figures", help="a folder for the drawings, each as an SVG file of its own")
    return parser
