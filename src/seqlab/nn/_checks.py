"""The three checks that options of models share; each names the key that a person wrote."""

from __future__ import annotations

from collections.abc import Iterable

from seqlab.errors import RequestError, did_you_mean


def check_choice(key: str, value: object, options: Iterable[str]) -> None:
    """Raise RequestError unless ``value`` is one of ``options``."""
    options = list(options)
    if value not in options:
        hint = did_you_mean(value, options) if isinstance(value, str) else ""
        raise RequestError(f"{key} must be one of {', '.join(options)}; got {value!r}.{hint}")


def check_share(**values: float) -> None:
    """Raise RequestError unless each value lies in [0, 1)."""
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise RequestError(f"{key} must be a number in [0, 1), the share that is dropped; got {value!r}.")


def check_count(least: int, **values: int) -> None:
    """Raise RequestError unless each value is a whole number of at least ``least``."""
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RequestError(f"{key} must be a whole number of at least {least}; got {value!r}.")
