"""An experiment of one's own with a header, and runs of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seqlab.reproduce.header import load
from seqlab.reproduce.preset import Reproduction

BODY = """defaults:
  - override /data: sunspots
  - override /trainer: debug
model: {hidden_size: 4}
data: {lookback: 12, batch_size: 16}
"""
Write = Callable[..., Reproduction]


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of configs that is searched."""
    folder = tmp_path / "configs"
    (folder / "experiment").mkdir(parents=True)
    monkeypatch.setenv("SEQLAB_CONFIG_PATH", str(folder))
    return folder


@pytest.fixture
def write(configs: Path) -> Write:
    """Write an experiment whose header has the given keys (a text as YAML, None for a key left out), and load it."""

    def written(name: str = "mine", first: str = "What | expects | 1 min", **keys: str | None) -> Reproduction:
        lines = [first, *(f"{key}: {text}" for key, text in keys.items() if text is not None)]
        comments = "".join(f"# {line}\n" for line in "\n".join(lines).splitlines())
        (configs / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\n{comments}{BODY}")
        return load(name)

    return written
