"""Prepared arrays under a content fingerprint: written atomically, safe with several processes at once."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

Arrays: TypeAlias = dict[str, NDArray[Any]]


def cache_dir() -> Path:
    """Return where prepared data lives: SEQLAB_CACHE, else ``seqlab`` in the platform's folder for caches."""
    if own := os.environ.get("SEQLAB_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "seqlab"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "seqlab" / "Cache"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "seqlab"


def code_version() -> str:
    """Return the SHA-256 (hex) of this package's source: prepared data never outlives the code that prepared it."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cached(name: str, key: Mapping[str, Any], compute: Callable[[], Arrays], enabled: bool = True) -> Arrays:
    """Return ``compute()``, from the cache where this key was computed before.

    Args:
        name: begins the entry's file name.
        key: all that decides the result (fingerprint of the source, options, versions), as JSON values.
        compute: does the work; called by one process while the others wait for its result.
        enabled: False computes and leaves the cache alone.

    A corrupt entry is computed again and a folder that can't be written to is done without, each with a warning.
    """
    if not enabled:
        return compute()
    identity = json.dumps({**key, "code": code_version()}, sort_keys=True)
    path = cache_dir() / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npz"
    if (found := _read(path)) is not None:
        return found
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        warnings.warn(f"The cache in {path.parent} can't be used ({error}): set SEQLAB_CACHE.", stacklevel=2)
        return compute()
    try:
        if (found := _read(path)) is None:
            _write(path, found := compute())
        return found
    finally:
        lock.release()


def text_array(text: str) -> NDArray[np.uint8]:
    """Return ``text`` as bytes in an array, so that it can lie in an entry beside the others."""
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def array_text(array: NDArray[np.uint8]) -> str:
    """Return the text that ``text_array`` stored."""
    return array.tobytes().decode("utf-8")


def _read(path: Path) -> Arrays | None:
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entry:
            return {name: entry[name] for name in entry.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        warnings.warn(f"The cache entry {path} is corrupt ({error}); it is computed again.", stacklevel=3)
        return None


def _write(path: Path, arrays: Arrays) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
