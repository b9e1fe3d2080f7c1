"""Synthetic tasks: an oracle solves each, the trivial score is what the docstring says, splits are disjoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from seqlab.config import build, load, options
from seqlab.data import SPLITS, Batch, SequenceData, Split
from seqlab.data.sequences import UNLABELLED
from seqlab.data.synthetic import Synthetic
from seqlab.data.synthetic.adding import Adding
from seqlab.data.synthetic.anbn import AnBn
from seqlab.data.synthetic.associative_recall import AssociativeRecall
from seqlab.data.synthetic.copying import Copying
from seqlab.data.synthetic.delayed_recall import DelayedRecall
from seqlab.data.synthetic.parity import Parity
from seqlab.data.synthetic.selective_copying import SelectiveCopying
from seqlab.errors import RequestError

SMALL: dict[str, dict[str, Any]] = {
    "adding": {"length": 7, "sizes": [60, 20, 20]},
    "copying": {"length": 4, "items": 3, "symbols": 5, "sizes": [60, 20, 20]},
    "selective_copying": {"length": 9, "items": 3, "symbols": 5, "sizes": [60, 20, 20]},
    "delayed_recall": {"length": 9, "symbols": 4, "sizes": [60, 20, 20]},
    "parity": {"length": 8, "test_length": 15, "sizes": [60, 20, 20]},
    "anbn": {"length": 12, "test_length": 20, "sizes": [60, 20, 20]},
    "associative_recall": {"length": 12, "pairs": 3, "keys": 5, "values": 4, "sizes": [60, 20, 20]},
}


def make(name: str, **changes: Any) -> SequenceData:
    data = build({**load("data", name), **changes}, SequenceData)
    data.setup()
    return data


def whole(data: SequenceData, split: Split) -> Batch:
    examples = data.examples(split)
    return examples.__getitems__(range(len(examples)))


# --- oracles: each reads one sequence step by step and knows nothing of how it was drawn ---


def solve_adding(x: list[list[float]]) -> list[float]:
    return [sum(number for number, marker in x if marker == 1)]


def solve_copying(x: list[int]) -> list[int]:
    kept = [token - 4 for token in x if token > 4]
    return [kept[i - len(x)] if i >= len(x) - len(kept) else 0 for i in range(len(x))]


def solve_selective_copying(x: list[int]) -> list[int]:
    memory = [token - 4 for token in x if token > 3]
    return [memory.pop(0) if token == 3 else UNLABELLED for token in x]


def solve_delayed_recall(x: list[int]) -> int:
    return x[x.index(3) + 1] - 5


def solve_parity(x: list[int]) -> list[int]:
    answers, odd = [], False
    for token in x:
        odd ^= token == 4
        answers.append(int(odd))
    return answers


def solve_anbn(x: list[int]) -> list[int]:
    answers, count = [], 0
    for token in x:
        count += 1 if token == 3 else -1
        answers.append(0 if token == 3 else 1 if count else 2)
    return answers


def solve_associative_recall(x: list[int]) -> list[int]:
    memory: dict[int, int] = {}
    answers = [UNLABELLED] * len(x)
    for i, token in enumerate(x):
        if 3 <= token < 8 and token in memory:
            answers[i] = memory[token]
        elif token >= 8:
            memory[x[i - 1]] = token - 8
    return answers


SOLVERS: dict[str, Callable[[Any], Any]] = {
    "adding": solve_adding,
    "copying": solve_copying,
    "selective_copying": solve_selective_copying,
    "delayed_recall": solve_delayed_recall,
    "parity": solve_parity,
    "anbn": solve_anbn,
    "associative_recall": solve_associative_recall,
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", SOLVERS)
def test_an_oracle_solves_every_sequence(name: str, split: Split) -> None:
    batch = whole(make(name, **SMALL[name]), split)
    assert batch.y is not None
    lengths = [batch.x.shape[1]] * len(batch) if batch.lengths is None else batch.lengths.tolist()
    for x, y, length in zip(batch.x, batch.y, lengths, strict=True):
        answer = SOLVERS[name](x[:length].tolist())
        if y.ndim and len(y) == len(x):
            assert (y[length:] == UNLABELLED).all()
            y = y[:length]
        assert y.tolist() == pytest.approx(answer)


@pytest.mark.parametrize("name", SOLVERS)
def test_splits_share_no_sequence_and_have_their_sizes(name: str) -> None:
    data = make(name, **SMALL[name])
    seen: dict[Split, set[bytes]] = {}
    for split in SPLITS:
        batch = whole(data, split)
        rows = (
            batch.x.numpy()
            if batch.lengths is None
            else [x[:n].numpy() for x, n in zip(batch.x, batch.lengths, strict=True)]
        )
        seen[split] = {row.tobytes() for row in rows}
        assert len(batch) == SMALL[name]["sizes"][SPLITS.index(split)]
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["test"]
    assert not seen["val"] & seen["test"]


@pytest.mark.parametrize("name", SOLVERS)
def test_the_seed_and_the_arguments_decide_everything(name: str) -> None:
    one, same, other = (make(name, **SMALL[name], split_seed=s) for s in (0, 0, 1))
    for split in SPLITS:
        a, b = (whole(data, split) for data in (one, same))
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y, b.y)  # type: ignore[arg-type]
    assert not torch.equal(whole(one, "train").x, whole(other, "train").x)
    assert one.fingerprint() == same.fingerprint() == other.fingerprint()
    longer = build({**load("data", name), **SMALL[name], "length": SMALL[name]["length"] + 2}, SequenceData)
    assert longer.fingerprint() != one.fingerprint()


@pytest.mark.parametrize("name", SOLVERS)
def test_counts_of_classes_are_those_of_the_training_split(name: str) -> None:
    data = make(name, **SMALL[name])
    y = whole(data, "train").y
    assert y is not None
    if data.spec.kind == "regression":
        assert data.spec.class_counts == ()
    else:
        assert data.spec.class_counts == tuple(
            torch.bincount(y[y != UNLABELLED], minlength=data.spec.output_size).tolist()
        )
        assert len(data.spec.class_names) == data.spec.output_size


# --- trivial scores, as the docstrings state them ---


def trivial(data: SequenceData) -> tuple[torch.Tensor, torch.Tensor]:
    (predictor,) = data.baselines("test").values()
    batch = whole(data, "test")
    assert batch.y is not None
    return predictor(batch), batch.y


def test_adding_is_a_sixth_without_memory() -> None:
    guess, y = trivial(make("adding", length=5, sizes=[20000, 10, 20000]))
    assert torch.mean((guess - y) ** 2).item() == pytest.approx(1 / 6, rel=0.03)


def test_copying_costs_the_published_loss_without_memory() -> None:
    data = make("copying", length=1000, items=10, symbols=8, sizes=[200, 20, 20])
    logits, y = trivial(data)
    nll = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()).item()
    assert nll == pytest.approx(10 * math.log(8) / 1020, rel=0.02)
    assert round(10 * math.log(8) / 1020, 4) == 0.0204


def test_recall_alone_can_be_scored() -> None:
    batch = whole(make("copying", length=4, items=2, scored="recall", sizes=[9, 3, 3]), "train")
    assert batch.y is not None
    assert (batch.y[:, :-2] == UNLABELLED).all()
    assert (batch.y[:, -2:] > 0).all()


@pytest.mark.parametrize(
    ("name", "changes", "chance"),
    [
        ("selective_copying", {"symbols": 5, "sizes": [5000, 10, 5000]}, 1 / 5),
        ("delayed_recall", {"symbols": 4, "sizes": [5000, 10, 5000]}, 1 / 4),
        ("parity", {"sizes": [5000, 10, 1000]}, 1 / 2),
        ("associative_recall", {"values": 4, "sizes": [5000, 10, 5000]}, 1 / 4),
    ],
)
def test_without_memory_a_label_is_a_guess(name: str, changes: dict[str, Any], chance: float) -> None:
    guess, y = trivial(make(name, **changes))
    labelled = y != UNLABELLED
    assert (guess.argmax(-1) == y)[labelled].float().mean().item() == pytest.approx(chance, abs=0.03)


def test_without_memory_no_string_of_anbn_is_understood() -> None:
    data = make("anbn", sizes=[2000, 40, 40])
    guess, y = trivial(data)
    wrong = (guess.argmax(-1) != y) & (y != UNLABELLED)
    assert wrong.sum(1).tolist() == [1] * 40


# --- what a task is made of ---


def test_parity_and_anbn_are_tested_on_longer_sequences() -> None:
    parity, anbn = make("parity", **SMALL["parity"]), make("anbn", **SMALL["anbn"])
    assert set(np.diff(parity.examples("test").offsets)) <= set(range(9, 16))  # type: ignore[attr-defined]
    assert set(np.diff(parity.examples("train").offsets)) == set(range(1, 9))  # type: ignore[attr-defined]
    lengths = {split: set(np.diff(anbn.examples(split).offsets)) for split in SPLITS}  # type: ignore[attr-defined]
    assert lengths == {"train": {2, 4, 8, 10, 12}, "val": {6}, "test": {14, 16, 18, 20}}


def test_parity_can_be_supervised_at_the_last_step_alone() -> None:
    batch = whole(make("parity", supervision="last", **SMALL["parity"]), "train")
    assert batch.y is not None
    assert batch.lengths is not None
    assert (batch.y != UNLABELLED).sum(1).tolist() == [1] * 60
    assert (batch.y.gather(1, batch.lengths[:, None] - 1) >= 0).all()


def test_keys_of_a_sequence_differ_and_each_is_asked_for_once() -> None:
    batch = whole(make("associative_recall", **SMALL["associative_recall"]), "train")
    keys = batch.x[:, 0:6:2].sort(1).values
    asked = [sorted(row[6:][row[6:] > 2].tolist()) for row in batch.x]
    assert (keys.diff(dim=1) > 0).all()
    assert asked == keys.tolist()


def test_marks_of_the_adding_problem_may_stand_anywhere() -> None:
    batch = whole(make("adding", length=4, sizes=[4000, 5, 5]), "train")
    assert (batch.x[..., 1].sum(1) == 2).all()
    assert batch.x[..., 1].mean(0).tolist() == pytest.approx([0.5] * 4, abs=0.04)


# --- refusals ---


@pytest.mark.parametrize(
    ("make_task", "message"),
    [
        (lambda: Adding(length=1), "data.length must be a whole number from 2: two steps are marked; got 1"),
        (lambda: Adding(sizes=[10, 0, 10]), "three numbers"),
        (lambda: Adding(split_seed=-1), "data.split_seed"),
        (lambda: Copying(scored="al"), "data.scored='al' is unknown. Did you mean 'all'"),
        (lambda: SelectiveCopying(length=3, items=4), "data.items=4 symbols must find a place; got 3"),
        (lambda: DelayedRecall(symbols=1), "data.symbols"),
        (lambda: Parity(length=9, test_length=8), r"from 9 \(data.length=9\); got 8"),
        (lambda: AnBn(length=20, test_length=20), "one string beyond data.length=20; got 20"),
        (lambda: AssociativeRecall(length=11, pairs=4), "data.pairs=4 pairs and as many queries; got 11"),
        (lambda: AssociativeRecall(keys=3), "data.pairs=4 keys must differ; got 3"),
        (lambda: Adding(length=2.5), "got 2.5"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_drawn_is_refused(make_task: Callable[[], Synthetic], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        make_task()


def test_too_few_different_sequences_are_refused() -> None:
    task = Parity(length=1, test_length=1, sizes=[100, 100, 100])
    with pytest.raises(RequestError, match="too few different sequences"):
        task.setup()


def test_every_synthetic_task_has_an_oracle() -> None:
    targets = {name: load("data", name)["_target_"] for name in options("data")}
    synthetic = {name for name, target in targets.items() if target.startswith("seqlab.data.synthetic.")}
    assert synthetic - {"tagging"} == set(SOLVERS)
