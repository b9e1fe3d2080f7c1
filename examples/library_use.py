"""seqlab as a library, without its command line: `python examples/library_use.py`.

1. Any cell in a training loop of one's own, in place of torch.nn.LSTM.
2. Whole runs, as `seqlab train` makes them, and their comparison as a pandas table.
"""

from __future__ import annotations

import torch
from torch import nn

import seqlab


def own_loop(cell: str, steps: int = 60) -> float:
    """Train a cell to sum what it reads, up to each row's own length; return the last loss."""
    torch.manual_seed(0)
    rnn = seqlab.nn.RNN(cell, input_size=1, hidden_size=16)
    head = nn.Linear(rnn.output_size, 1)
    optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(steps):
        x, lengths = torch.rand(32, 12, 1), torch.randint(1, 13, (32,))
        output, _ = rnn(x, lengths=lengths)  # (B, T, H); zero at padded steps
        last = output[torch.arange(32), lengths - 1]
        target = torch.stack([row[:n].sum() for row, n in zip(x[:, :, 0], lengths, strict=True)])
        loss = nn.functional.mse_loss(head(last)[:, 0], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def whole_runs() -> None:
    """Train two cells over two seeds on a series that needs no download, and set them side by side."""
    options = ["data=sunspots", "model.hidden_size=16", "trainer.max_epochs=5", "trainer.enable_progress_bar=false"]
    runs = [seqlab.train([*options, f"cell={cell}", f"seed={seed}"]) for cell in ("rnn", "gru") for seed in (0, 1)]
    first = runs[0]
    print(f"test mse: {first.metrics['test/mse']:.3f}, naive {first.baselines['naive/test/mse']:.3f}")
    table = seqlab.compare(runs, "test/mae").to_frame()
    print(table[["group", "n", "mean", "low", "high", "verdict", "needed"]].to_string(index=False))


if __name__ == "__main__":
    for name in ("lstm", "mingru", "lru"):
        print(f"{name}: mean squared error {own_loop(name):.3f}")
    whole_runs()
