"""Labelled text in local files: which file holds which split, and how it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from seqlab.data._base import SPLITS, Split
from seqlab.data.text_formats import (
    ARCHIVES,
    TABLES,
    Rows,
    read_class_files,
    read_documents,
    read_labelled_lines,
    read_parallel,
    read_table,
    suffix,
)
from seqlab.errors import RequestError, did_you_mean

#: What people call the splits, in files and on the hub.
USUAL: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
FORMATS = ("auto", "table", "lines", "class_files", "parallel", "documents")
T = TypeVar("T")


def options_of(cls: type[T], group: str, values: Mapping[str, Any]) -> T:
    """Return the dataclass that a config's mapping ``data.<group>`` gives; what it leaves out keeps its default."""
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise RequestError(f"data.{group} has no key {name!r}.{did_you_mean(name, known)}")
    return cls(**values)


@dataclass(frozen=True)
class FileOptions:
    """How local files are laid out.

    Attributes:
        format: "table" (csv, tsv, jsonl, parquet), "lines" (``label text``), "class_files" (a file per class, a text a
            line), "parallel" (texts and labels in the same lines of two files), "documents" (a file per text, in a
            folder or tar archive, labelled by its folder), or "auto": a table or documents, by what is there.
        encoding: of the text.
        columns: names of the fields of a csv or tsv without a header; fields of one name are joined by a space.
        quotes: whether ``"`` encloses fields; None is yes in csv, no in tsv.
        first_label: the number of the first class where labels are numbers; None tells 0 from 1 by what occurs.
        train, val, test: file of the split under a folder ``data.path``, or a pattern that fits exactly one;
            class_files: a pattern that fits files named after their class, or a list in the order of the classes;
            parallel: [texts, labels]; documents: a folder's name, or an archive. All None looks for the usual names.
    """

    format: str = "auto"
    encoding: str = "utf-8"
    columns: Sequence[str] | None = None
    quotes: bool | None = None
    first_label: int | None = None
    train: str | Sequence[str] | None = None
    val: str | Sequence[str] | None = None
    test: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise RequestError(f"data.files.format must be one of {', '.join(FORMATS)}; got {self.format!r}.")

    def named(self) -> dict[Split, list[str]]:
        """Return what ``train``, ``val`` and ``test`` name, by split."""
        given = {split: getattr(self, split) for split in SPLITS}
        return {split: [v] if isinstance(v, str) else list(v) for split, v in given.items() if v is not None}


@dataclass(frozen=True)
class Part:
    """Where one split lies: its files, and inside a folder or archive of documents the folder's name."""

    paths: tuple[Path, ...]
    folder: str | None = None


