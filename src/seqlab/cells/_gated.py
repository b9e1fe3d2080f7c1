"""The gated family: one input product for all steps, then a recurrent product and an elementwise function per step.

A cell writes its equations once, in ``advance``. Where the hand-written backward pass was measured to win, the cell
also writes the derivative of one step, ``retreat``; then a whole sequence is one autograd function that keeps the gate
values and forms the gradient of a recurrent weight as one product over all steps.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells._base import (
    Aux,
    Pre,
    RecurrentCell,
    State,
    hold,
    per_row,
    refuse_second_derivative,
    unroll_by_steps,
    valid_steps,
    zero_padding,
)
from seqlab.cells._init import SCHEMES, init_gates
from seqlab.errors import RequestError, did_you_mean

#: What a step keeps for its derivative.
Kept: TypeAlias = tuple[Tensor, ...]
#: The parameters that act inside the recurrence.
Weights: TypeAlias = tuple[Tensor, ...]

#: Derivatives from the gradient and the output: g s (1 - s) for a sigmoid s, g (1 - u^2) for a tanh u.
sigmoid_backward = torch.ops.aten.sigmoid_backward.default
tanh_backward = torch.ops.aten.tanh_backward.default
#: The same into a tensor that is there, by the keyword ``grad_input``.
sigmoid_backward_into = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward_into = torch.ops.aten.tanh_backward.grad_input


class Activation(NamedTuple):
    """A function and its derivative as a function of (gradient, output)."""

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, tanh_backward),
    "relu": Activation(torch.relu, lambda grad, out: torch.ops.aten.threshold_backward(grad, out, 0)),
    "leaky_relu": Activation(
        F.leaky_relu, lambda grad, out: torch.ops.aten.leaky_relu_backward(grad, out, 0.01, self_is_result=True)
    ),
    "sigmoid": Activation(torch.sigmoid, sigmoid_backward),
    "linear": Activation(lambda value: value, lambda grad, out: grad),
}


def check_choice(key: str, value: str, options: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``options``.

    Raises:
        RequestError: it is not.
    """
    if value not in options:
        hint = did_you_mean(str(value), options)
        raise RequestError(f"{key} must be one of {', '.join(options)}; got {value!r}.{hint}")
    return value


def masked(h: Tensor, mask: Tensor | None) -> Tensor:
    """Return h times the dropout mask, or h where there is none."""
    return h if mask is None else h * mask


class Tape(NamedTuple):
    """What the forward pass left for the gradients of the recurrent weights.

    Attributes:
        before: (B, T, H), what the recurrent product saw at each step: h before the step, times the dropout mask.
        kept: what ``advance`` kept, step by step.
        mask: (B, H), the dropout mask; None for none.
    """

    before: Tensor
    kept: Sequence[Kept]
    mask: Tensor | None

    def stack(self, index: int) -> Tensor:
        """Return one kept value over all steps, (B, T, ...)."""
        return torch.stack([k[index] for k in self.kept], 1)

    def masked(self, operand: Tensor) -> Tensor:
        """Return (B, T, H) times the dropout mask."""
        return operand if self.mask is None else operand * self.mask.unsqueeze(1)


def weight_gradient(d_out: Tensor, operand: Tensor) -> Tensor:
    """Return the gradient (K, H) of W in ``operand @ W.T``, summed over all steps in one product.

    Args:
        d_out: (B, T, K), the gradient of the product.
        operand: (B, T, H).
    """
    # This way round the product was measured to be faster than d_out^T operand, by up to a quarter.
    return (operand.flatten(0, 1).t() @ d_out.flatten(0, 1)).t()


