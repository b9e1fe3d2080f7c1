"""A cell of one's own beside an LSTM, over seeds: `python examples/own_cell.py`.

The class is all that a cell needs; examples/conf/cell/leaky.yaml gives it a name. On the command line the same is

    export PYTHONPATH=examples SEQLAB_TRUST=own_cell SEQLAB_CONFIG_PATH=examples/conf
    seqlab train -m data=adding cell=leaky,lstm seed=0,1,2
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

import seqlab
from seqlab.cells import Aux, RecurrentCell, State, unroll_by_steps
from seqlab.config import trust

HERE = Path(__file__).parent


class Leaky(RecurrentCell):
    """h' = a h + (1 - a) tanh(W x + U h + b), with a = sigmoid(alpha) for each unit."""

    family = "gated"

    def __init__(self, input_size: int, hidden_size: int, leak: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        self.alpha = nn.Parameter(torch.full((hidden_size,), leak))

    def initial_state(self, batch_size: int) -> State:
        return (self.alpha.new_zeros(batch_size, self.hidden_size),)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[State, State]:
        return (self.input(x),), state  # all products with x (B, T, I) at once

    def step(self, pre: State, state: State) -> tuple[Tensor, State]:
        a = torch.sigmoid(self.alpha)
        h = a * state[0] + (1 - a) * torch.tanh(pre[0] + self.recurrent(state[0]))
        return h, (h,)  # the output (B, H) and the new state

    def unroll(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Tensor, State]:
        return unroll_by_steps(self, x, state, lengths, aux)


def main() -> None:
    trust("own_cell")  # a config names the class; without this it would be refused
    task = ["data=adding", "data.length=10", "data.sizes=[1000,200,200]", "name=own_cell"]
    size = ["model.parameter_budget=700"]  # the same for both
    trainer = ["optimizer.lr=1e-2", "trainer.max_epochs=6", "trainer.enable_progress_bar=false"]
    runs = [
        seqlab.train([*task, *size, *trainer, f"cell={cell}", f"seed={seed}"], config_dirs=[str(HERE / "conf")])
        for cell in ("leaky", "lstm")
        for seed in range(3)
    ]
    print(seqlab.compare(runs))


if __name__ == "__main__":
    main()
