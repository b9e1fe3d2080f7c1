"""Files of tokens and tags: columns with a blank line after each sentence, or two parallel files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqlab.data.text_formats import read_lines
from seqlab.errors import RequestError


@dataclass(frozen=True)
class Sentence:
    """Tokens, their tags, and the file and line where they begin."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    where: str = ""


def read_columns(path: Path, token: int, tag: int, encoding: str) -> list[Sentence]:
    """Read a token and its tag a line, sentences parted by blank lines.

    Args:
        path: the file, plain or .gz.
        token: the token's column, from 0; negative counts from the end.
        tag: the tag's column.
        encoding: of the text.

    Raises:
        RequestError: a line lacks a column, or the file holds no sentence or can't be read.
    """
    sentences: list[Sentence] = []
    pairs: list[tuple[str, str]] = []
    start = 1
    for number, line in [*read_lines(path, encoding), (0, "")]:
        if line.strip():
            start = start if pairs else number
            pairs.append(_pair(line, token, tag, f"{path}, line {number}"))
        elif pairs:
            tokens, tags = zip(*pairs, strict=True)
            sentences.append(Sentence(tokens, tags, f"{path}, line {start} ff."))
            pairs = []
    return _some(sentences, path)


def _pair(line: str, token: int, tag: int, where: str) -> tuple[str, str]:
    columns = [c.strip() for c in line.split("\t")] if "\t" in line else line.split()
    try:
        found = columns[token], columns[tag]
    except IndexError:
        found = "", ""
    if len(columns) < 2 or not all(found):
        raise RequestError(
            f"{where}: expected a token in column {token} and its tag in column {tag}, split at tabs or blanks; got"
            f" {line[:60]!r}."
        )
    return found


def read_parallel(tokens: Path, tags: Path, encoding: str) -> list[Sentence]:
    """Read a sentence a line, tokens in one file and as many tags in the same line of the other.

    Raises:
        RequestError: lines or tokens don't go in pairs, or there are none, or a file can't be read.
    """
    words = [line.split() for _, line in read_lines(tokens, encoding)]
    names = [line.split() for _, line in read_lines(tags, encoding)]
    if len(words) != len(names):
        raise RequestError(f"{tokens} has {len(words)} lines and {tags} has {len(names)}; they must go in pairs.")
    for number, (left, right) in enumerate(zip(words, names, strict=True), 1):
        if len(left) != len(right):
            raise RequestError(
                f"Line {number}: {tokens.name} has {len(left)} tokens and {tags.name} has {len(right)} tags; each token"
                " needs one."
            )
    pairs = enumerate(zip(words, names, strict=True), 1)
    return _some([Sentence(tuple(w), tuple(t), f"{tags}, line {n}") for n, (w, t) in pairs if w], tokens)


def _some(sentences: Sequence[Sentence], path: Path) -> list[Sentence]:
    if not sentences:
        raise RequestError(f"{path} is empty: it holds no sentence.")
    return list(sentences)
