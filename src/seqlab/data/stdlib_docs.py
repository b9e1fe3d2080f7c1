"""Docstrings of Python's own standard library by subject area: the text set that every machine already has."""

from __future__ import annotations

import ast
import hashlib
import re
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqlab.data._text import Corpus, LabelledText, Preparation
from seqlab.data.tokenizer import WORDS, TokenizerOptions
from seqlab.errors import RequestError

#: Subject area to modules and packages that Python 3.11 to 3.13 share (a few moved: both places are named).
AREAS: dict[str, str] = {
    "text": "codecs configparser csv difflib encodings gettext html json locale plistlib pprint quopri re reprlib"
    " shlex string stringprep textwrap tomllib xml",
    "numbers and dates": "_pydatetime _pydecimal _strptime calendar colorsys datetime fractions numbers random"
    " statistics zoneinfo",
    "data structures": "_collections_abc _py_abc _weakrefset abc bisect collections contextlib copy copyreg"
    " dataclasses enum functools graphlib heapq operator types typing weakref",
    "files": "_pyio bz2 dbm filecmp fileinput fnmatch genericpath glob gzip io linecache lzma mailbox mimetypes"
    " ntpath os pathlib pickle posixpath shelve shutil stat tarfile tempfile wave zipfile",
    "networking": "email ftplib http imaplib ipaddress netrc poplib selectors smtplib socket socketserver ssl urllib"
    " webbrowser wsgiref xmlrpc",
    "concurrency": "_threading_local asyncio concurrent multiprocessing queue sched signal subprocess threading",
    "user interface": "argparse cmd curses getopt getpass optparse rlcompleter tkinter turtle turtledemo",
    "development tools": "ast bdb cProfile code codeop compileall dis doctest ensurepip importlib inspect logging"
    " modulefinder pdb pickletools pkgutil platform profile pstats py_compile pyclbr pydoc runpy site symtable"
    " sysconfig tabnanny timeit tokenize trace traceback tracemalloc unittest venv warnings zipapp",
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class StdlibDocs(LabelledText):
    """Docstrings of the running Python's standard library, each labelled with the subject area of its module.

    The text is real English by many hands, but of one trade, and another Python version has slightly other
    docstrings: the fingerprint tells them apart. Modules are parsed, never imported. Names of modules, and of public
    functions and classes that only one area defines, are taken out of all texts, for they would give the answer away;
    interactive examples are left out; white space is folded.

        "Wait until the result is available or until timeout seconds pass."                    -> concurrency
        "Return a copy of the string with leading white space of each line removed ..."        -> text

    Args:
        min_words: words that a docstring needs, after names were taken out, to count.
        tokenizer: TokenizerOptions as a mapping.
        vectors: GloVe or word2vec text file with pretrained vectors.
        freeze_vectors: whether they stay as they are.
        fractions: shares of the validation and the test split.
        split_seed: decides the stratified split; the run's seed does not.
        duplicates: "drop" leaves out repeated docstrings, "keep" only counts them.
        balanced: draw each area equally often in training.
        cache: keep prepared arrays for the next start.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: the standard library's source can't be found.
    """

    def __init__(
        self,
        min_words: int = 6,
        tokenizer: Mapping[str, Any] = WORDS,
        vectors: str | None = None,
        freeze_vectors: bool = False,
        fractions: Sequence[float] = (0.15, 0.15),
        split_seed: int = 0,
        duplicates: Literal["keep", "drop"] = "drop",
        balanced: bool = False,
        cache: bool = True,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            Preparation(
                TokenizerOptions.of(tokenizer), fractions=fractions, split_seed=split_seed, duplicates=duplicates
            ),
            vectors=vectors,
            freeze_vectors=freeze_vectors,
            balanced=balanced,
            cache=cache,
            batch_size=batch_size,
            num_workers=num_workers,
        )
        self.min_words = min_words

    def corpus(self) -> Corpus:
        """Parse the library's sources and return their docstrings."""
        texts, labels = _labelled_docstrings(self.min_words)
        return Corpus({"train": texts}, {"train": np.array(labels, dtype=np.int64)}, tuple(AREAS))

    def source_digest(self) -> str:
        """Return the SHA-256 (hex) of the sources and of how they are labelled."""
        digest = hashlib.sha256(f"{AREAS} {self.min_words}".encode())
        for _, path in _sources():
            digest.update(path.read_bytes())
        return digest.hexdigest()


def _sources() -> Iterator[tuple[int, Path]]:
    """Yield area number and file of each source, in a fixed order."""
    root = Path(sysconfig.get_path("stdlib"))
    if not (root / "ast.py").is_file():
        raise RequestError(
            f"This Python keeps no source of its standard library in {root}: use data=text data.path=..."
        )
    for number, modules in enumerate(AREAS.values()):
        for module in modules.split():
            folder = root / module
            paths = sorted(folder.rglob("*.py")) if folder.is_dir() else [root / f"{module}.py"]
            for path in paths:
                if path.is_file() and not {"test", "tests"} & set(path.relative_to(root).parts):
                    yield number, path


@cache
def _labelled_docstrings(min_words: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return all texts and area numbers; parsing takes seconds and is asked for by split and by baseline."""
    trees = [(number, path, ast.parse(path.read_bytes())) for number, path in _sources()]
    revealing = _revealing_names(trees)
    texts = ((_clean(text, revealing), number) for number, _, tree in trees for text in _docstrings(tree))
    kept = [(text, number) for text, number in texts if len(text.split()) >= min_words]
    return tuple(text for text, _ in kept), tuple(number for _, number in kept)


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text


def _revealing_names(trees: Iterable[tuple[int, Path, ast.Module]]) -> frozenset[str]:
    """Return the lower-cased names of modules, and of public top-level functions and classes, of one area alone."""
    areas: dict[str, set[int]] = {}
    for number, path, tree in trees:
        symbols = [n.name for n in tree.body if isinstance(n, _DOCUMENTED[1:])]
        for name in [path.stem, path.parent.name, *symbols]:
            areas.setdefault(name.lower().lstrip("_"), set()).add(number)
    return frozenset(name for name, numbers in areas.items() if len(numbers) == 1)


def _clean(docstring: str, revealing: frozenset[str]) -> str:
    lines = (line for line in docstring.splitlines() if not line.lstrip().startswith((">>>", "...")))
    kept = re.sub(r"\w+", lambda m: "" if m[0].lower().lstrip("_") in revealing else m[0], " ".join(lines))
    return " ".join(kept.split())
