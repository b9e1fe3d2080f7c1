"""``seqlab compare FOLDER...``: the command line of a comparison."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

from seqlab.compare.comparison import INTERVALS, Comparison, compare
from seqlab.compare.export import as_csv, as_json
from seqlab.compare.render import as_markdown, as_text

FORMATS = ("table", "csv", "json", "markdown")
EPILOG = """examples:
  seqlab compare outputs/co2
  seqlab compare outputs --by data,cell --baseline lstm
  seqlab compare outputs/mr --over seed,data.fold --metric test/accuracy
  seqlab compare outputs/co2 --per-seed --format csv > scores.csv"""


def main(arguments: Sequence[str]) -> int:
    """Compare and print; return 0.

    Raises:
        RequestError: as ``compare``.
        RunError: as ``compare``.
    """
    asked = _parser().parse_args(arguments)
    comparison = compare(
        asked.folder,
        asked.metric,
        split=asked.split,
        by=asked.by,
        over=asked.over,
        baseline=asked.baseline,
        interval=asked.interval,
        level=asked.level,
        allow_mixed_code=asked.allow_mixed_code,
        examples=asked.examples,
    )
    sys.stdout.write(_written(comparison, asked.format, asked.per_seed))
    return 0


def _written(comparison: Comparison, form: str, per_seed: bool) -> str:
    if form == "json":
        return as_json(comparison)
    if form == "csv":
        return as_csv(comparison, per_seed)
    if form == "markdown":
        return as_markdown(comparison, per_seed)
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else 200
    return as_text(comparison, per_seed, width, colour=terminal)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``compare`` and ``report`` share."""
    parser.add_argument("folder", nargs="+", help="where to look for runs; a run folder or anything above")
    parser.add_argument("--metric", help="test/mse, or mse; default: the test score of what the runs monitored")
    parser.add_argument("--split", help="train, val or test (default), where --metric does not say")
    parser.add_argument("--by", type=_keys, default=(), help="keys to group by, such as data,cell,model.num_layers")
    parser.add_argument("--over", type=_keys, default=("seed",), help="what repeats a run: seed, or seed,data.fold")
    parser.add_argument("--baseline", help="the row that the others are compared with; default: the best")
    parser.add_argument("--interval", default="t", help=f"{' or '.join(INTERVALS)}; default: Student's t")
    parser.add_argument("--level", type=float, default=0.95, help="coverage of the intervals; default: 0.95")
    parser.add_argument("--allow-mixed-code", action="store_true", help="compare runs made by different code")


def _keys(text: str) -> tuple[str, ...]:
    return tuple(key for key in text.split(",") if key)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqlab compare",
        description="Set runs side by side: mean, interval, cost, and paired differences over seeds.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser)
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument("--per-seed", action="store_true", help="show every single score")
    parser.add_argument(
        "--examples", action="store_true", help="also say how sure the test examples make a difference (slower)"
    )
    return parser
