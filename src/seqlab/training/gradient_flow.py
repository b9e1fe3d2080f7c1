"""``+diagnostics=gradient_flow``: how much of the loss's gradient reaches each step back in time, epoch by epoch.

For each layer the norm of dL/dh_t, h_t the first tensor of the state after step t and dL/dh_t its total derivative,
through the step's own output and every later step (Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063, section 2). It is
formed in float64 on a copy of the model in evaluation mode, so that nothing underflows early and training sees nothing.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn import functional as F

from seqlab.config import build
from seqlab.data import Batch, SequenceData
from seqlab.errors import RequestError, RunError
from seqlab.nn.probe import Noted, Probe, put_probes
from seqlab.runs.files import write_text
from seqlab.runs.record import FLOW_FILE
from seqlab.tasks import SequenceTask
from seqlab.training.resume import random_states, set_random_states
from seqlab.training.scoring import plain_loader

#: Digits that are kept of a norm or a share.
DIGITS = 6
#: Sequences at once: every state of every step is kept in the graph, and a matrix cell's are large.
ROWS = 32
#: One a step; None where it is not finite.
Numbers = list[float | None]
#: The file's lists that have one entry an epoch.
COLUMNS = ("gradient_norm", "memory_norm", "gates")


class MeanByDistance:
    """Mean over sequences of something at each step, counted back from the last real one."""

    def __init__(self) -> None:
        self.total = self.count = torch.zeros(0, dtype=torch.float64)

    def add(self, values: Tensor, lengths: Tensor) -> None:
        """Add a batch: values (B, T), of which the first ``lengths`` (B,) of each row are real."""
        steps = values.shape[1]
        place = torch.arange(steps, device=values.device) - (steps - lengths).unsqueeze(1)
        aligned = values.gather(1, place.clamp(min=0)).masked_fill(place < 0, 0)
        longest = max(steps, len(self.total))
        self.total = _at_the_end(self.total, longest) + _at_the_end(aligned.sum(0).cpu(), longest)
        self.count = _at_the_end(self.count, longest) + _at_the_end((place >= 0).sum(0).cpu(), longest)

    def numbers(self) -> Numbers:
        """Return the mean at each step of the longest sequence, in order of time."""
        return [_rounded(value) for value in (self.total / self.count)[self.count > 0].tolist()]


def _at_the_end(values: Tensor, length: int) -> Tensor:
    return F.pad(values, (length - len(values), 0))


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


class LayerFlow:
    """What one layer does with the gradient, over batches.

    Attributes:
        hidden: norm of dL/dh_t of each sequence, averaged.
        memory: norm of dL/dc_t, of gated cells that have a c (an LSTM); else empty.
        gates: gate to (values, closed ones, open ones).
    """

    def __init__(self) -> None:
        self.hidden, self.memory = MeanByDistance(), MeanByDistance()
        self.gates: dict[str, Tensor] = {}

    def add(self, noted: Noted, gradients: Iterator[Tensor | None]) -> None:
        """Add a batch.

        Args:
            noted: of the layer's probe.
            gradients: those of ``noted.hidden``, then those of ``noted.memory``; None where the loss sees none of it.
        """
        for states, mean in ((noted.hidden, self.hidden), (noted.memory, self.memory)):
            norms = [_norms(state, next(gradients)) for state in states]
            if norms:
                mean.add(torch.stack(norms, 1), noted.lengths)
        for gate, counts in noted.gates.items():
            self.gates[gate] = self.gates.get(gate, 0) + counts

    def shares(self) -> dict[str, list[float | None]]:
        """Return gate to the shares of its values that are closed (below 0.1) and open (above 0.9)."""
        counts = {gate: numbers.tolist() for gate, numbers in self.gates.items()}
        return {
            gate: [_rounded(closed / values), _rounded(opened / values)]
            for gate, (values, closed, opened) in counts.items()
        }


def _norms(state: Tensor, gradient: Tensor | None) -> Tensor:
    """Return (B,), the norm over all else; a complex number counts as its two parts."""
    if gradient is None:
        return torch.zeros(len(state), dtype=torch.float64, device=state.device)
    norm: Tensor = gradient.abs().flatten(1).norm(dim=1)
    return norm


def measure(task: SequenceTask, batches: Sequence[Batch]) -> dict[str, LayerFlow]:
    """Return each layer's gradient flow by name (see ``put_probes``).

    L is the loss summed over sequences, so that each sequence's gradient is its own; it is not truncated.

    Args:
        task: left as it is.
        batches: with targets.
    """
    trial = copy.deepcopy(task).to("cpu" if task.device.type == "mps" else task.device).double().eval()
    probes = put_probes(trial.model.encoder)
    flows = {name: LayerFlow() for name in probes}
    for batch in batches:
        for start in range(0, len(batch), ROWS):
            _add(flows, probes, trial, _rows(batch, slice(start, start + ROWS)).to(trial.device))
    return flows


def _add(flows: Mapping[str, LayerFlow], probes: Mapping[str, Probe], trial: SequenceTask, batch: Batch) -> None:
    """Add some sequences to each layer's flow; a function of its own, so that their graph is gone before the next."""
    with torch.enable_grad():
        loss, _ = trial.loss(trial.model(batch), batch)
        noted = [probe.take() for probe in probes.values()]
        states = [state for each in noted for state in (*each.hidden, *each.memory)]
        gradients = iter(torch.autograd.grad(loss, states, allow_unused=True))
    for flow, each in zip(flows.values(), noted, strict=True):
        flow.add(each, gradients)