class FileSource:
    """Labelled text under a path.

    Args:
        path: a file, a folder or an archive.
        options: the layout.
        text: the columns of a table whose texts are joined by a space.
        label: the column of a table that holds the class.
        class_names: the classes in their order, where they are known.
    """

    def __init__(
        self, path: Path, options: FileOptions, text: Sequence[str], label: str, class_names: Sequence[str] | None
    ) -> None:
        self.path, self.options = path, options
        self.text, self.label, self.class_names = text, label, class_names

    def read(self) -> dict[Split, Rows]:
        """Read all splits that there are.

        Raises:
            RequestError: a file is missing, or not laid out as the options say.
        """
        layout = self._layout()
        return {split: self._read(layout, part) for split, part in self._parts(layout).items()}

    def digest(self) -> str:
        """Return the SHA-256 (hex) of all bytes and of how they are read."""
        schema = [list(self.text), self.label, self.class_names, asdict(self.options)]
        digest = hashlib.sha256(json.dumps(schema, default=list).encode())
        for split, part in self._parts(self._layout()).items():
            for root in part.paths:
                for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
                    if file.is_file():
                        digest.update(f"{split} {file.relative_to(root.parent).as_posix()} ".encode())
                        with file.open("rb") as content:
                            digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()

    def _layout(self) -> str:
        if not self.path.exists():
            raise RequestError(f"data.path={self.path} does not exist.")
        if self.options.format != "auto":
            return self.options.format
        if self.path.is_file():
            candidates = [self.path]
        else:
            named = [name for names in self.options.named().values() for name in names]
            found = [path for name in named for path in self.path.glob(name)] or [Path(name) for name in named]
            candidates = found or [path for paths in self._usual().values() for path in paths]
        kinds = {suffix(candidate) for candidate in candidates}
        if kinds & {*TABLES}:
            return "table"
        if kinds & {*ARCHIVES} or (self.path.is_dir() and any(p.is_dir() for p in self.path.iterdir())):
            return "documents"
        raise RequestError(
            f"data.path={self.path} holds neither a table ({', '.join(TABLES)}, each also .gz; in a folder train.csv,"
            f" val.csv, test.csv or the like) nor folders of documents. Set data.files.format={'|'.join(FORMATS[1:])}."
        )

    def _parts(self, layout: str) -> dict[Split, Part]:
        named = self.options.named()
        if layout == "documents":
            return self._documents(named)
        if self.path.is_file():
            return {"train": Part((self.path,))}
        if not named:
            if layout == "class_files":
                return {"train": Part(self._matching("*.txt"))}
            named = {split: [p.name for p in paths] for split, paths in self._usual().items()}
        if "train" not in named:
            raise RequestError(f"{self.path} has no training split: name it by data.files.train=. {self._listing()}")
        return {split: self._part(layout, names) for split, names in named.items()}

    def _part(self, layout: str, names: Sequence[str]) -> Part:
        found = [self._matching(name) for name in names]
        wanted = {"parallel": 2, "class_files": None}.get(layout, 1)
        if wanted is not None and [len(paths) for paths in found] != [1] * wanted:
            listed = ", ".join(path.name for paths in found for path in paths)
            raise RequestError(f"Format {layout} takes {wanted} file(s) a split; {names} in {self.path} fits {listed}.")
        return Part(tuple(path for paths in found for path in paths))

    def _matching(self, pattern: str) -> tuple[Path, ...]:
        found = tuple(sorted(self.path.glob(pattern)))
        if not found:
            raise RequestError(f"{self.path} has no file {pattern!r}. {self._listing()}")
        return found

    def _documents(self, named: Mapping[Split, Sequence[str]]) -> dict[Split, Part]:
        if self.path.is_dir() and not named:
            folders = {p.name for p in self.path.iterdir() if p.is_dir()}
            named = {
                s: [name for name in usual if name in folders][:1] for s, usual in USUAL.items() if folders & {*usual}
            }
        parts: dict[Split, Part] = {}
        for split, names in named.items():
            archive = suffix(Path(names[0])) in ARCHIVES
            if archive and self.path.is_dir():
                parts[split] = Part(self._matching(names[0]))
            elif not archive:
                parts[split] = Part((self.path,), names[0])
        return parts or {"train": Part((self.path,))}

    def _usual(self) -> dict[Split, list[Path]]:
        """Return the files of the folder that bear a split's usual name."""
        files = sorted(p for p in self.path.iterdir() if p.is_file())
        found = {split: [p for p in files if p.name.split(".")[0] in names] for split, names in USUAL.items()}
        return {split: paths for split, paths in found.items() if paths}

    def _listing(self) -> str:
        return f"It has: {', '.join(sorted(p.name for p in self.path.iterdir())[:12]) or 'nothing'}."

    def _read(self, layout: str, part: Part) -> Rows:
        first, encoding = part.paths[0], self.options.encoding
        if layout == "lines":
            return read_labelled_lines(first, encoding)
        if layout == "class_files":
            return read_class_files(list(self._classes(part)), encoding)
        if layout == "parallel":
            if len(part.paths) != 2:
                raise RequestError(f"Format parallel needs a folder and data.files.train=[texts,labels]; got {first}.")
            return read_parallel(*part.paths, encoding)
        if layout == "documents":
            return read_documents(first, part.folder, self.class_names, encoding)
        options = self.options
        return read_table(
            first, self.text, self.label, encoding=encoding, columns=options.columns, quotes=options.quotes
        )

    def _classes(self, part: Part) -> Iterator[tuple[str, Path]]:
        listed = isinstance(self.options.train, Sequence) and not isinstance(self.options.train, str)
        if listed and (self.class_names is None or len(self.class_names) != len(part.paths)):
            raise RequestError(
                f"data.files.train lists {len(part.paths)} files of classes; data.class_names must name as many, in the"
                f" same order; got {self.class_names}."
            )
        names = self.class_names if listed and self.class_names else [path.name.split(".")[0] for path in part.paths]
        yield from zip(names, part.paths, strict=True)
