"""From an encoding to a prediction: one a sequence, one a step, or a forecast in one of three ways of decoding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from seqlab.cells import Aux
from seqlab.data import Batch, Spec
from seqlab.errors import RequestError
from seqlab.nn.encoder import LayerOutputs
from seqlab.nn.pooling import Pooling, last_step
from seqlab.nn.state import NestedState
from seqlab.nn.window_norm import WindowStatistics

#: Runs the model's front and encoder on, ``run(x, state, aux) -> (y, state)``, from where a state ended.
Run: TypeAlias = Callable[[Tensor, NestedState, Aux | None], tuple[Tensor, NestedState]]


class Encoding(NamedTuple):
    """What a model knows after its encoder.

    Attributes:
        inputs: (B, T, I) after window normalisation, or (B, T) tokens.
        outputs: each layer's (B, T, .), zero at padded steps.
        y: (B, T, D), what the head sees of them.
        lengths: (B,) real steps of y; None when all are.
        state: after each row's last real step.
        window: what undoes the window normalisation; None without.
    """

    inputs: Tensor
    outputs: LayerOutputs
    y: Tensor
    lengths: Tensor | None
    state: NestedState
    window: WindowStatistics | None


class Head(nn.Module, ABC):
    """The last part of a model."""

    @abstractmethod
    def forward(self, encoding: Encoding, batch: Batch, run: Run) -> Tensor:
        """Return the prediction; its shape is the kind's."""


class SequenceHead(Head):
    """One prediction a sequence: pooling and a linear map.

    Args:
        pooling: over the D features of each step.
        outputs: C logits, or O values.
    """

    def __init__(self, pooling: Pooling, outputs: int) -> None:
        super().__init__()
        self.pooling, self.map = pooling, nn.Linear(pooling.output_size, outputs)

    def forward(self, encoding: Encoding, batch: Batch, run: Run) -> Tensor:
        """Return (B, C) or (B, O)."""
        prediction: Tensor = self.map(self.pooling(encoding.y, encoding.lengths))
        return prediction


class StepHead(Head):
    """One prediction a step: a linear map.

    Args:
        size: D.
        outputs: C logits, or O values.
    """

    def __init__(self, size: int, outputs: int) -> None:
        super().__init__()
        self.map = nn.Linear(size, outputs)

    def forward(self, encoding: Encoding, batch: Batch, run: Run) -> Tensor:
        """Return (B, T, C) or (B, T, O)."""
        prediction: Tensor = self.map(encoding.y)
        return prediction


class ForecastHead(Head):
    """What the ways of decoding share: the size of a forecast, and covariates that are known ahead.

    Args:
        spec: K, O and F.
        outputs: Q values a target, quantiles in rising order.
    """

    def __init__(self, spec: Spec, outputs: int) -> None:
        super().__init__()
        assert spec.horizon is not None
        self.horizon, self.targets, self.outputs = spec.horizon, spec.output_size, outputs
        self.future_size = spec.future_size

    def future_of(self, batch: Batch) -> Tensor:
        """Return the covariates known ahead, (B, K, F).

        Raises:
            RequestError: the data promised them and the batch has none, or others.
        """
        wanted = (len(batch), self.horizon, self.future_size)
        if batch.future is None or batch.future.shape != wanted:
            got = None if batch.future is None else tuple(batch.future.shape)
            raise RequestError(f"batch.future must hold the covariates known ahead, (B, K, F) = {wanted}; got {got}.")
        return batch.future

    def shape(self, forecast: Tensor) -> Tensor:
        """Return (B, K, O * Q) as (B, K, O), or as (B, K, O, Q) where there is more than one value a target."""
        return forecast if self.outputs == 1 else torch.unflatten(forecast, -1, (self.targets, self.outputs))


class DirectHead(ForecastHead):
    """All horizons at once: pooling, one linear map, and the same map of known covariates at each step ahead.

    Args:
        spec: K, O and F.
        outputs: Q values a target.
        pooling: over the D features of each step.
    """

    def __init__(self, spec: Spec, outputs: int, pooling: Pooling) -> None:
        super().__init__(spec, outputs)
        width = self.targets * outputs
        self.pooling, self.map = pooling, nn.Linear(pooling.output_size, self.horizon * width)
        self.covariates = nn.Linear(spec.future_size, width, bias=False) if spec.future_size else None

    def forward(self, encoding: Encoding, batch: Batch, run: Run) -> Tensor:
        """Return (B, K, O), or (B, K, O, Q)."""
        forecast = torch.unflatten(self.map(self.pooling(encoding.y, encoding.lengths)), -1, (self.horizon, -1))
        if self.covariates is not None:
            forecast = forecast + self.covariates(self.future_of(batch))
        return self.shape(forecast)


class RecursiveHead(ForecastHead):
    """One step at a time, each forecast fed back as the next input.

    The next input holds the forecast in the target columns (of quantiles the middle one), the known covariates in the
    last F columns, and the window's last value in all others. A linear map of the state's output and of the step's own
    known covariates makes the forecast.

    Args:
        spec: K, O, F and which input columns the targets are.
        outputs: Q values a target.
        size: D.

    Raises:
        RequestError: the targets are not among the inputs, so that nothing can be fed back.
    """

    def __init__(self, spec: Spec, outputs: int, size: int) -> None:
        super().__init__(spec, outputs)
        if len(spec.target_index) != spec.output_size:
            raise RequestError(
                "model.decoding=recursive feeds the forecast back and needs every target among the inputs."
                " Use model.decoding=direct."
            )
        self.columns = list(spec.target_index)
        self.map = nn.Linear(size, self.targets * outputs)
        self.covariates = nn.Linear(spec.future_size, self.targets * outputs, bias=False) if spec.future_size else None

    def forward(self, encoding: Encoding, batch: Batch, run: Run) -> Tensor:
        """Return (B, K, O), or (B, K, O, Q)."""
        x = last_step(encoding.inputs, batch.lengths)
        y, state = last_step(encoding.y, encoding.lengths), encoding.state
        time = None if batch.time is None else last_step(batch.time, batch.lengths)
        future = self.future_of(batch).unbind(1) if self.covariates is not None else [None] * self.horizon
        steps = []
        for ahead, known in enumerate(future, 1):
            step = self.map(y) if known is None else self.map(y) + self.covariates(known)  # type: ignore[misc]
            steps.append(step)
            if ahead < self.horizon:
                x = self._next_input(x, step, known)
                aux = None if time is None else Aux(time=(time + ahead).unsqueeze(1))
                output, state = run(x.unsqueeze(1), state, aux)
                y = output[:, 0]
        return self.shape(torch.stack(steps, 1))

    def _next_input(self, x: Tensor, step: Tensor, known: Tensor | None) -> Tensor:
        x = x.clone()
        x[:, self.columns] = torch.unflatten(step, -1, (self.targets, self.outputs))[..., self.outputs // 2]
        if known is not None:
            x[:, -self.future_size :] = known
        return x
