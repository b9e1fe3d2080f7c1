"""What docstrings in Google's style say of each argument."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from typing import Any


def sections(thing: object) -> dict[str, str]:
    """Return a Google-style docstring's parts: "" for what stands before the first section, then Args, Raises, ..."""
    found = {"": ""}
    name = ""
    for line in (inspect.getdoc(thing) or "").splitlines():
        head = re.fullmatch(r"(Args|Attributes|Raises|Returns):", line)
        name = head[1] if head else name
        found[name] = found.get(name, "") + ("" if head else line + "\n")
    return {name: text.strip("\n") for name, text in found.items()}


def arguments(thing: object) -> dict[str, str]:
    """Return what a docstring says of each argument; "a, b: text" counts for both."""
    parts = sections(thing)
    text = inspect.cleandoc(parts.get("Args", "") + "\n" + parts.get("Attributes", ""))
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", text):
        names, _, meaning = entry.partition(":")
        found |= {name.strip(): " ".join(meaning.split()) for name in names.split(",") if meaning}
    return found


def meaning(thing: Any, key: str) -> str:
    """Return what ``key`` means, following "see ``Other``" and "Arguments as for Other"; "" if nothing says so."""
    known = arguments(thing)
    pointer = re.fullmatch(r"see ``([\w.]+)``\.?", known.get(key, ""))
    same = re.search(r"Arguments as for (\w+)\.", sections(thing)[""])
    if same:
        return meaning(named(same[1], thing), key)
    if pointer:
        return meaning(named(pointer[1], thing), key)
    if key in known:
        return known[key]
    for text in known.values():  # "wrappers: ``zoneout`` and others; see ``seqlab.cells.wrap``"
        pointer = re.search(r"see ``([\w.]+)``", text)
        if pointer and f"``{key}``" in text:
            return meaning(named(pointer[1], thing), key)
    parents = thing.__mro__[1:] if inspect.isclass(thing) else ()
    return next((meaning(p, key) for p in parents if p.__module__.startswith("seqlab") and meaning(p, key)), "")


def named(name: str, beside: Any) -> Any:
    """Return what a docstring calls ``name``: dotted from seqlab or from the package, or known in a loaded module."""
    module, _, last = name.rpartition(".")
    for place in (module, f"{beside.__module__.rpartition('.')[0]}.{module}") if module else ():
        if place in sys.modules or (place.startswith("seqlab.") and importlib.util.find_spec(place)):
            return getattr(importlib.import_module(place), last)
    holders = [sys.modules[beside.__module__], *(m for n, m in sys.modules.items() if n.startswith("seqlab."))]
    return next(getattr(holder, last) for holder in holders if hasattr(holder, last))
