"""Parameter groups for any optimiser, and the learning-rate schedules that torch lacks."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from seqlab.errors import RequestError


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Return the trainable parameters in groups of equal treatment.

    Biases, gains and other vectors are never decayed. A parameter may carry hints from its cell's paper
    (``parameter.optim = {"weight_decay": 0.0, "lr_scale": 0.1}``), which win.
    """
    groups: dict[tuple[tuple[str, float], ...], dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        hints = dict(getattr(parameter, "optim", None) or {})
        if parameter.ndim <= 1:
            hints.setdefault("weight_decay", 0.0)
        group = groups.setdefault(tuple(sorted(hints.items())), {"params": [], **hints})
        group["params"].append(parameter)
    return list(groups.values())


def scale_rates(optimizer: Optimizer) -> Optimizer:
    """Multiply each group's learning rate by its ``lr_scale`` and forget the scale."""
    for group in optimizer.param_groups:
        group["lr"] *= group.pop("lr_scale", 1.0)
    return optimizer


class WarmupCosine(LambdaLR):
    """Linear warm-up, then a half cosine down to ``final`` times the rate (Loshchilov and Hutter 2017, section 3).

    Args:
        optimizer: whose rates are scheduled, step by step.
        total_steps: optimiser steps of the whole run; given at run time.
        warmup: share of the steps that the warm-up takes, in [0, 1).
        final: the last rate as a share of the first, in [0, 1].
    """

    interval = "step"

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.05, final: float = 0.0) -> None:
        if not 0 <= warmup < 1 or not 0 <= final <= 1:
            raise RequestError(f"Expected scheduler.warmup in [0, 1) and final in [0, 1]; got {warmup} and {final}.")
        rising = max(1, round(warmup * total_steps)) if warmup else 0

        def factor(step: int) -> float:
            if step < rising:
                return (step + 1) / rising
            share = (step - rising) / max(1, total_steps - rising)
            return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

        super().__init__(optimizer, factor)


class HoldThenDecay(LambdaLR):
    """A constant rate for ``hold`` epochs, then multiplied by ``gamma`` each epoch (SegRNN's schedule).

    Args:
        optimizer: whose rates are scheduled, epoch by epoch.
        hold: epochs at the full rate.
        gamma: factor of each later epoch, in (0, 1].
    """

    interval = "epoch"

    def __init__(self, optimizer: Optimizer, hold: int = 3, gamma: float = 0.8) -> None:
        if hold < 0 or not 0 < gamma <= 1:
            raise RequestError(f"Expected scheduler.hold >= 0 and gamma in (0, 1]; got {hold} and {gamma}.")
        super().__init__(optimizer, lambda epoch: gamma ** max(0, epoch - hold + 1))
