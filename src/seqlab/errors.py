"""The errors that reach a person: what was expected, what came, and the likely fix."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class SeqlabError(Exception):
    """Base of every error that the command line shows as one message, without a traceback."""

    exit_code = 1


class RequestError(SeqlabError, ValueError):
    """The request is wrong (a name, a value, a file): the person can mend it. Exit code 2."""

    exit_code = 2


class RunError(SeqlabError, RuntimeError):
    """The request was right and the work failed (a diverged loss, a corrupt checkpoint). Exit code 1."""


class Refused(RunError):
    """A disk or a folder took no file. What was saved stands, and the same command goes on from it."""


#: What a disk or a folder can refuse.
_DISK = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)}
_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EMFILE}


def refusal_of(error: OSError) -> Refused | None:
    """Return the house's error for a file that the system refused; None for anything else."""
    if error.errno in _DISK:
        return Refused(
            f"The disk is full, or the file larger than allowed ({error.filename or error.strerror or error})."
            " Free some space and repeat the command; the run goes on."
        )
    if error.errno in _PLACE:
        return Refused(f"A file can't be written or read: {error}. Repeat the command once it can.")
    return None


def did_you_mean(got: str, options: Iterable[str]) -> str:
    """Return ``" Did you mean 'lstm'?"`` for the nearest option, or the list of all when none is near.

    Args:
        got: what the person wrote.
        options: what would have been right.
    """
    options = sorted(options)
    near = difflib.get_close_matches(got, options, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Available: {', '.join(options)}." if options else ""
