"""The order of batches: a function of seed and epoch, shared by processes, taken up anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from seqlab.data import Batch, Batches, Loader

# From Python 3.12 on, forking a process that has threads warns; torch's data workers are forked.
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


class Numbers:
    """Example i is the number i."""

    lengths: NDArray[np.int64] | None = None

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        index = torch.as_tensor(indices, dtype=torch.int64)
        return Batch(x=index[:, None, None].float(), index=index)


def loader(size: int = 23, batch_size: int = 4, workers: int = 0, **arguments: Any) -> Loader:
    return Loader(Numbers(size), Batches(size, batch_size, **({"shuffle": True} | arguments)), workers)


def order(batches: Iterator[Batch]) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches]


# --- the order ---


def test_without_shuffling_the_order_is_the_examples_own() -> None:
    assert order(iter(loader(10, shuffle=False))) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader(10)) == 3


def test_each_epoch_holds_every_example_once_in_an_order_of_its_own() -> None:
    source = loader()
    epochs = [order(iter(source)) for _ in range(3)]
    assert all(sorted(chain.from_iterable(epoch)) == list(range(23)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first = loader(seed=1)
    epochs = [order(iter(first)) for _ in range(2)]
    torch.manual_seed(99)
    np.random.seed(99)
    again = loader(seed=1)
    assert [order(iter(again)) for _ in range(2)] == epochs
    assert order(iter(loader(seed=2))) != epochs[0]


def test_loading_draws_nothing_from_the_global_random_states() -> None:
    torch.manual_seed(0)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    order(iter(loader()))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # type: ignore[index]


@settings(deadline=None, max_examples=100)
@given(
    size=st.integers(0, 60),
    batch_size=st.integers(1, 17),
    world=st.integers(1, 5),
    shuffle=st.booleans(),
    bucketed=st.booleans(),
    weighted=st.booleans(),
    position=st.integers(0, 20),
)
def test_the_processes_batches_make_up_the_global_batch(
    size: int, batch_size: int, world: int, shuffle: bool, bucketed: bool, weighted: bool, position: int
) -> None:
    arguments: dict[str, Any] = {"seed": 3, "shuffle": shuffle}
    if bucketed:
        arguments["lengths"] = np.random.default_rng(0).integers(1, 9, size)
    if weighted:
        arguments["weights"] = np.random.default_rng(1).random(size) + 0.1
    whole = Batches(size, batch_size, **arguments)
    parts = [Batches(size, batch_size, rank=rank, world=world, **arguments) for rank in range(world)]
    for batches in (whole, *parts):
        batches.position = position
    expected = list(whole)
    slices = [list(part) for part in parts]
    assert [len(part) for part in slices] == [len(expected)] * world
    for at, batch in enumerate(expected):
        merged = np.empty(len(batch), dtype=np.int64)
        for rank in range(world):
            merged[rank::world] = slices[rank][at]
        assert merged.tolist() == batch
    if not weighted and position == 0:
        assert sorted(chain.from_iterable(expected)) == list(range(size))


def test_a_tail_smaller_than_the_processes_leaves_some_an_empty_batch() -> None:
    sources = [loader(9, 4, rank=rank, world=3, shuffle=False) for rank in range(3)]
    assert [order(iter(source)) for source in sources] == [[[0, 3], [4, 7], [8]], [[1], [5], []], [[2], [6], []]]


def test_batches_hold_like_lengths_and_come_in_a_random_order() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 1000)
    batches = list(Batches(1000, 20, shuffle=True, lengths=lengths))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded / lengths.sum() < 1.03
    firsts = [lengths[batch].max() for batch in batches]
    assert firsts != sorted(firsts)
    evaluated = [lengths[batch].max() for batch in Batches(1000, 20, lengths=lengths)]
    assert evaluated == sorted(evaluated)


def test_weights_draw_with_replacement_in_proportion() -> None:
    weights = np.repeat([1.0, 3.0, 0.0], 1000)
    drawn = np.concatenate(list(Batches(3000, 64, weights=weights)))
    counts = np.bincount(drawn // 1000, minlength=3)
    assert counts.sum() == 3000
    assert counts[2] == 0
    # 3,000 draws with probability 3/4: a standard deviation of 24.
    assert abs(counts[1] - 2250) < 5 * 24
    other = Batches(3000, 64, weights=weights)
    other.epoch = 1
    assert not np.array_equal(np.concatenate(list(other)), drawn)


# --- taking it up again ---


@FORKS
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_restored_loader_gives_exactly_the_remaining_batches(workers: int) -> None:
    uninterrupted = loader(seed=5)
    expected = [order(iter(uninterrupted)) for _ in range(3)]
    for stop in (0, 1, 3, 5) if workers == 0 else (2,):
        source = loader(seed=5, workers=workers)
        order(iter(source))
        running = iter(source)
        seen = order(islice(running, stop))
        state = source.state_dict()
        del running
        assert state == ({"epoch": 1, "position": stop} if stop else {"epoch": 0, "position": 6})
        again = loader(seed=5, workers=workers)
        again.load_state_dict(state)
        assert seen + order(iter(again)) == expected[1]
        assert order(iter(again)) == expected[2]


def test_a_state_of_a_finished_epoch_begins_the_next() -> None:
    source = loader()
    epochs = [order(iter(source))]
    state = source.state_dict()
    epochs.append(order(iter(source)))
    again = loader()
    again.load_state_dict(state)
    assert order(iter(again)) == epochs[1]


def test_an_epoch_left_early_is_over() -> None:
    source = loader()
    order(islice(iter(source), 2))
    expected = Batches(23, 4, shuffle=True)
    expected.epoch = 1
    assert order(iter(source)) == list(expected)


class Recorder(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []

    def training_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        self.seen.append(batch.index.tolist())
        return self.weight * 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Stop(Callback):
    def __init__(self, file: Path, step: int) -> None:
        self.file, self.step = file, step

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.file)
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # Lightning's own
@pytest.mark.filterwarnings("ignore:.*(many workers|logging interval|weights_only).*")  # advice
@FORKS
@pytest.mark.parametrize("workers", [0, 1])
def test_lightning_resumes_in_the_middle_of_an_epoch(tmp_path: Path, workers: int) -> None:
    def fit(callbacks: list[Callback], checkpoint: Path | None = None) -> list[list[int]]:
        module = Recorder()
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=tmp_path,
        )
        source = loader(workers=workers)
        try:
            trainer.fit(module, source, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)
        except SystemExit:
            assert callbacks
        return module.seen

    file = tmp_path / "stopped.ckpt"
    expected = fit([])
    assert len(expected) == 12
    for step in (2, 8) if workers == 0 else (8,):
        before = fit([Stop(file, step)])
        assert before == expected[:step]
        assert fit([], file) == expected[step:]