def _rows(batch: Batch, rows: slice) -> Batch:
    """Return some rows of a batch, in double precision."""
    present = {f.name: v[rows] for f in fields(batch) if (v := getattr(batch, f.name)) is not None}
    return replace(batch, **{k: v.double() if v.is_floating_point() else v for k, v in present.items()})


class GradientFlow(Callback):
    """Writes gradient_flow.json: before training (epoch 0), after every n-th epoch, and after the last.

    ``epochs`` (e), ``layers`` (l names), ``gradient_norm`` and ``memory_norm`` (e, l, T; null where there is no c),
    ``gates`` (e, l) of gate to [closed, open] shares, and ``sequences``, over how many the means are.

    Args:
        batches: validation batches to measure on, the first ones.
        every: epochs between two measurements.
        data: set up.
        folder: the run's.

    Raises:
        RequestError: a number is less than one.
    """

    def __init__(self, batches: int = 2, every: int = 1, *, data: SequenceData, folder: Path) -> None:
        for name, number in (("batches", batches), ("every", every)):
            if number < 1:
                raise RequestError(f"diagnostics.{name} must be a whole number of at least 1; got {number}.")
        self.every, self.file = every, folder / FLOW_FILE
        # A loader of its own: that of the run keeps its place.
        self.batches = list(islice(plain_loader(data, "val"), batches))
        self.table: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the untrained model, or take up the epochs that a resumed run had behind it."""
        self.table = {"sequences": sum(map(len, self.batches)), "epochs": [], "layers": []}
        self.table |= {name: [] for name in COLUMNS}
        if trainer.global_step == 0:
            self._record(trainer, pl_module, 0)
        else:
            self._take_up(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure if it is the epoch's turn."""
        if (trainer.current_epoch + 1) % self.every == 0:
            self._record(trainer, pl_module, trainer.current_epoch + 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the trained model, if its last epoch was not one of those measured."""
        if trainer.current_epoch not in self.table["epochs"]:
            self._record(trainer, pl_module, trainer.current_epoch)

    def _record(self, trainer: Trainer, task: LightningModule, epoch: int) -> None:
        assert isinstance(task, SequenceTask)
        states = random_states()
        flows = measure(task, self.batches)
        set_random_states(states)
        self.table["layers"] = list(flows)
        self.table["epochs"].append(epoch)
        self.table["gradient_norm"].append([flow.hidden.numbers() for flow in flows.values()])
        self.table["memory_norm"].append([flow.memory.numbers() or None for flow in flows.values()])
        self.table["gates"].append([flow.shares() for flow in flows.values()])
        if trainer.is_global_zero:
            write_text(self.file, json.dumps(self.table) + "\n")

    def _take_up(self, epoch: int) -> None:
        """Keep what an interrupted run measured up to ``epoch``, on as many sequences as now; the rest comes again."""
        if not self.file.exists():
            return
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            kept = sum(e <= epoch for e in found["epochs"]) if found["sequences"] == self.table["sequences"] else 0
            cut = {name: found[name][:kept] for name in ("epochs", *COLUMNS)}
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.file} is corrupt ({error}). Delete it to go on without its epochs.") from error
        self.table |= cut


def make_diagnostics(config: Mapping[str, Any], data: SequenceData, folder: Path) -> list[Callback]:
    """Return the callbacks of the diagnostics that the config asks for.

    Raises:
        RequestError: an option is out of range, or the trainer shards the parameters.
    """
    node = config.get("diagnostics")
    if not node:
        return []
    if str(config["trainer"].get("strategy", "")).startswith("fsdp"):
        raise RequestError("+diagnostics needs the whole model in each process. Use trainer=gpu or trainer=ddp.")
    return [build(node, GradientFlow, "diagnostics", data=data, folder=folder)]
