"""Gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), with the reset before or after the recurrent product."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import Aux, Pre, State
from seqlab.cells._gated import (
    Kept,
    Tape,
    Weights,
    check_choice,
    masked,
    sigmoid_backward,
    tanh_backward,
    weight_gradient,
)
from seqlab.cells._native import NativeCell, one_layer


class GRU(NativeCell):
    """Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", arXiv 1406.1078.

        r, z = s(W_r x + U_r h + b_r), s(W_z x + U_z h + b_z)
        n = tanh(W_n x + b_n + r * (U_n h + b_hn))      reset after the product (torch, cuDNN)
        n = tanh(W_n x + b_n + U_n (r * h))             reset before it (the paper)
        h' = (1 - z) * n + z * h

    Weights stack r, z, n as torch's do; ``bias_hn`` is the one recurrent bias that doesn't merge with its input's.

    Args:
        input_size: I.
        hidden_size: H.
        reset: "after" or "before".
        init: "orthogonal" or "uniform".
    """

    gates = 3
    gate_names = ("r", "z")
    native_on_cpu = False

    def __init__(self, input_size: int, hidden_size: int, reset: str = "after", init: str = "orthogonal") -> None:
        super().__init__(input_size, hidden_size, init)
        self.reset = check_choice("reset", reset, ("after", "before"))
        self.bias_hn = nn.Parameter(torch.empty(hidden_size)) if reset == "after" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        super().reset_parameters()
        if self.bias_hn is not None:
            nn.init.zeros_(self.bias_hn)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return W x + b, (B, T, 3 H) of r, z, n, and with the reset after b_hn, (B, T, H), which waits for r."""
        sums = F.linear(x, self.weight_ih, self.bias)
        if self.bias_hn is None:
            return (sums,), state
        return (sums, self.bias_hn.to(sums.dtype).expand(*x.shape[:2], -1)), state

    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """Return (h',)."""
        step = reset_after if self.reset == "after" else reset_before
        return step(pre, state[0], weights[0], mask)

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """Return (dh,)."""
        back = reset_after_backward if self.reset == "after" else reset_before_backward
        return (back(kept, grads[0], weights[0], mask, d_pre),)

    def weight_gradients(self, tape: Tape, d_pre: Pre, d_weights: Weights) -> Weights:
        """Return the gradient of U."""
        if self.reset == "before":
            return (reset_before_weight_gradient(d_pre[0], tape.before, tape.stack(1)),)
        of_gates = weight_gradient(d_pre[0][..., : 2 * self.hidden_size], tape.before)
        return (torch.cat((of_gates, weight_gradient(d_pre[1], tape.before))),)

    def has_kernel(self) -> bool:
        """Return whether the reset comes after the product."""
        return self.reset == "after"

    def kernel(self, x: Tensor, state: State, padding: Tensor | None) -> tuple[Tensor, State]:
        """Run ``torch.nn.GRU``'s kernel."""
        assert self.bias_hn is not None
        bias_hh = torch.cat((torch.zeros_like(self.bias[self.hidden_size :]), self.bias_hn))
        weights = [self.weight_ih, self.weight_hh, self.bias, bias_hh]
        (h,) = one_layer(state)
        y, h = torch._VF.gru(x, h, weights, True, 1, 0.0, False, False, True)
        return y, (h[0],)


def reset_after(pre: Pre, h: Tensor, weight: Tensor, mask: Tensor | None) -> tuple[State, Kept]:
    """Return (h',), from the sums of r, z, n (B, 3 H) and b_hn (B, H)."""
    twice = 2 * h.shape[1]
    seen = masked(h, mask)
    gates = torch.sigmoid(torch.addmm(pre[0][:, :twice], seen, weight[:twice].t()))
    r, z = gates.chunk(2, 1)
    recurrent = torch.addmm(pre[1], seen, weight[twice:].t())
    n = torch.tanh(torch.addcmul(pre[0][:, twice:], r, recurrent))
    return (torch.lerp(n, h, z),), (gates, recurrent, n, h)


def reset_after_backward(kept: Kept, d_new: Tensor, weight: Tensor, mask: Tensor | None, d_pre: Pre) -> Tensor:
    """Return dh and write the gradients of ``pre``."""
    gates, recurrent, n, h = kept
    r, z = gates.chunk(2, 1)
    twice = gates.shape[1]
    d_kept = d_new * z
    d_n = tanh_backward(d_new - d_kept, n)
    d_gates = sigmoid_backward(torch.cat((d_n * recurrent, d_new * (h - n)), 1), gates)
    torch.cat((d_gates, d_n), 1, out=d_pre[0])
    d_recurrent = torch.mul(d_n, r, out=d_pre[1])
    if mask is None:
        return torch.addmm(torch.addmm(d_kept, d_gates, weight[:twice]), d_recurrent, weight[twice:])
    d_seen = torch.addmm(torch.mm(d_gates, weight[:twice]), d_recurrent, weight[twice:])
    return torch.addcmul(d_kept, d_seen, mask)


def reset_before(pre: Pre, h: Tensor, weight: Tensor, mask: Tensor | None) -> tuple[State, Kept]:
    """Return (h',), from the sums of r, z, n (B, 3 H)."""
    twice = 2 * h.shape[1]
    seen = masked(h, mask)
    gates = torch.sigmoid(torch.addmm(pre[0][:, :twice], seen, weight[:twice].t()))
    r, z = gates.chunk(2, 1)
    kept = r * seen
    n = torch.tanh(torch.addmm(pre[0][:, twice:], kept, weight[twice:].t()))
    return (torch.lerp(n, h, z),), (gates, kept, n, h)


def reset_before_backward(kept: Kept, d_new: Tensor, weight: Tensor, mask: Tensor | None, d_pre: Pre) -> Tensor:
    """Return dh and write the gradient of ``pre``."""
    gates, _, n, h = kept
    r, z = gates.chunk(2, 1)
    twice = gates.shape[1]
    d_kept = d_new * z
    d_n = tanh_backward(d_new - d_kept, n)
    d_seen = torch.mm(d_n, weight[twice:])
    d_gates = sigmoid_backward(torch.cat((d_seen * masked(h, mask), d_new * (h - n)), 1), gates)
    torch.cat((d_gates, d_n), 1, out=d_pre[0])
    if mask is None:
        return torch.addmm(torch.addcmul(d_kept, d_seen, r), d_gates, weight[:twice])
    return torch.addcmul(d_kept, torch.addmm(d_seen * r, d_gates, weight[:twice]), mask)


def reset_before_weight_gradient(d_pre: Tensor, seen: Tensor, kept: Tensor) -> Tensor:
    """Return the gradient of U, whose rows of r and z saw h and those of n saw r * h, (B, T, H) each."""
    units = d_pre.shape[2] // 3
    of_gates = weight_gradient(d_pre[..., : 2 * units], seen)
    return torch.cat((of_gates, weight_gradient(d_pre[..., 2 * units :], kept)))
