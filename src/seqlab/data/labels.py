"""Labels as written in a source become class numbers, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seqlab.data._base import Split
from seqlab.data.text_formats import Rows
from seqlab.errors import RequestError, did_you_mean

MISSING = ("", "nan", "NaN", "None", "null")


def number_labels(
    rows: Mapping[Split, Rows], class_names: Sequence[str] | None, first_label: int | None = None
) -> tuple[tuple[str, ...], dict[Split, NDArray[np.int64]]]:
    """Return the class names and each split's (N,) class numbers.

    Args:
        rows: what was read; "train" alone decides the classes where no names are given.
        class_names: names in the order of their numbers. A source may write the names, or numbers: then these count
            from 0 in a file that has a 0 and from 1 in a file that has a C.
        first_label: what a source that writes numbers calls the first class; None to tell by the rule above.

    Raises:
        RequestError: a label is missing, a real number, or not a class; all labels of a split are -1; there are not
            two classes.
    """
    written = {split: _whole_numbers(part) for split, part in rows.items()}
    if class_names is None:
        class_names = _classes(written["train"], rows["train"].origin)
    numbers = {name: number for number, name in enumerate(class_names)}
    if len(numbers) < 2 or len(numbers) < len(class_names):
        raise RequestError(f"Classification needs two or more different classes; got {list(class_names)}.")
    result: dict[Split, NDArray[np.int64]] = {}
    for split, labels in written.items():
        origin = rows[split].origin
        code = numbers
        if not any(label in numbers for label in labels) and all(map(_is_whole, labels)):
            base = _first_label(origin, set(map(int, labels)), class_names, first_label)
            code = {str(number + base): number for number in range(len(class_names))}
        for row, label in enumerate(labels, 1):
            if label not in code:
                raise RequestError(
                    f"{origin}, row {row} ({split}): {label!r} is not a class of the training split."
                    f"{did_you_mean(label, code)}"
                )
        result[split] = np.array([code[label] for label in labels], dtype=np.int64)
    return tuple(class_names), result


def _whole_numbers(rows: Rows) -> list[str]:
    """Return the labels with 1.0 written as 1; refuse what is no class."""
    missing = [row for row, label in enumerate(rows.labels, 1) if label is None or label.strip() in MISSING]
    if missing:
        raise RequestError(
            f"{rows.origin}: {len(missing)} of {len(rows.labels)} labels are missing (first in row {missing[0]})."
            " Fill them or leave those rows out."
        )
    labels = [str(label).strip() for label in rows.labels]
    values = {label: _number(label) for label in set(labels)}
    if all(values[label] == -1 for label in labels):
        raise RequestError(
            f"{rows.origin}: all {len(labels)} labels are -1, which stands for labels that were withheld."
            " Use a copy of the set whose labels are real, or name another split."
        )
    if any(value is None for value in values.values()):
        return labels
    fractional = [label for label, value in values.items() if value is not None and not value.is_integer()]
    if fractional:
        raise RequestError(
            f"{rows.origin}: the labels are real numbers ({sorted(fractional)[0]}, ...), not classes."
            " Is data.label the right column? Grades must be cut into classes first."
        )
    return [str(int(values[label] or 0)) for label in labels]


def _number(label: str) -> float | None:
    try:
        value = float(label)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _is_whole(label: str) -> bool:
    return label.removeprefix("-").isdecimal()


def _classes(labels: Sequence[str], origin: str) -> list[str]:
    names = sorted(set(labels), key=int) if all(map(_is_whole, labels)) else sorted(set(labels))
    if 2 * len(names) > len(labels):
        raise RequestError(
            f"{origin}: {len(names)} different labels in {len(labels)} rows. Is data.label the right column?"
        )
    return names


def _first_label(origin: str, found: set[int], names: Sequence[str], given: int | None) -> int:
    if given is not None:
        return given
    if 0 in found:
        return 0
    if len(names) in found:
        return 1
    raise RequestError(
        f"{origin}: do the labels {sorted(found)} count the {len(names)} classes ({', '.join(names)}) from 0 or from 1?"
        " Set data.files.first_label."
    )
