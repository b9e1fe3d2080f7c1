"""``seqlab reproduce NAME``: run a published result's experiment, and set ours beside the paper's number."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from seqlab.config import add_search_path, trust
from seqlab.errors import RequestError, RunError

EPILOG = """examples:
  seqlab list experiments
  seqlab reproduce parity
  seqlab reproduce etth1_segrnn data.path=ETTh1.csv
  seqlab reproduce etth1_segrnn data.path=ETTh1.csv cell=lstm,mingru seed=0
  seqlab reproduce etth1_segrnn --show

An override takes the place of what the experiment's own sweep says of that key. What is done is not done again."""


def main(arguments: Sequence[str]) -> int:
    """Run ``seqlab reproduce``: 0 whatever the verdict.

    Raises:
        RequestError: there is no such reproduction, its header is wrong, or the sweep can't be planned.
        RunError: some runs failed; the others are shown all the same.
    """
    chosen = _parser().parse_intermixed_args(list(arguments))
    for package in chosen.trust:
        trust(package)
    for folder in chosen.config_dir:
        add_search_path(folder)
    from seqlab.reproduce.header import load, reproductions

    if not chosen.words:
        raise RequestError(f"Which one? `seqlab reproduce NAME` takes {', '.join(reproductions())}.")
    name, *overrides = chosen.words
    reproduction = load(name)
    words = reproduction.words(overrides)
    failed = None if chosen.show else _run(["-m", *words])
    from seqlab.reproduce.table import shown

    sys.stdout.write("\n" + shown(reproduction, _folder(words) / words[1].partition("=")[2], _width()))
    if failed is not None:
        raise failed
    return 0


def _run(arguments: list[str]) -> RunError | None:
    """Run the sweep; return its complaint if some runs did not complete."""
    from seqlab.sweep.early import prepare

    prepare(arguments)
    from seqlab.training import app

    try:
        app.main(arguments)
    except RunError as error:
        return error
    return None


def _folder(words: Sequence[str]) -> Path:
    given = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("output_dir=")]
    return Path(given[-1] if given else "outputs")


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 200


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqlab reproduce",
        description="Run a published result's experiment and set ours beside the paper's number.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "words", nargs="*", metavar="NAME KEY=VALUE", help="the experiment, then overrides of its sweep"
    )
    parser.add_argument("--show", action="store_true", help="show what was recorded and run nothing")
    parser.add_argument("--config-dir", action="append", default=[], help="look for more configs there")
    parser.add_argument("--trust", action="append", default=[], help="let configs name classes of this package")
    return parser
