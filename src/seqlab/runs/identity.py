"""Which config is the same experiment: the part of a run folder's name that follows from what was asked."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

from seqlab.config import resolve_class

GROUPS = ("data", "cell", "model", "task", "optimizer", "scheduler")
#: Keys of data that say where it lies or how fast it is read; the fingerprint stands for them.
PLACE_KEYS = frozenset({"path", "num_workers", "cache"})
#: Trainer keys that can't change a result: what is shown, written and how often it is saved.
SHOW_KEYS = frozenset(
    {
        "enable_progress_bar",
        "enable_model_summary",
        "enable_checkpointing",
        "default_root_dir",
        "log_every_n_steps",
        "logger",
        "profiler",
        "checkpoint",
        "plugins",
    }
)


def identity(config: Mapping[str, Any], fingerprint: str) -> str:
    """Return eight hex digits that are equal for the same experiment and differ for another.

    Values equal to a constructor's default are left out, so that a key added later keeps old hashes; seed, name,
    output folder, logger and the number of workers do not count.

    Args:
        config: the resolved config.
        fingerprint: of the data; it stands in place of paths.
    """
    kept: dict[str, Any] = {"fingerprint": fingerprint}
    for group in GROUPS:
        node = config.get(group) or {}
        place = PLACE_KEYS if group == "data" else frozenset()
        kept[group] = {k: v for k, v in _without_defaults(node).items() if k not in place}
    # A budget decides the width; and without one the key says nothing.
    kept["model"].pop("parameter_budget" if kept["model"].get("parameter_budget") is None else "hidden_size", None)
    kept["trainer"] = {k: v for k, v in _trainer(config.get("trainer") or {}).items() if k not in SHOW_KEYS}
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _without_defaults(node: Mapping[str, Any]) -> dict[str, Any]:
    if "_target_" not in node:
        return dict(node)
    parameters = inspect.signature(resolve_class(node["_target_"], object)).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    return {
        k: _canonical(v) for k, v in node.items() if not (k in defaults and _canonical(v) == _canonical(defaults[k]))
    }


def _trainer(node: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: absent values and empty settings."""
    return {k: v for k, v in node.items() if v is not None and v is not False and v != {}}


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
