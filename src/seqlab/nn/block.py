"""Pre-norm residual blocks around any cell, as S5, LRU, minGRU, xLSTM, Mamba and Griffin use them."""

from __future__ import annotations

from typing import Any, Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells import Aux, CellLike
from seqlab.cells._base import zero_padding
from seqlab.cells._causal import CausalConv
from seqlab.errors import RequestError
from seqlab.nn._checks import check_choice, check_count, check_share
from seqlab.nn.encoder import Encoder, LayerOutputs, LayerStates
from seqlab.nn.rnn import RNN
from seqlab.nn.stack import later_aux
from seqlab.nn.state import NestedState

NormName = Literal["layer", "rms"]
FeedForwardName = Literal["none", "glu", "mlp", "gated_mlp"]
NORMS: dict[str, type[nn.Module]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class DropPath(nn.Module):
    """Stochastic depth: a whole branch is dropped for some sequences, and scaled up for the others
    (Huang et al. 2016, arXiv 1603.09382, section 3).

    Args:
        rate: share of sequences for which the branch is dropped, in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Return the branch (B, T, H), whole or zero for each sequence."""
        if not self.training or not self.rate:
            return branch
        return branch * F.dropout(branch.new_ones(len(branch), 1, 1), self.rate)


class GatedUnit(nn.Module):
    """The gated linear unit of S5 and LRU on a mixer's output m: W_1 a * sigmoid(W_2 a), a = dropout(GELU(m))
    (Smith et al. 2023, arXiv 2208.04933, appendix G.1).

    Args:
        size: H.
        dropout: share of ``a`` that is dropped.
    """

    def __init__(self, size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.maps = nn.Linear(size, 2 * size)
        self.drop = nn.Dropout(dropout)

    def forward(self, mixed: Tensor) -> Tensor:
        """Return (B, T, H)."""
        return F.glu(self.maps(self.drop(F.gelu(mixed))), -1)


class FeedForward(nn.Module):
    """Two maps with a GELU between, W_2 GELU(W_1 x); gated, W_2 (GELU(W_1 x) * W_3 x) (De et al. 2024, section 2.2).

    Args:
        size: H of input and output.
        inner: features between.
        gated: whether W_3 is there.
    """

    def __init__(self, size: int, inner: int, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.rise = nn.Linear(size, 2 * inner if gated else inner)
        self.fall = nn.Linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, H)."""
        if not self.gated:
            out: Tensor = self.fall(F.gelu(self.rise(x)))
            return out
        active, gate = self.rise(x).chunk(2, -1)
        gated: Tensor = self.fall(F.gelu(active) * gate)
        return gated


class Block(nn.Module):
    """One residual block: x = x + mix(conv(norm(x))), then x = x + feed_forward(norm(x)) where there is one.

    Dropout acts on each branch before it is added. The cell is the mixer; where its width isn't H (two directions, a
    projected state), a linear map brings it back.

    Args:
        cell: a name of ``options("cell")``, a RecurrentCell class, or a callable that builds one.
        size: H.
        dropout: share of each branch that is dropped.
        bidirectional: whether the cell also runs backward; the convolution is then centred.
        norm: layer (Ba et al. 2016) or rms (Zhang and Sennrich 2019).
        conv_kernel: steps that the depthwise convolution before the cell sees; 0 is none.
        feed_forward: none (Mamba, mLSTM); glu, on the cell's output within its branch (S5, LRU); mlp (minGRU) and
            gated_mlp (Griffin, sLSTM), a branch of their own.
        expansion: inner features of the feed-forward branch, as a multiple of H.
        drop_path: share of sequences for which a branch is left out.
        cell_options: RNN's ``zoneout``, ``variational_dropout``, ``weight_drop``, ``mogrifier``, ``backend`` and
            ``check_finite``.
    """

    def __init__(
        self,
        cell: CellLike,
        size: int,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        norm: NormName = "layer",
        conv_kernel: int = 0,
        feed_forward: FeedForwardName = "gated_mlp",
        expansion: float = 2.0,
        drop_path: float = 0.0,
        **cell_options: Any,
    ) -> None:
        super().__init__()
        _check(dropout, norm, conv_kernel, feed_forward, expansion, drop_path)
        self.size, self.conv_kernel, self.centred = size, conv_kernel, bidirectional
        self.mix_norm = NORMS[norm](size)
        self.convolution = CausalConv(size, conv_kernel) if conv_kernel else None
        self.mixer = RNN(cell, size, size, bidirectional=bidirectional, **cell_options)
        width = self.mixer.output_size
        self.projection = nn.Identity() if width == size else nn.Linear(width, size)
        self.gated_unit = GatedUnit(size, dropout) if feed_forward == "glu" else nn.Identity()
        self.feed_forward = None
        if feed_forward in ("mlp", "gated_mlp"):
            inner = max(1, round(expansion * size))
            self.feed_forward = nn.Sequential(NORMS[norm](size), FeedForward(size, inner, feed_forward == "gated_mlp"))
        self.drop = nn.Sequential(nn.Dropout(dropout), DropPath(drop_path))

    def initial_state(self, batch_size: int) -> NestedState:
        """Return (the convolution's last inputs (B, k - 1, H), the mixer's state)."""
        remembered = 0 if self.centred else max(0, self.conv_kernel - 1)
        return self.mix_norm.weight.new_zeros(batch_size, remembered, self.size), self.mixer.initial_state(batch_size)  # type: ignore[operator]

    def forward(
        self, x: Tensor, state: NestedState | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[Tensor, NestedState]:
        """Return x (B, T, H) after the block, and (the convolution's last inputs, the mixer's state)."""
        state = self.initial_state(len(x)) if state is None else state
        tail, mixer_state = cast(tuple[Tensor, NestedState], state)
        branch = self.mix_norm(x)
        if self.convolution is not None:
            branch, tail = self._convolve(branch, tail, lengths)
        branch, mixer_state = self.mixer(branch, mixer_state, lengths, aux)
        x = x + self.drop(self.gated_unit(self.projection(branch)))
        if self.feed_forward is not None:
            x = x + self.drop(self.feed_forward(x))
        return x, (tail, mixer_state)

    def _convolve(self, x: Tensor, tail: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        assert self.convolution is not None
        if not self.centred:
            return self.convolution(x, tail, lengths)  # type: ignore[no-any-return]
        before, after = (self.conv_kernel - 1) // 2, self.conv_kernel // 2
        shifted = F.pad(zero_padding(x, lengths), (0, 0, 0, after))
        y, _ = self.convolution(shifted, x.new_zeros(len(x), before + after, self.size), None)
        return y[:, after:], tail


def _check(dropout: float, norm: str, conv_kernel: int, feed_forward: str, expansion: float, drop_path: float) -> None:
    check_share(**{"model.dropout": dropout, "model.drop_path": drop_path})
    check_choice("model.norm", norm, NORMS)
    check_count(0, **{"model.conv_kernel": conv_kernel})
    check_choice("model.feed_forward", feed_forward, ("none", "glu", "mlp", "gated_mlp"))
    if not expansion > 0:
        raise RequestError(f"model.expansion must be above 0, a multiple of hidden_size; got {expansion!r}.")


class BlockStack(Encoder):
    """Blocks, one above the other, between a map to their width and a last norm.

    Stochastic depth grows with depth: block l of L is left out for a share ``drop_path * l / L`` of sequences.

    Args:
        cell: a name of ``options("cell")``, a RecurrentCell class, or a callable that builds one.
        input_size: I; where it isn't H, a linear map comes first.
        hidden_size: H.
        num_layers: L.
        dropout: share of each branch that is dropped.
        bidirectional: whether each cell also runs backward.
        norm: layer or rms.
        drop_path: share of sequences for which the last block's branches are left out.
        block_options: Block's ``conv_kernel``, ``feed_forward``, ``expansion``, and RNN's options.

    Raises:
        RequestError: an option is not among those named here, or a number out of its range.
    """

    def __init__(
        self,
        cell: CellLike,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        norm: NormName = "layer",
        drop_path: float = 0.0,
        **block_options: Any,
    ) -> None:
        super().__init__(input_size, bidirectional)
        check_count(1, **{"model.hidden_size": hidden_size, "model.num_layers": num_layers})
        check_share(**{"model.drop_path": drop_path})
        check_choice("model.norm", norm, NORMS)
        self.output_size, self.mixed = hidden_size, True
        self.entrance = nn.Identity() if input_size == hidden_size else nn.Linear(input_size, hidden_size)
        self.layers = nn.ModuleList(
            Block(
                cell,
                hidden_size,
                dropout,
                bidirectional,
                norm=norm,
                drop_path=drop_path * number / num_layers,
                **block_options,
            )
            for number in range(1, num_layers + 1)
        )
        self.last_norm = NORMS[norm](hidden_size)

    def initial_state(self, batch_size: int) -> LayerStates:
        """Return the state before the first step: one block state a layer."""
        return tuple(layer.initial_state(batch_size) for layer in self.layers)  # type: ignore[operator]

    def run_layers(
        self, x: Tensor, state: LayerStates | None = None, lengths: Tensor | None = None, aux: Aux | None = None
    ) -> tuple[LayerOutputs, LayerStates]:
        """Run every block over x (B, T, I); the last output is normed. See ``Encoder.run_layers``."""
        state = self.initial_state(len(x)) if state is None else state
        aux = later_aux(aux)  # blocks see mixed features, which no observation mask describes
        x = self.entrance(x)
        outputs: LayerOutputs = []
        after = []
        for layer, before in zip(self.layers, state, strict=True):
            x, new = layer(x, before, lengths, aux)
            after.append(new)
            outputs.append(x)
        outputs[-1] = self.last_norm(x)
        return [zero_padding(y, lengths) for y in outputs], tuple(after)
