"""Files to tables: what ``data.path`` may name, and one reader that says which row of which file is wrong."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.util
import io
import json
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlab.errors import RequestError, did_you_mean

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
#: ``package:path`` names a file inside an installed package, found without importing it.
PACKAGE_SEPARATOR = ":"
#: The largest value that is read: its square still has a place in single precision.
LARGEST = 1e18
#: Files of a folder that a message names at most.
LISTED = 12


def find_files(path: str | None) -> list[Path]:
    """Return the data files behind ``data.path``: the file itself, or those of a folder, sorted by name.

    Args:
        path: a file, a folder, or ``package:path`` for a file that an installed package carries.

    Raises:
        RequestError: nothing given, nothing there, or a folder without data files.
    """
    if not path:
        raise RequestError("data.path is needed: a csv, tsv, txt or parquet file (also .gz), or a folder with one.")
    place = _in_package(path) or Path(path).expanduser()
    if place.is_dir():
        files = sorted(p for p in place.iterdir() if p.is_file() and _plain_suffix(p) in SUFFIXES)
        if not files:
            raise RequestError(f"{path}: the folder holds no {'/'.join(SUFFIXES)} file.")
        return files
    if not place.is_file():
        raise RequestError(f"{path}: there is no such file.{_hint(place)}")
    return [place]


def _hint(place: Path) -> str:
    if not place.parent.is_dir():
        return f" The folder {str(place.parent)!r} does not exist either."
    beside = [p.name for p in place.parent.iterdir()]
    hint = did_you_mean(place.name, beside)
    return hint if len(beside) <= LISTED or "Did you mean" in hint else ""


def one_file(files: Sequence[Path]) -> Path:
    """Return the only file; RequestError names the choice where there are several."""
    if len(files) > 1:
        raise RequestError(
            f"{files[0].parent} holds {len(files)} data files; name one of {', '.join(f.name for f in files)}."
        )
    return files[0]


def _in_package(path: str) -> Path | None:
    package, colon, inside = path.partition(PACKAGE_SEPARATOR)
    if not colon or not package.isidentifier() or Path(path).exists():
        return None
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / inside


def _plain_suffix(path: Path) -> str:
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def fingerprint(files: Sequence[Path], schema: Sequence[Any]) -> str:
    """Return the SHA-256 (hex) of the files' bytes, in order, and of how they are read, whatever their names."""
    total = hashlib.sha256(json.dumps(schema).encode())
    for file in files:
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def read_table(file: Path, *, header: bool = True) -> pd.DataFrame:
    """Return a file's table; numbers where a whole column is numeric, text elsewhere, NaN for blank and NA.

    Args:
        file: csv, tsv or txt (separated by comma, semicolon, tab or blanks), or parquet; text also as .gz.
        header: whether the first line names the columns; without, they are named "0", "1", ...

    Raises:
        RequestError: empty, header only, binary, not UTF-8 (the line is named), duplicate column names, or rows of
            unequal length.
    """
    frame = _read_parquet(file) if _plain_suffix(file) == ".parquet" else _read_text(file, header)
    if frame.empty:
        raise RequestError(f"{file.name} holds a header and no rows.")
    frame.columns = frame.columns.map(lambda name: str(name).strip())
    return frame


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(file)
    except Exception as error:
        raise RequestError(f"{file.name} can't be read as parquet: {error}") from error
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def read_bytes(file: Path) -> bytes:
    """Return the bytes of a text file, unpacked where it is gzip; RequestError for empty, binary or not UTF-8."""
    content = file.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise RequestError(f"{file.name} can't be unpacked: {error}. Is the download complete?") from error
    if not content.strip():
        raise RequestError(f"{file.name} is empty.")
    if b"\0" in content:
        raise RequestError(f"{file.name} is a binary file; expected text: csv, tsv or txt (also .gz), or .parquet.")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RequestError(
            f"{file.name}: line {line} is not UTF-8 (byte 0x{content[error.start]:02x}). Save the file as UTF-8;"
            " `iconv -f latin1 -t utf-8` does so where it is latin-1."
        ) from error
    return content


def _read_text(file: Path, header: bool) -> pd.DataFrame:
    content = read_bytes(file)
    first = next(line for line in content.splitlines() if line.strip()).decode("utf-8-sig")
    separator = _separator(first)
    names = next(csv.reader([first], delimiter=separator)) if separator != r"\s+" else first.split()
    if header:
        _refuse_bad_header([n.strip() for n in names], file)
    try:
        with warnings.catch_warnings():
            # A row that is longer than the header would lose cells with no more than this warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.BytesIO(content),
                sep=separator,
                header=0 if header else None,
                names=None if header else [str(i) for i in range(len(names))],
                index_col=False,
                encoding="utf-8-sig",
                low_memory=False,
                skipinitialspace=True,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        raise RequestError(f"{file.name} is not a table with {len(names)} columns: {error}") from error


def _separator(line: str) -> str:
    counts = {s: line.count(s) for s in ("\t", ";", ",")}
    best = max(counts, key=lambda s: counts[s])
    if counts[best]:
        return best
    return r"\s+" if len(line.split()) > 1 and '"' not in line else ","


def _refuse_bad_header(names: Sequence[str], file: Path) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise RequestError(
            f"{file.name} has several columns named {', '.join(map(repr, twice))}; each needs its own name."
        )
    if all(_is_number(n) for n in names):
        raise RequestError(
            f"{file.name} has no header: its first line holds only numbers ({', '.join(names[:3])}, ...)."
            " Use data.layout=matrix for a table without names and dates."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def numbers(frame: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    """Return a column as (N,) float64, NaN where blank.

    Raises:
        RequestError: a cell is not a finite number, or beyond ``LARGEST``; its row and column are named.
    """
    cells = frame[column]
    values = pd.to_numeric(cells, errors="coerce")
    array: NDArray[np.float64] = values.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = (np.abs(array) > LARGEST) | (np.isnan(array) & cells.notna().to_numpy())
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        more = f" ({int(bad.sum())} such cells)" if bad.sum() > 1 else ""
        raise RequestError(
            f"{where}: '{cells.iloc[row]}' in row {row + 1}, column {column!r}, is not a finite number of at most"
            f" {LARGEST:g}{more}. Leave a cell blank, or write NA, where a value is missing."
        )
    return array
