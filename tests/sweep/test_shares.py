"""A machine divided among jobs."""

from __future__ import annotations

from typing import Any

import pytest

from seqlab.errors import RequestError
from seqlab.sweep.shares import MOST_JOBS, divide

CPU = {"accelerator": "cpu", "devices": 1}
AUTO = {"accelerator": "auto", "devices": "auto"}
GPU = {"accelerator": "gpu", "devices": 1}


@pytest.fixture(autouse=True)
def _no_threads_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(
    ("jobs", "trainer", "cores", "gpus", "at_once", "threads", "seen"),
    [
        (None, CPU, 2, "", 2, 1, None),
        (None, CPU, 6, "", 6, 1, None),
        (None, CPU, 64, "", MOST_JOBS, 8, None),
        (3, CPU, 8, "", 3, 2, None),
        (5, CPU, 2, "", 5, 1, None),
        (None, {**CPU, "devices": 2}, 8, "", 4, 2, None),
        (None, CPU, 4, "01", 4, 1, None),
        (None, GPU, 8, "0123", 4, 2, ["0", "1", "2", "3"]),
        (2, GPU, 8, "0123", 2, 4, ["01", "23"]),
        (4, GPU, 8, "57", 4, 2, ["5", "7", "5", "7"]),
        (None, {**GPU, "devices": 2}, 8, "0123", 2, 4, ["01", "23"]),
        (None, AUTO, 8, "0123", 1, 8, ["0123"]),
        (2, AUTO, 8, "0123", 2, 4, ["01", "23"]),
        (None, AUTO, 2, "", 2, 1, None),
    ],
)
def test_division(
    jobs: int | None, trainer: dict[str, Any], cores: int, gpus: str, at_once: int, threads: int, seen: list[str] | None
) -> None:
    shares = divide(jobs, trainer, cores, list(gpus))
    assert (shares.jobs, shares.threads) == (at_once, threads)
    given = [shares.variables(slot).get("CUDA_VISIBLE_DEVICES") for slot in range(shares.jobs)]
    assert given == ([",".join(s) for s in seen] if seen else [None] * at_once)


def test_a_person_may_say_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert divide(2, CPU, 16, []).threads == 3


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, "two"])
def test_jobs_is_a_count(jobs: Any) -> None:
    with pytest.raises(RequestError, match=r"hydra\.launcher\.jobs must be a whole number of at least 1, or null"):
        divide(jobs, CPU, 2, [])


def test_more_than_the_share_is_refused() -> None:
    with pytest.raises(RequestError, match=r"of 2 jobs at once needs 8 GPUs; 4 are visible"):
        divide(2, {**GPU, "devices": 4}, 8, list("0123"))
