"""Training as people write it by hand, on the same data and the same model as `seqlab train`; pipeline.py times it.

    python benchmarks/handwritten.py etth1 path=ETTh1.csv --epochs 3
    python benchmarks/handwritten.py mr path=rt-polarity --pad batch

A Dataset of single windows (or of texts, padded to the longest of all), torch's DataLoader with its default collation,
Adam, clipping, one pass over the validation split and one printed line an epoch. Nothing of Lightning, no checkpoint,
no log. The last line is JSON for pipeline.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch._dynamo  # torch imports it with the first optimiser; on both sides that is outside of the time
import yaml
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, default_collate

from seqlab.config import build, load
from seqlab.data import Batch, SequenceData, Split
from seqlab.data.windows import Windows
from seqlab.nn.stack_model import StackModel

Sample = dict[str, Any]


class OneWindow(Dataset[Sample]):
    """One window an index, sliced from the rows."""

    def __init__(self, windows: Windows) -> None:
        self.inputs, self.targets = torch.from_numpy(windows.rows.inputs), torch.from_numpy(windows.rows.targets)
        observed = windows.rows.mask
        self.observed = None if observed is None else torch.from_numpy(observed[:, : self.targets.shape[1]])
        self.ends, self.back, self.ahead = windows.ends.tolist(), windows.lookback, windows.horizon

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Sample:
        end = self.ends[index]
        ahead = slice(end, end + self.ahead)
        sample = {"index": index, "x": self.inputs[end - self.back : end], "y": self.targets[ahead]}
        return sample if self.observed is None else {**sample, "y_mask": self.observed[ahead]}


class OneText(Dataset[Sample]):
    """One text an index, padded to the longest of all."""

    def __init__(self, texts: Any) -> None:
        whole = texts.__getitems__(range(len(texts)))
        self.fields = {name: getattr(whole, name) for name in ("index", "x", "y", "lengths")}

    def __len__(self) -> int:
        return len(self.fields["x"])

    def __getitem__(self, index: int) -> Sample:
        return {name: values[index] for name, values in self.fields.items()}


def cut_to_longest(samples: Sequence[Sample]) -> Sample:
    """Collate texts and cut the batch to its longest."""
    batch = default_collate(samples)
    return {**batch, "x": batch["x"][:, : batch["lengths"].max()]}


def loader(data: SequenceData, split: Split, pad: str) -> DataLoader[Sample]:
    """Return torch's DataLoader over single samples."""
    examples = data.examples(split)
    samples = OneWindow(examples) if isinstance(examples, Windows) else OneText(examples)
    collate = cut_to_longest if pad == "batch" else None
    return DataLoader(samples, data.batch_size, shuffle=split == "train", collate_fn=collate)


def squared_error(prediction: Tensor, batch: Batch) -> Tensor:
    """Return the mean squared error over observed targets."""
    assert batch.y is not None
    error = (prediction - batch.y).square()
    return error.mean() if batch.y_mask is None else (error * batch.y_mask).sum() / batch.y_mask.sum()


def label_error(prediction: Tensor, batch: Batch) -> Tensor:
    """Return the mean cross-entropy."""
    assert batch.y is not None
    return cross_entropy(prediction, batch.y)


def fit(
    model: nn.Module,
    train: Iterable[Sample],
    val: Iterable[Sample],
    loss: Callable[[Tensor, Batch], Tensor],
    epochs: int,
    rate: float = 3e-3,
) -> list[tuple[float, float]]:
    """Train and return (training loss, validation loss) of every epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    history = []
    for epoch in range(epochs):
        model.train()
        total, count = 0.0, 0
        for sample in train:
            batch = Batch(**sample)
            optimizer.zero_grad()
            value = loss(model(batch), batch)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += value.item() * len(batch)
            count += len(batch)
        history.append((total / count, validate(model, val, loss)))
        print("epoch {}: loss {:.4f}, validation {:.4f}".format(epoch, *history[-1]))
    return history


def validate(model: nn.Module, val: Iterable[Sample], loss: Callable[[Tensor, Batch], Tensor]) -> float:
    """Return the mean loss over the validation split."""
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for sample in val:
            batch = Batch(**sample)
            total += loss(model(batch), batch).item() * len(batch)
            count += len(batch)
    return total / count


def prepare(name: str, changes: dict[str, Any], hidden: int, seed: int) -> tuple[SequenceData, nn.Module]:
    """Return the data and the model that `seqlab train data=NAME cell=lstm seed=SEED` begins with."""
    data = build({**load("data", name), **changes}, SequenceData)
    data.setup()
    torch.manual_seed(seed)
    return data, StackModel(data.spec, "lstm", hidden_size=hidden)


def main() -> None:
    """Train, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a name of `seqlab list data`")
    parser.add_argument("changes", nargs="*", metavar="key=value", help="of the data's config")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pad", choices=("all", "batch"), default="all", help="texts to the longest of all or of each")
    asked = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, _, value in (change.partition("=") for change in asked.changes)}
    data, model = prepare(asked.data, changes, asked.hidden, asked.seed)
    train, val = loader(data, "train", asked.pad), loader(data, "val", asked.pad)
    began = time.perf_counter()
    history = fit(model, train, val, label_error if data.spec.class_names else squared_error, asked.epochs)
    seconds = time.perf_counter() - began
    found = {"seconds": seconds, "loss": history[-1][0], "val_loss": history[-1][1], "steps": asked.epochs * len(train)}
    sys.stdout.write(json.dumps({**found, "parameters": sum(p.numel() for p in model.parameters())}) + "\n")


if __name__ == "__main__":
    main()
