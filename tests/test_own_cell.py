"""Adding a cell is one module and one yaml: it is then listed, trained and tested, and no other file is touched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = '''
"""Leaky integrator (a worked example)."""

import torch
from torch import nn

from seqlab.cells import RecurrentCell, unroll_by_steps


class Leaky(RecurrentCell):
    """h' = a h + (1 - a) tanh(W x + b), with a = s(alpha) for each unit."""

    family = "gated"

    def __init__(self, input_size, hidden_size, leak=0.5):
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, hidden_size)
        self.alpha = nn.Parameter(torch.full((hidden_size,), leak))

    def initial_state(self, batch_size):
        return (self.alpha.new_zeros(batch_size, self.hidden_size),)

    def project(self, x, state, lengths=None, aux=None):
        return (torch.tanh(self.input(x)),), state

    def step(self, pre, state):
        a = torch.sigmoid(self.alpha)
        h = a * state[0] + (1 - a) * pre[0]
        return h, (h,)

    def unroll(self, x, state=None, lengths=None, aux=None):
        return unroll_by_steps(self, x, state, lengths, aux)
'''
YAML = "# Leaky integrator | Nobody 2026 | a test\n_target_: my_cells.leaky.Leaky\nleak: 0.5\n"


@pytest.fixture
def own(tmp_path: Path) -> dict[str, str]:
    """A package of one's own with one cell, and a folder of configs; the environment in which both are known."""
    (tmp_path / "my_cells").mkdir()
    (tmp_path / "my_cells" / "__init__.py").touch()
    (tmp_path / "my_cells" / "leaky.py").write_text(MODULE)
    (tmp_path / "conf" / "cell").mkdir(parents=True)
    (tmp_path / "conf" / "cell" / "leaky.yaml").write_text(YAML)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run(own: dict[str, str], tmp_path: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *arguments], env=own, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.process
def test_listed_trained_and_tested(own: dict[str, str], tmp_path: Path) -> None:
    door = ["--config-dir", str(tmp_path / "conf"), "--trust", "my_cells"]
    assert "leaky" in run(own, tmp_path, "seqlab", "list", "cells", *door).split()
    tiny = ["data=sunspots", "cell=leaky", "model.hidden_size=4", "trainer=debug"]
    assert "leaky" in run(own, tmp_path, "seqlab", "train", *tiny, *door)
    assert len(list(tmp_path.rglob("run.json"))) == 1
    own |= {"SEQLAB_CONFIG_PATH": str(tmp_path / "conf"), "SEQLAB_TRUST": "my_cells"}
    laws = Path(__file__).parent / "cells" / "test_laws.py"
    root = ["-c", str(Path(__file__).parents[1] / "pyproject.toml"), "--rootdir", str(Path(__file__).parents[1])]
    said = run(own, tmp_path, "pytest", "-q", *root, str(laws), "-k", "leaky")
    assert "passed" in said
    assert "failed" not in said


def test_contributing_shows_this_very_cell() -> None:
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    (shown,) = (b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Leaky" in b)
    body = re.sub(r"  # .*", "", shown[shown.index("class Leaky") :]).strip()
    assert body in re.sub(r"  # .*", "", MODULE)


@pytest.mark.process
def test_without_trust_it_is_refused(own: dict[str, str], tmp_path: Path) -> None:
    arguments = ["train", "data=sunspots", "cell=leaky", "--config-dir", str(tmp_path / "conf")]
    ended = subprocess.run(
        [sys.executable, "-m", "seqlab", *arguments], env=own, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "--trust my_cells" in ended.stderr