class GatedCell(RecurrentCell):
    """A cell with stacked gate weights: ``weight_ih`` (G H, I), ``weight_hh`` (G H, H) and ``bias`` (G H).

    Args:
        input_size: I.
        hidden_size: H.
        init: "orthogonal" or "uniform".

    Attributes:
        gates: G, blocks of H rows in the stacked weights.
        states: names of the state's tensors; the first is the output and what the recurrent product reads.
        schemes: what ``init`` may be.
    """

    family = "gated"
    backends: ClassVar[tuple[str, ...]] = ("auto", "loop", "steps")
    recurrent_weights: ClassVar[tuple[str, ...]] = ("weight_hh",)
    gates: int
    states: ClassVar[tuple[str, ...]] = ("h",)
    schemes: ClassVar[tuple[str, ...]] = SCHEMES

    def __init__(self, input_size: int, hidden_size: int, init: str = "orthogonal") -> None:
        super().__init__(input_size, hidden_size)
        self.init = check_choice("init", init, self.schemes)
        rows = self.gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias = nn.Parameter(torch.empty(rows))

    def reset_parameters(self) -> None:
        """Draw the parameters afresh by the cell's scheme."""
        init_gates(self.weight_ih, self.weight_hh, self.bias, self.init, self.hidden_size)

    def initial_state(self, batch_size: int) -> State:
        """Return zeros (B, H) for each state."""
        return tuple(self.weight_hh.new_zeros(batch_size, self.hidden_size) for _ in self.states)

    def weights(self) -> Weights:
        """Return the parameters that act inside the recurrence, in the order that ``advance`` takes them."""
        return (self.weight_hh,)

    def project(
        self, x: Tensor, state: State, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Pre, State]:
        """Return W x + b of all gates, (B, T, G H)."""
        return (F.linear(x, self.weight_ih, self.bias),), state

    @abstractmethod
    def advance(self, pre: Pre, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Kept]:
        """The cell's equations: return the state after a step, and what the step's derivative needs.

        Args:
            pre: the projection at one step, (B, ...).
            state: before the step.
            weights: ``weights()``.
            mask: (B, H), what multiplies h inside the recurrent products (variational dropout); None for nothing.
        """

    def retreat(
        self, kept: Kept, grads: State, weights: Weights, mask: Tensor | None, d_pre: Pre, d_weights: Weights
    ) -> State:
        """The derivative of one ``advance``; a cell that leaves it out runs under autograd.

        Args:
            kept: what ``advance`` kept.
            grads: gradients of the state after the step.
            weights: as in ``advance``.
            mask: as in ``advance``.
            d_pre: tensors like ``pre`` to write its gradients into.
            d_weights: tensors like ``weights`` to add gradients to, where a step has them at hand.

        Returns:
            The gradients of the state before the step.
        """
        raise NotImplementedError

    def weight_gradients(self, tape: Tape, d_pre: Pre, d_weights: Weights) -> Weights:
        """Return the gradients of ``weights()`` after all steps.

        Args:
            tape: what the steps kept.
            d_pre: the gradients of the projection, (B, T, ...). A product inside the recurrence has its gradient here
                as that of the term of ``pre`` that was added to it.
            d_weights: what the steps added up.
        """
        return weight_gradient(d_pre[0], tape.before), *d_weights[1:]

    def available_backends(self) -> tuple[str, ...]:
        """Return the backends, without "loop" where the cell has no derivative of its own."""
        return self.backends if self._has_derivative() else tuple(b for b in self.backends if b != "loop")

    def _has_derivative(self) -> bool:
        return type(self).retreat is not GatedCell.retreat

    def step(self, pre: Pre, state: State, mask: Tensor | None = None) -> tuple[Tensor, State]:
        """Advance one step; y is the first state."""
        state, weights, mask = _like(pre[0], state, self.weights(), mask)
        state, _ = self.advance(pre, state, weights, mask)
        return state[0], state

    def unroll(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        aux: Aux | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run over a sequence; ``mask`` as in ``advance``, the same at every step."""
        if self.backend == "steps" or torch.compiler.is_compiling() or not self._has_derivative():
            return unroll_by_steps(self, x, state, lengths, aux, mask=mask)
        state = self.initial_state(x.shape[0]) if state is None else state
        pre, state = self.project(x, state, lengths, aux)
        state, weights, mask = _like(pre[0], state, self.weights(), mask)
        alive = None if lengths is None else valid_steps(lengths, x.shape[1])
        tensors = (*pre, *state, *weights)
        if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
            y, *last = _Unroll.apply(self, alive, mask, len(pre), *tensors)  # type: ignore[no-untyped-call]
        else:
            y, last = _run(self, pre, state, weights, mask, alive, None)
        return zero_padding(y, lengths), tuple(last)


def _like(pre: Tensor, state: State, weights: Weights, mask: Tensor | None) -> tuple[State, Weights, Tensor | None]:
    """Return all in the projection's dtype, which under autocast is the one to compute in."""
    kind = pre.dtype
    mask = None if mask is None else mask.to(kind)
    return tuple(s.to(kind) for s in state), tuple(w.to(kind) for w in weights), mask


def _run(
    cell: GatedCell,
    pre: Pre,
    state: State,
    weights: Weights,
    mask: Tensor | None,
    alive: Tensor | None,
    tape: list[Kept] | None,
) -> tuple[Tensor, State]:
    """Return y (B, T, H) and the last state, and put what each step keeps on the tape, if there is one."""
    outputs = []
    with torch.autocast(pre[0].device.type, enabled=False):
        for pre_t, alive_t in zip(_by_step(pre), _partly_alive(alive, pre[0].shape[1]), strict=True):
            new, kept = cell.advance(pre_t, state, weights, mask)
            state = new if alive_t is None else hold(alive_t, new, state)
            outputs.append(state[0])
            if tape is not None:
                tape.append(kept)
    return torch.stack(outputs, 1), state


class _Unroll(torch.autograd.Function):
    """A gated cell over a whole sequence, with backpropagation through time written out."""

    @staticmethod
    def forward(
        ctx: Any, cell: GatedCell, alive: Tensor | None, mask: Tensor | None, inputs: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        states = inputs + len(cell.states)
        pre, state, weights = tensors[:inputs], tensors[inputs:states], tensors[states:]
        tape: list[Kept] = []
        y, last = _run(cell, pre, state, weights, mask, alive, tape)
        ctx.cell, ctx.weights, ctx.width, ctx.pre_shapes = cell, len(weights), len(tape[0]), [p.shape for p in pre]
        ctx.save_for_backward(alive, mask, state[0], y, *weights, *(k for kept in tape for k in kept))
        return (y, *last)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor, *d_state: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        alive, mask, h_0, y, *saved = ctx.saved_tensors
        weights, kept = tuple(saved[: ctx.weights]), saved[ctx.weights :]
        tape = [tuple(kept[k : k + ctx.width]) for k in range(0, len(kept), ctx.width)]
        d_pre = tuple(y.new_empty(shape) for shape in ctx.pre_shapes)
        grads: State = d_state
        d_weights = tuple(torch.zeros_like(w) for w in weights)
        steps = zip(tape, d_y.unbind(1), _by_step(d_pre), _partly_alive(alive, y.shape[1]), strict=True)
        with torch.autocast(y.device.type, enabled=False):
            for kept_t, d_y_t, d_pre_t, alive_t in reversed(list(steps)):
                grads = (grads[0] + d_y_t, *grads[1:])
                live, held = (grads, None) if alive_t is None else _part(alive_t, grads)
                grads = ctx.cell.retreat(kept_t, live, weights, mask, d_pre_t, d_weights)
                if held is not None:
                    grads = tuple(g + stay for g, stay in zip(grads, held, strict=True))
            before = torch.cat((h_0.unsqueeze(1), y[:, :-1]), 1)
            before = before if mask is None else before * mask.unsqueeze(1)
            d_weights = ctx.cell.weight_gradients(Tape(before, tape, mask), d_pre, d_weights)
        return None, None, None, None, *d_pre, *grads, *d_weights


def _by_step(sequences: Pre) -> Iterator[Pre]:
    # Unbinding once keeps the backward pass linear in T.
    return zip(*(s.unbind(1) for s in sequences), strict=True)


def _partly_alive(alive: Tensor | None, steps: int) -> list[Tensor | None]:
    """Return (B,) bool for each step, None where every row is alive and nothing needs holding."""
    if alive is None:
        return [None] * steps
    whole = alive.all(0).tolist()
    return [None if all_alive else column for all_alive, column in zip(whole, alive.unbind(1), strict=True)]


def _part(alive: Tensor, grads: State) -> tuple[State, State]:
    """Split gradients into those of rows that took the step and those of rows that held their state."""
    rows = [per_row(alive, g) for g in grads]
    live = tuple(g.masked_fill(~row, 0) for g, row in zip(grads, rows, strict=True))
    return live, tuple(g.masked_fill(row, 0) for g, row in zip(grads, rows, strict=True))
