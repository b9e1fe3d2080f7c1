"""``seqlab reproduce``: run a published result's experiment and set ours beside the paper's, or write the ledger."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from seqlab.config import add_search_path, trust
from seqlab.errors import RequestError, RunError

OUTPUTS = "outputs"
EPILOG = """examples:
  seqlab list experiments
  seqlab reproduce parity
  seqlab reproduce etth1_segrnn data.path=ETTh1.csv
  seqlab reproduce etth1_segrnn data.path=ETTh1.csv cell=lstm,mingru seed=0
  seqlab reproduce etth1_segrnn --show
  seqlab reproduce --ledger docs/reproductions.md outputs

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
    if chosen.ledger:
        return _ledger(Path(chosen.ledger), chosen.words)
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


def _ledger(page: Path, folders: Sequence[str]) -> int:
    """Add what was recorded below ``folders`` to what is kept beside ``page``, and write the page from that."""
    from seqlab.reproduce.header import load, reproductions
    from seqlab.reproduce.page import render
    from seqlab.reproduce.recorded import current, entries_below, merged, read, write
    from seqlab.runs.files import write_text

    if page.suffix != ".md" or not page.parent.is_dir():
        raise RequestError(f"--ledger takes a Markdown file (.md) in a folder that exists; got {page}.")
    known = {name: load(name) for name in reproductions()}
    kept = page.with_suffix(".json")
    places = folders or [folder for folder in [OUTPUTS] if Path(folder).is_dir()]
    before = read(kept)
    entries = merged(current(known, before), entries_below(known, places))
    text = render(known, entries, kept.name)
    write(kept, entries)
    write_text(page, text)
    ran = {entry["experiment"] for entry in entries} & known.keys()
    sys.stdout.write(f"Ledger: {page}, {len(entries)} runs of {len(ran)} of {len(known)} reproductions\n")
    if (dropped := len(before) - len(current(known, before))) > 0:
        sys.stdout.write(f"Of the kept runs {dropped} were made with settings that their experiments no longer have.\n")
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
    return Path(given[-1] if given else OUTPUTS)


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 200


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqlab reproduce",
        usage="seqlab reproduce NAME [KEY=VALUE ...] [--show]\n       seqlab reproduce --ledger FILE [FOLDER ...]",
        description="Run a published result's experiment and set ours beside the paper's, or write the page of all.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="the experiment, then overrides; or folders of a ledger"
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--show", action="store_true", help="show what was recorded and run nothing")
    either.add_argument(
        "--ledger", metavar="FILE", help="write the page of all reproductions from the runs below the folders (outputs)"
    )
    parser.add_argument("--config-dir", action="append", default=[], help="look for more configs there")
    parser.add_argument("--trust", action="append", default=[], help="let configs name classes of this package")
    return parser
