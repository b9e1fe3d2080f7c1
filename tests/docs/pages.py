"""What a page asks of a reader: blocks in order, by the kind of what is in them.

console   commands, run in order in one folder
output    what the commands just before it print: each line is printed by them, numbers aside; "..." stands for the rest
python    run in the same folder, one namespace a page
text      shown only: it needs files, devices or a cluster that a test lacks. Its seqlab commands must compose.

A block after a paragraph that is a path (`conf/data/sales.yaml`:) is that file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
#: Tests of their own follow the worked examples of this page.
FOLLOWED_ELSEWHERE = ("CONTRIBUTING.md",)


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        where: page and line.
        language: console, output, python, text, ...; "" where indented.
        text: what is in it.
        file: the file that it is, or "".
    """

    where: str
    language: str
    text: str
    file: str


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """Yield a page's blocks from top to bottom."""
    before = ""
    for token in tokens(page):
        if token.type in ("fence", "code_block"):
            assert token.map
            path = re.fullmatch(r"`([\w./-]+\.\w+)`:", before)
            where = f"{name(page)}:{token.map[0] + 1}"
            yield Block(where, token.info.strip(), token.content, path[1] if path else "")
            before = ""
        elif token.type == "inline":
            before = token.content


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def commands(text: str) -> list[str]:
    """Return the commands of a block, without the remarks behind them; a backslash goes on to the next line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for raw in lines if (line := re.split(r"(?:^|\s{2,})#", raw)[0]).strip()]


def shown_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (place, words) for every seqlab command that is shown and not run: in blocks and within sentences."""
    for block in blocks(page):
        if block.language in ("text", "sh", ""):
            yield from ((block.where, shlex.split(c)) for c in commands(block.text) if c.startswith("seqlab "))
    for token in tokens(page):
        for child in token.children or []:
            if child.type == "code_inline" and child.content.startswith("seqlab "):
                yield f"{name(page)}:{token.map[0] + 1 if token.map else 0}", shlex.split(child.content)
