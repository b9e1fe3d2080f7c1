"""A tiny data set of every kind, from nothing: six batches an epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io

#: What every tiny run shares.
BASE = [
    "data.batch_size=16",
    "model.hidden_size=4",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "trainer.enable_model_summary=false",
    "trainer.checkpoint.min_seconds=0",
]
SIZES = "data.sizes=[96,24,24]"


def forecasting(folder: Path) -> list[str]:
    """A noisy wave in a csv file."""
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(150) / 3) + 0.1 * rng.standard_normal(150)
    days = np.datetime64("2020-01-01") + np.arange(150)
    lines = ["date,y", *(f"{day},{value:.6f}" for day, value in zip(days, values, strict=True))]
    (folder / "wave.csv").write_text("\n".join(lines) + "\n")
    return ["data=csv", f"data.path={folder / 'wave.csv'}", "data.target=y", "data.lookback=8", "data.horizon=2"]


def text(folder: Path) -> list[str]:
    """Sentences of four words whose last word decides the class."""
    rng = np.random.default_rng(0)
    words = ["red", "green", "blue", "round", "square", "long"]
    rows = [(" ".join(rng.choice(words, 3)), rng.choice(["good", "bad"])) for _ in range(120)]
    (folder / "texts.csv").write_text("text,label\n" + "".join(f"{t} {label}ly,{label}\n" for t, label in rows))
    return ["data=text", f"data.path={folder / 'texts.csv'}"]


def labelling(folder: Path) -> list[str]:
    """The project's own made-up tags."""
    return ["data=tagging", SIZES]


def series(folder: Path) -> list[str]:
    """Series of two channels, rising or falling, in a .ts file."""
    rng = np.random.default_rng(0)
    lines = ["@classLabel true up down", "@data"]
    for number in range(150):
        slope = 1 if number % 2 else -1
        channels = slope * np.linspace(-1, 1, 7) + 0.3 * rng.standard_normal((2, 7))
        lines.append(":".join(",".join(f"{v:.4f}" for v in c) for c in channels) + f":{'up' if number % 2 else 'down'}")
    (folder / "slopes.ts").write_text("\n".join(lines) + "\n")
    return ["data=ucr", f"data.path={folder / 'slopes.ts'}"]


def regression(folder: Path) -> list[str]:
    """The adding problem."""
    return ["data=adding", "data.length=8", SIZES]


def next_step(folder: Path) -> list[str]:
    """Rolls of two notes that take turns, in a .mat file."""
    rng = np.random.default_rng(0)

    def pieces(count: int) -> np.ndarray:
        held = np.empty((1, count), dtype=object)
        for i in range(count):
            held[0, i] = np.zeros((rng.integers(5, 10), 88))
            held[0, i][:, 30] = np.arange(len(held[0, i])) % 2
            held[0, i][rng.integers(len(held[0, i])), 40] = 1
        return held

    names = {"traindata": pieces(96), "validdata": pieces(20), "testdata": pieces(20)}
    scipy.io.savemat(folder / "JSB_Chorales.mat", names)
    return ["data=jsb_chorales", f"data.path={folder}"]


KINDS: dict[str, Callable[[Path], list[str]]] = {
    kind.__name__: kind for kind in (forecasting, text, labelling, series, regression, next_step)
}


def tiny_kind(kind: str, folder: Path, *overrides: str) -> list[str]:
    """Return the overrides of a tiny run of one kind of data.

    Args:
        kind: a name of ``KINDS``.
        folder: where the data is made; runs go to its ``out``.
        overrides: further ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = [*KINDS[kind](folder), *BASE, f"output_dir={folder / 'out'}", "name=tiny", *overrides]
    return list({override.partition("=")[0]: override for override in given}.values())
