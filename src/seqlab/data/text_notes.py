"""What the preparation of a text set did, in sentences for the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqlab.data._base import SPLITS


def sentences(notes: Mapping[str, Any]) -> dict[str, str]:
    """Return the lines that a person is shown of the counts in ``notes``; what did not occur is left out."""
    rows = ", ".join(f"{notes[f'rows/{split}']:,} {split}" for split in SPLITS)
    lines = {
        "texts": f"{rows}; {notes['padding_share']:.1%} of a training epoch is padding",
        "vocabulary": f"{notes['vocabulary_size']:,} tokens; {notes['unknown_share/test']:.1%} of the test split's are"
        " unknown",
    }
    if repeated := _counts(notes, ("duplicates/", "contradictions/")):
        fate = {"keep": "kept; data.duplicates=drop leaves them out", "drop": "left out"}[notes["duplicates"]]
        lines["repeated texts"] = f"{repeated} ({fate}; contradictions stay)"
    elsewhere = ("truncated/", "empty/", "missing_texts/", "blank_lines/", "files_left_out/")
    if treated := _counts(notes, elsewhere):
        lines["treated"] = treated
    if "vectors_covered" in notes:
        lines["vectors"] = f"{notes['vectors_covered']:.1%} of the vocabulary has a pretrained vector"
    return lines


def _counts(notes: Mapping[str, Any], prefixes: tuple[str, ...]) -> str:
    found = {key: value for key, value in notes.items() if key.startswith(prefixes) and value}
    return ", ".join(f"{value:,} {key.replace('/', ' in ').replace('_', ' ')}" for key, value in found.items())
