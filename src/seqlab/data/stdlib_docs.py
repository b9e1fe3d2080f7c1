"""Docstrings of Python's own standard library by subject area: the text set that every machine already has."""

from __future__ import annotations

import ast
import hashlib
import re
import sysconfig
from collections import Counter
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
    "text": "codecs configparser csv difflib gettext html json locale plistlib pprint quopri re reprlib"
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
_NAME = re.compile(r"\w+")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class StdlibDocs(LabelledText):
    """Docstrings of the running Python's standard library, each labelled with the subject area of its module.

    The text is real English by many hands, but of one trade, and another Python version has slightly other
    docstrings: the fingerprint tells them apart. Modules are parsed, never imported. A name of a module, function or
    class that one area defines, and that is used mostly there, would give the answer away: it is taken out of all
    texts. Interactive examples are left out; white space is folded.

        "Return the path to which the symbolic link points."                        -> files
        "A context manager that does an ordered acquire of conditions."             -> concurrency

    Trivial scores on the validation split (Python 3.11): majority 23.3 %, naive Bayes over 1- and 2-grams 69.2 %.

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
        texts, labels = _labelled_docstrings(_library(), self.min_words)
        return Corpus({"train": texts}, {"train": np.array(labels, dtype=np.int64)}, tuple(AREAS))

    def source_digest(self) -> str:
        """Return the SHA-256 (hex) of the sources and of how they are labelled."""
        digest = hashlib.sha256(f"{AREAS} {self.min_words}".encode())
        for _, path in _sources(_library()):
            digest.update(path.read_bytes())
        return digest.hexdigest()


def _library() -> Path:
    root = Path(sysconfig.get_path("stdlib"))
    if not (root / "ast.py").is_file():
        raise RequestError(
            f"This Python keeps no source of its standard library in {root}: use data=text data.path=..."
        )
    return root


def _sources(root: Path) -> Iterator[tuple[int, Path]]:
    """Yield area number and file of each source, in a fixed order."""
    for number, modules in enumerate(AREAS.values()):
        for module in modules.split():
            folder = root / module
            paths = sorted(folder.rglob("*.py")) if folder.is_dir() else [root / f"{module}.py"]
            for path in paths:
                if path.is_file() and not {"test", "tests"} & set(path.relative_to(root).parts):
                    yield number, path


@cache
def _labelled_docstrings(root: Path, min_words: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return all texts and area numbers; parsing takes seconds and is asked for by split and by baseline."""
    trees = [(number, path, ast.parse(path.read_bytes())) for number, path in _sources(root)]
    raw = [(_prose(text), number) for number, _, tree in trees for text in _docstrings(tree)]
    revealing = _revealing_names(trees, raw)
    texts = ((_without(text, revealing), number) for text, number in raw)
    kept = [(text, number) for text, number in texts if len(text.split()) >= min_words]
    return tuple(text for text, _ in kept), tuple(number for _, number in kept)


def _docstrings(node: ast.AST) -> Iterator[str]:
    """Yield the docstrings of a module and of all that it defines; only blocks of statements are looked into."""
    if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
        yield text
    for block in ("body", "orelse", "handlers", "finalbody", "cases"):
        for statement in getattr(node, block, ()):
            yield from _docstrings(statement)


def _prose(docstring: str) -> str:
    """Return the docstring in one line, without its interactive examples and their output."""
    words: list[str] = []
    example = False
    for line in docstring.splitlines():
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        words += [] if example else line.split()
    return " ".join(words)


def _word(name: str) -> str:
    return name.lower().lstrip("_")


def _revealing_names(trees: Iterable[tuple[int, Path, ast.Module]], texts: Iterable[tuple[str, int]]) -> frozenset[str]:
    """Return the names of modules, functions and classes of one area that are mostly used in texts of that area."""
    owners: dict[str, set[int]] = {}
    for number, path, tree in trees:
        symbols = [n.name for n in tree.body if isinstance(n, _DOCUMENTED[1:])]
        for name in [path.stem, path.parent.name, *symbols]:
            owners.setdefault(_word(name), set()).add(number)
    uses: Counter[tuple[str, int]] = Counter()
    for text, number in texts:
        uses.update((word, number) for word in {_word(w) for w in _NAME.findall(text)} & owners.keys())
    totals: Counter[str] = Counter()
    for (word, _), count in uses.items():
        totals[word] += count
    return frozenset(w for w, n in owners.items() if len(n) == 1 and 2 * uses[w, min(n)] > totals[w])


def _without(text: str, names: frozenset[str]) -> str:
    return " ".join(_NAME.sub(lambda m: "" if _word(m[0]) in names else m[0], text).split())
