"""Pretrained word vectors from a GloVe or word2vec text file, for the words of one vocabulary."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data.tokens import PADDING
from seqlab.errors import RequestError

#: Tokens that no file of vectors knows: padding and unknown.
RESERVED = 2


def read_vectors(path: Path, vocabulary: Sequence[str]) -> tuple[Tensor, float]:
    """Read the vectors of ``vocabulary`` from lines ``word v1 ... vE`` (word2vec's first line ``N E`` is passed over).

    A word that the file lacks is drawn from a normal distribution with the mean and deviation of the vectors found, the
    same in every run; padding is zero.

    Args:
        path: the file, plain or .gz, UTF-8.
        vocabulary: the V tokens in the order of their numbers, padding and unknown first.

    Returns:
        (V, E) float32, and the share of the vocabulary (padding and unknown apart) that the file covers.

    Raises:
        RequestError: there is no such file, a line does not hold E numbers, or the file covers no word at all.
    """
    numbers = {word: number for number, word in enumerate(vocabulary) if number >= RESERVED}
    found: dict[int, NDArray[np.float32]] = {}
    with _open(path) as file:
        size = _size(path, file)
        for line, text in enumerate(file, 1):
            # GloVe's largest file has words with spaces in them, so the numbers are counted from the right.
            word, *values = text.rstrip("\n ").rsplit(" ", size)
            number = numbers.get(word)
            if number is None or number in found:
                continue
            try:
                found[number] = np.array(values, dtype=np.float32)
            except ValueError as error:
                raise RequestError(f"data.vectors: {path}, line {line}: expected `word v1 ... vE`; {error}.") from error
            if len(values) != size:
                raise RequestError(f"data.vectors: {path}, line {line}: {len(values)} numbers; the first has {size}.")
    if not found:
        raise RequestError(
            f"data.vectors: {path} has none of the {len(numbers)} words of the vocabulary. Expected lines"
            " `word v1 ... vE` in UTF-8; does data.tokenizer.lowercase fit the file?"
        )
    known = np.stack(list(found.values()))
    table = np.random.default_rng(0).normal(known.mean(), known.std(), (len(vocabulary), known.shape[1]))
    table[list(found)] = known
    table[PADDING] = 0.0
    return torch.from_numpy(table.astype(np.float32)), len(found) / len(numbers)


def _open(path: Path) -> TextIO:
    if not path.is_file():
        raise RequestError(f"data.vectors: there is no file {path}.")
    opener = gzip.open if path.suffix == ".gz" else open
    return cast(TextIO, opener(path, "rt", encoding="utf-8", errors="replace", newline="\n"))


def _size(path: Path, file: TextIO) -> int:
    """Return E, and leave ``file`` where the vectors begin."""
    first = file.readline().split()
    size = len(first) - 1
    if len(first) == 2 and all(part.isdecimal() for part in first):
        return int(first[1])  # word2vec's "N E"
    if size < 2:
        raise RequestError(f"data.vectors: the first line of {path} should be `word v1 ... vE` or `N E`; got {first}.")
    file.seek(0)
    return size


def digest(path: Path) -> str:
    """Return the SHA-256 (hex) of the file.

    Raises:
        RequestError: there is no such file.
    """
    if not path.is_file():
        raise RequestError(f"data.vectors: there is no file {path}.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
