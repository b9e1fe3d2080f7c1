"""The calibration benchmark: that it runs, and that its bars bite. Its figures need thousands of repetitions."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fabricated_runs import write_runs

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "calibration.py"


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["calibration"]


def test_every_source_is_measured_at_every_n(calibration, tmp_path, capsys):
    runs = write_runs(tmp_path, {"gru": [0.1 + k / 100 for k in range(10)], "rnn": [0.1] * 9})
    assert calibration.main([str(runs), "--repetitions", "4", "--n", "3,4"]) in (0, 1)
    said = capsys.readouterr().out
    assert "left out: rnn on co2, 9 runs" in said
    lines = [line for line in said.splitlines() if line.startswith(" ") and " % " in line]
    assert [line.split()[0] for line in lines] == ["normal", "normal", "skewed", "skewed", "recorded:", "recorded:"]


def test_a_bar_is_missed_by_more_than_chance(calibration):
    good = calibration.Rates("normal", 5, 2_000, 0.05, 0.0, 0.06, 0.03, 0.95, 0.84)
    assert calibration.missed(good) == []
    bad = calibration.Rates("normal", 5, 2_000, 0.08, 0.0, 0.05, 0.05, 0.90, 0.84)
    assert calibration.missed(bad) == ["normal, n=5: t 8.0 % false positives", "normal, n=5: coverage 90.0 %"]
    skewed = calibration.Rates("skewed (log-normal)", 5, 2_000, 0.02, 0.0, 0.02, 0.02, 0.80, 0.70)
    assert calibration.missed(skewed) == []


def test_a_test_that_finds_too_much_is_caught(calibration, monkeypatch):
    """With intervals and p values of a far smaller spread, the rates must show it."""
    true_interval = calibration.t_interval
    monkeypatch.setattr(calibration, "t_interval", lambda scores, level: true_interval(scores, 0.5))
    source = calibration.sources([])[0]
    rates = calibration.measure(source, 4, 30, np.random.default_rng(0))
    assert "coverage" in calibration.missed(rates)[0]
