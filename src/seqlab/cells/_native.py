"""The native family: gated cells for which torch has a kernel of its own.

The kernels know nothing of lengths, so a padded batch runs whole. Outputs at padded steps are zeroed, so that no
gradient enters there, and the last state is read at each row's last real step. An LSTM's c is not among the outputs:
there, an extra input feature marks the padding and shuts the input gate and opens the forget gate beyond saturation,
so that c comes through the padding bit for bit.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor

from seqlab.cells._base import Aux, State, valid_steps, zero_padding
from seqlab.cells._gated import GatedCell
from seqlab.errors import RequestError

#: A gate's pre-activation at which the sigmoid is 0 or 1 exactly, in every floating-point type.
SHUT = 1e4


class NativeCell(GatedCell):
    """A gated cell that torch's own kernel can run; ``backend="loop"`` runs the gated family's loop instead.

    Attributes:
        native_on_cpu: whether the kernel was measured to beat the loop on a CPU, and so is what "auto" means there.
    """

    family = "native"
    backends: ClassVar[tuple[str, ...]] = ("auto", "native", "loop", "steps")
    native_on_cpu = True

    @abstractmethod
    def kernel(self, x: Tensor, state: State, padding: Tensor | None) -> tuple[Tensor, State]:
        """Run torch's kernel over all T steps.

        Args:
            x: (B, T, I).
            state: before x.
            padding: (B, T), 1 at padded steps, for cells that must hold a state there; None without lengths.

        Returns:
            y (B, T, O), not zeroed, and the state after T steps, of which the first tensor is replaced.
        """

    def unroll(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        aux: Aux | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run over a sequence; a dropout ``mask`` on h is beyond the kernels and takes the loop."""
        native = self.backend == "native" or (self.backend == "auto" and self._prefers_native(x))
        if not native or mask is not None:
            return super().unroll(x, state, lengths, aux, mask)
        if x.shape[2] != self.input_size:  # a kernel would read beyond its weights and say nothing
            raise RequestError(f"x must be (B, T, {self.input_size}); got {tuple(x.shape)}.")
        state = self.initial_state(x.shape[0]) if state is None else state
        padding = None if lengths is None else (~valid_steps(lengths, x.shape[1])).to(x.dtype)
        with nullcontext() if torch.compiler.is_compiling() else _hushed():
            y, last = self.kernel(x, state, padding)
        if lengths is None:
            return y, last
        index = (lengths - 1).reshape(-1, 1, 1).expand(-1, 1, y.shape[2])
        return zero_padding(y, lengths), (y.gather(1, index).squeeze(1), *last[1:])

    def has_kernel(self) -> bool:
        """Return whether torch's kernel covers this cell's arguments."""
        return True

    def available_backends(self) -> tuple[str, ...]:
        """Return the backends, without "native" where torch has no kernel for these arguments."""
        return tuple(b for b in super().available_backends() if b != "native" or self.has_kernel())

    def _prefers_native(self, x: Tensor) -> bool:
        return self.has_kernel() and (self.native_on_cpu or x.device.type != "cpu")


def one_layer(state: State) -> list[Tensor]:
    """Return the state as torch's kernels take it, (1, B, H) each, laid out whole (a learned one may be expanded)."""
    return [s.contiguous().unsqueeze(0) for s in state]


@contextmanager
def _hushed() -> Iterator[None]:
    """Drop two warnings that a person can do nothing about.

    cuDNN would like the weights in one block, where copying them is a small part of a sequence's work; oneDNN has no
    projection, where torch's own kernel has.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
        warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
        yield
