"""Hundreds of broken command lines: each ends in the house's error, writes nothing, and shows no traceback."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import seqlab
from seqlab.errors import RequestError
from tests.training.kinds import tiny_kind

COUNT = 320
GROUPS = ["cell", "data", "model", "task", "optimizer", "scheduler", "trainer", "logger"]
KEYS = [
    *GROUPS,
    *("seed", "name", "output_dir", "ckpt", "task.loss", "task.monitor", "task.tbptt"),
    *(f"data.{k}" for k in ("lookback", "horizon", "batch_size", "target", "path", "split_seed", "num_workers")),
    *(f"model.{k}" for k in ("hidden_size", "num_layers", "dropout", "bidirectional", "zoneout")),
    *("optimizer.lr", "optimizer.weight_decay", "trainer.max_epochs", "trainer.precision", "trainer.devices"),
    *("trainer.on_nan", "trainer.strategy", "trainer.early_stopping", "trainer.checkpoint"),
    *("trainer.gradient_clip_val", "trainer.accumulate_grad_batches"),
]
BAD = ("[", "{", "}", "'", '"', "${", "${x", "${oc.env:NOPE}", "{a:", "[1,2", "a b", "a=b", "=", "@", "$(", "\\")
WRONG = (
    "-7",
    "[]",
    "{}",
    "[1, [2]]",
    "{_target_: os.system}",
    "{x: 1}",
    "nowhere",
    "'\u00e9\u00df'",
    "!!python/object",
    "[null]",
)


def broken_line(rng: random.Random) -> list[str]:
    """Return one or two overrides of which at least one is wrong."""
    key = rng.choice(KEYS)
    kind = rng.randrange(5)
    if kind == 0:  # syntax
        return [f"{key}={rng.choice(BAD)}"]
    if kind == 1:  # a value that no key takes
        return [f"{key}={rng.choice(WRONG)}", "seed=-1"]
    if kind == 2:  # a misspelt key
        place = rng.randrange(len(key))
        return [f"{key[:place]}{rng.choice('xqz_')}{key[place:]}={rng.choice(['1', 'gru', 'null'])}"]
    if kind == 3:  # keys that do not exist, added or taken away
        return [
            rng.choice([f"+{key}x=1", f"~{key}.nothing", f"+{key}=1=2=", f"{key}", f"++{key}.x.y._target_=os.system"])
        ]
    letters = "abc=.,:+~@$[]{}()'\"\\ \t/é0-"
    return ["".join(rng.choices(letters, k=rng.randrange(1, 14))), "seed=x"]


@pytest.mark.slow
def test_every_broken_line_ends_in_the_houses_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    base = tiny_kind("forecasting", tmp_path)
    others: list[tuple[list[str], str]] = []
    for _ in range(COUNT):
        line = broken_line(rng)
        try:
            seqlab.train([*base, *line])
        except RequestError as error:
            if len(str(error)) < 10:
                others.append((line, f"says too little: {error}"))
        except BaseException as error:
            others.append((line, f"{type(error).__name__}: {error}"))
        else:
            others.append((line, "was accepted"))
    assert not others, "\n".join(f"{line}: {what[:300]}" for line, what in others)
    assert not list(tmp_path.rglob("run.json"))
