"""The .ts format of the UCR, UEA and TSER archives: a header of @ lines, then one case a line.

    @classLabel true walking resting        (or @targetLabel true: the label is a number)
    @data
    0.1,0.2,0.3:1.5,?,1.4:walking           channels parted by colons, the label last, ? a missing value

With ``@timeStamps true`` each value is a pair of a numeric time and a value: ``(0,0.1),(1.5,0.2)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqlab.data.tables import read_bytes
from seqlab.errors import RequestError, did_you_mean

Floats = NDArray[np.float64]
#: Header words without a meaning for the reader, and those with one.
IGNORED = ("problemname", "missing", "univariate", "equallength", "serieslength", "dimensions", "dimension", "relation")
KNOWN = (*IGNORED, "timestamps", "classlabel", "targetlabel", "data")
_PAIR = re.compile(r"\(\s*([^,()]+)\s*,\s*([^,()]+)\s*\)")


@dataclass(frozen=True)
class Case:
    """One series and its label.

    Attributes:
        values: (T, I), NaN where missing.
        time: (T,) rising time stamps; None where the file has none.
        label: as written.
        where: file and line.
    """

    values: Floats
    time: Floats | None
    label: str
    where: str


@dataclass(frozen=True)
class TsFile:
    """What a file holds; ``classes`` as its header lists them, None where the label is a number."""

    cases: tuple[Case, ...]
    classes: tuple[str, ...] | None


def read_ts(path: Path) -> TsFile:
    """Read a .ts file, plain or .gz.

    Raises:
        RequestError: the file is empty, binary or without cases; a header word is unknown; the header promises no
            label; or a case does not fit the header, has an infinite value, or channels of unequal number or length.
    """
    lines = enumerate(read_bytes(path).decode("utf-8-sig").splitlines(), 1)
    header = _header(lines, path)
    stamped = header.get("timestamps", ["false"])[0].lower() == "true"
    classes = _classes(header, path)
    cases = []
    for number, line in lines:
        if line.strip() and not line.startswith("#"):
            cases.append(_case(line.strip(), stamped, f"{path.name}, line {number}"))
    if not cases:
        raise RequestError(f"{path.name} has a header and no cases after @data.")
    _check(cases, classes)
    return TsFile(tuple(cases), classes)


def _header(lines: Iterator[tuple[int, str]], path: Path) -> dict[str, list[str]]:
    """Return the header's words with what follows each; ``lines`` is then at the first case."""
    header: dict[str, list[str]] = {}
    for number, line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith("@"):
            raise RequestError(
                f"{path.name}, line {number}: expected a header of @ lines up to @data; got {text[:40]!r}. Is this a"
                " .ts file of the UCR or UEA archive?"
            )
        word, *rest = text[1:].split()
        if word.lower() not in KNOWN:
            raise RequestError(f"{path.name}, line {number}: @{word} is unknown.{did_you_mean(word.lower(), KNOWN)}")
        if word.lower() == "data":
            return header
        header[word.lower()] = rest
    raise RequestError(f"{path.name} has no @data line, so no cases.")


def _classes(header: dict[str, list[str]], path: Path) -> tuple[str, ...] | None:
    for word in ("classlabel", "targetlabel"):
        flag, *names = header.get(word, ["false"])
        if flag.lower() == "true":
            if word == "classlabel" and len(names) < 2:
                raise RequestError(f"{path.name}: @classLabel true must list two or more classes; got {names}.")
            return tuple(names) if word == "classlabel" else None
    raise RequestError(f"{path.name} has neither @classLabel true nor @targetLabel true: its cases have no labels.")


def _case(line: str, stamped: bool, where: str) -> Case:
    *channels, label = (part.strip() for part in line.split(":"))
    if not channels or not label or label == "?":
        raise RequestError(f"{where}: the label is missing; expected channel:...:label; got {line[-40:]!r}.")
    read = [
        _stamped(channel, where) if stamped else (_numbers(channel.split(","), where), None) for channel in channels
    ]
    lengths = [len(values) for values, _ in read]
    if len(set(lengths)) > 1:
        raise RequestError(f"{where}: all channels of a case must be equally long; got lengths {lengths}.")
    times = [time for _, time in read if time is not None]
    if any(not np.array_equal(times[0], other) for other in times[1:]):
        raise RequestError(f"{where}: all channels of a case must have the same time stamps.")
    return Case(np.stack([values for values, _ in read], axis=1), times[0] if times else None, label, where)


def _stamped(channel: str, where: str) -> tuple[Floats, Floats]:
    pairs = _PAIR.findall(channel)
    if not pairs or _PAIR.sub("", channel).strip(", "):
        raise RequestError(f"{where}: expected pairs (time,value); got {channel[:40]!r}.")
    time = _numbers([stamp for stamp, _ in pairs], where)
    if not (np.diff(time) > 0).all():
        raise RequestError(f"{where}: time stamps must rise.")
    return _numbers([value for _, value in pairs], where), time


def _numbers(texts: list[str], where: str) -> Floats:
    try:
        values = np.array([np.nan if text.strip() in ("?", "") else float(text) for text in texts])
    except ValueError as error:
        raise RequestError(f"{where}: not a number: {error}. A missing value is written ?.") from error
    if np.isinf(values).any():
        step = int(np.flatnonzero(np.isinf(values))[0])
        raise RequestError(f"{where}: the value at step {step} is infinite. Write ? where a value is missing.")
    return values


def _check(cases: list[Case], classes: tuple[str, ...] | None) -> None:
    channels = cases[0].values.shape[1]
    for case in cases:
        if case.values.shape[1] != channels:
            raise RequestError(
                f"{case.where}: {case.values.shape[1]} channels, where {cases[0].where} has {channels}."
                " Is the label missing? It stands after the last colon."
            )
        if np.isnan(case.values).all():
            raise RequestError(f"{case.where}: the series has no value at all.")
        if classes is not None and case.label not in classes:
            raise RequestError(
                f"{case.where}: {case.label!r} is not a class of the header.{did_you_mean(case.label, classes)}"
            )
