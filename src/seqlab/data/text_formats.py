"""Readers of labelled text files: each takes files and returns texts with their labels as they are written there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pandas as pd
import pyarrow.parquet

from seqlab.errors import RequestError, did_you_mean

#: Suffixes of tables, each also with .gz behind it.
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True)
class Rows:
    """Texts and labels as written in a source.

    Attributes:
        origin: where they were read, for messages.
        texts: N texts; one that is missing in the source is empty.
        labels: N labels; None where the source has none.
        notes: counts of what was passed over.
    """

    origin: str
    texts: list[str]
    labels: list[str | None]
    notes: dict[str, int] = field(default_factory=dict)


def suffix(path: Path) -> str:
    """Return the suffix that says how a file is read, without .gz: ``.csv`` of ``a.csv.gz``."""
    name = path.name.lower()
    for archive in ARCHIVES:
        if name.endswith(archive):
            return archive
    return PurePosixPath(name.removesuffix(".gz")).suffix


def read_table(
    path: Path, text: Sequence[str], label: str, *, encoding: str, columns: Sequence[str] | None, quotes: bool | None
) -> Rows:
    """Read a csv, tsv, jsonl or parquet file.

    Args:
        path: the file, plain or .gz.
        text: the columns whose texts are joined by a space.
        label: the column of the class.
        encoding: of csv, tsv and jsonl.
        columns: names of a csv or tsv file without a header; fields of one name are joined by a space.
        quotes: whether ``"`` encloses a field; None is yes in csv and no in tsv, where it is a mark like any other.

    Raises:
        RequestError: the file is empty, has no such column, or can't be parsed.
    """
    kind = suffix(path)
    if kind == ".jsonl":
        return _read_jsonl(path, text, label, encoding)
    if kind == ".parquet":
        frame = _read_parquet(path, [*text, label])
    else:
        frame = _read_delimited(path, kind, encoding, columns, kind == ".csv" if quotes is None else quotes)
    _check_columns(path, list(frame.columns), [*text, label])
    if not len(frame):
        raise RequestError(f"{path} has a header and no rows.")
    parts = [_strings(frame, name, "") for name in text]
    texts = parts[0] if len(parts) == 1 else _joined(parts)
    return Rows(path.name, texts, _strings(frame, label, None), _counts(texts))


def _counts(texts: Sequence[str]) -> dict[str, int]:
    return {
        "missing_texts": sum(not text.strip() for text in texts),
        "texts_of_several_lines": sum("\n" in text for text in texts),
    }


def _strings(frame: pd.DataFrame, name: str, absent: str | None) -> list[Any]:
    found = frame[name]
    columns = [found.iloc[:, i] for i in range(found.shape[1])] if isinstance(found, pd.DataFrame) else [found]
    parts = [
        [absent if gone else str(value) for value, gone in zip(column.tolist(), column.isna().tolist(), strict=True)]
        for column in columns
    ]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Sequence[str | None]]) -> list[str]:
    return [" ".join(part for part in row if part) for row in zip(*parts, strict=True)]


def _check_columns(path: Path, present: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in present:
            raise RequestError(
                f"{path} has no column {name!r}.{did_you_mean(name, map(str, present))}"
                " Name the columns by data.text= and data.label=; a file without a header needs data.files.columns=."
            )


def _read_delimited(path: Path, kind: str, encoding: str, columns: Sequence[str] | None, quotes: bool) -> pd.DataFrame:
    if kind not in TABLES:
        raise RequestError(f"{path} is no table: expected a name in {', '.join(TABLES)} (or one of them with .gz).")
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    try:
        with open_text(path, encoding) as file:
            frame: pd.DataFrame = pd.read_csv(  # type: ignore[call-overload]  # its stubs want a named file
                file, sep="," if kind == ".csv" else "\t", header=None, dtype=str, keep_default_na=False,
                na_values=[], quoting=quoting,
            )  # fmt: skip
    except pd.errors.EmptyDataError as error:
        raise RequestError(f"{path} is empty.") from error
    except pd.errors.ParserError as error:
        raise RequestError(
            f"{path} can't be parsed: {str(error).strip()}. If quotation marks in it are not in pairs, set"
            " data.files.quotes=false."
        ) from error
    if columns is None:
        names = [str(name).strip() for name in frame.iloc[0]]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise RequestError(
                f"{path} has several columns named {', '.join(map(repr, repeated))}; rename all but one."
            )
        frame = frame.iloc[1:]
    elif len(columns) != frame.shape[1]:
        raise RequestError(f"{path} has {frame.shape[1]} fields a row; data.files.columns names {len(columns)}.")
    return frame.set_axis(names if columns is None else list(columns), axis=1)


def _read_parquet(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        source = io.BytesIO(gzip.decompress(path.read_bytes())) if path.name.endswith(".gz") else path
        schema = pyarrow.parquet.read_schema(source)
        _check_columns(path, schema.names, columns)
        frame: pd.DataFrame = pyarrow.parquet.read_table(source, columns=list(columns)).to_pandas()
    except (pyarrow.ArrowInvalid, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RequestError(f"{path} is not a whole parquet file: {error}.") from error
    return frame


def _read_jsonl(path: Path, text: Sequence[str], label: str, encoding: str) -> Rows:
    texts: list[str] = []
    labels: list[str | None] = []
    for number, line in read_lines(path, encoding):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RequestError(f"{path}, line {number}, is not JSON: {error}.") from error
        if not isinstance(row, Mapping):
            raise RequestError(f"{path}, line {number}: expected an object with the columns as keys; got {line[:60]}")
        _check_columns(path, list(row), [*text, label])
        texts.append(" ".join(str(row[name]) for name in text if row[name] is not None))
        labels.append(None if row[label] is None else str(row[label]))
    if not texts:
        raise RequestError(f"{path} is empty.")
    return Rows(path.name, texts, labels, _counts(texts))


def read_labelled_lines(path: Path, encoding: str) -> Rows:
    """Read lines ``label text``; blank lines are passed over and counted."""
    pairs = [line.split(None, 1) for _, line in read_lines(path, encoding)]
    rows = [pair for pair in pairs if pair]
    if not rows:
        raise RequestError(f"{path} is empty.")
    texts = [pair[1].rstrip() if len(pair) == 2 else "" for pair in rows]
    blank = {"blank_lines": len(pairs) - len(rows)}
    return Rows(path.name, texts, [pair[0] for pair in rows], {**_counts(texts), **blank})


def read_class_files(files: Sequence[tuple[str, Path]], encoding: str) -> Rows:
    """Read one file per class, a text a line; blank lines are passed over and counted.

    Args:
        files: class and file.
        encoding: of all files.
    """
    texts: list[str] = []
    labels: list[str | None] = []
    blank = 0
    for name, path in files:
        lines = [line.strip() for _, line in read_lines(path, encoding)]
        kept = [line for line in lines if line]
        if not kept:
            raise RequestError(f"{path} is empty: the class {name!r} has no text.")
        blank += len(lines) - len(kept)
        texts += kept
        labels += [name] * len(kept)
    return Rows(", ".join(path.name for _, path in files), texts, labels, {"blank_lines": blank})


def read_parallel(texts: Path, labels: Path, encoding: str) -> Rows:
    """Read texts and labels from the same lines of two files."""
    found = [line.strip() for _, line in read_lines(texts, encoding)]
    names = [line.strip() or None for _, line in read_lines(labels, encoding)]
    if not found:
        raise RequestError(f"{texts} is empty.")
    if len(found) != len(names):
        raise RequestError(f"{texts} has {len(found)} lines and {labels} has {len(names)}; they must go in pairs.")
    return Rows(texts.name, found, list(names), _counts(found))


def read_documents(path: Path, folder: str | None, classes: Sequence[str] | None, encoding: str) -> Rows:
    """Read one file per document, labelled by the folder in which it lies; nothing is unpacked to disk.

    Args:
        path: a folder or a tar archive.
        folder: read only what lies under a folder of this name; None for all.
        classes: the folders to read; None for all.
        encoding: of all documents.

    Raises:
        RequestError: an archive has a member outside itself, or there is no document.
    """
    texts: list[str] = []
    labels: list[str | None] = []
    left_out = 0
    for name, content in sorted(_members(path), key=lambda member: member[0]):
        parents = PurePosixPath(name).parts[:-1]
        if not parents or (classes is not None and parents[-1] not in classes):
            left_out += folder is None or folder in parents
        elif folder is None or folder in parents[:-1]:
            texts.append(_decode(f"{path}/{name}", content, encoding))
            labels.append(parents[-1])
    if not texts:
        where = f"{path} under {folder!r}" if folder else str(path)
        raise RequestError(f"{where} has no documents in folders of their class; classes: {classes or 'any'}.")
    return Rows(folder or path.name, texts, labels, {"files_left_out": left_out})


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in path.rglob("*"):
            if file.is_file():
                yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
                    raise RequestError(f"{path} has a member outside itself: {member.name}. It is not read.")
                if member.isfile() and (content := archive.extractfile(member)) is not None:
                    yield member.name, content.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise RequestError(f"{path} is not a whole tar archive: {error}.") from error


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[IO[str]]:
    """Open a text file, plain or .gz, line ends left as they are.

    Raises:
        RequestError: it is missing, binary, or not in ``encoding``; the message names line and byte.
    """
    try:
        with _open_bytes(path) as raw:
            if b"\0" in raw.peek(1)[:65536] and not re.match(r"utf[-_]?(16|32)", encoding, re.IGNORECASE):
                raise RequestError(f"{path} is a binary file (or UTF-16: set data.files.encoding=utf-16).")
            # A byte order mark is no part of the text.
            with io.TextIOWrapper(raw, "utf-8-sig" if encoding == "utf-8" else encoding, newline="\n") as file:
                yield file
    except UnicodeDecodeError as error:
        raise RequestError(_undecodable(path, encoding, error)) from error
    except LookupError as error:
        raise RequestError(f"data.files.encoding={encoding} is unknown: {error}. Common: utf-8, latin-1.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RequestError(f"{path} is not a whole gzip file: {error}.") from error


@contextmanager
def _open_bytes(path: Path) -> Iterator[gzip.GzipFile | io.BufferedReader]:
    if not path.is_file():
        raise RequestError(f"There is no file {path}.")
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as raw:
        yield raw


def _undecodable(path: Path, encoding: str, error: UnicodeDecodeError) -> str:
    with _open_bytes(path) as raw:
        for number, line in enumerate(raw, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as found:
                byte = f"0x{line[found.start]:02x}"
                return (
                    f"{path}, line {number}, is not {encoding}: byte {byte} in {line[:40]!r}. Set data.files.encoding="
                    " (latin-1 reads any byte); if only some lines differ, the file mixes encodings: convert it first."
                )
    return f"{path} is not {encoding}: {error}."


def _decode(name: str, content: bytes, encoding: str) -> str:
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        raise RequestError(f"{name} is not {encoding}: {error}. Set data.files.encoding= (latin-1, ...).") from error


def read_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield line number from 1 and line without its end; only a line feed ends a line."""
    with open_text(path, encoding) as file:
        for number, line in enumerate(file, 1):
            yield number, line.rstrip("\r\n")
