"""``model=block``: pre-norm residual blocks, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from seqlab.cells import CellLike
from seqlab.data import Spec
from seqlab.nn.block import BlockStack, FeedForwardName, NormName
from seqlab.nn.model import DecodingName, InitialStateName, ModelOptions, SequenceModel
from seqlab.nn.pooling import PoolingName


class BlockModel(SequenceModel):
    """A SequenceModel whose encoder is a ``BlockStack``.

    Args:
        spec: what the data decides.
        cell: a name of ``options("cell")``, a RecurrentCell class, or a callable that builds one.
        outputs: Q, values a target (quantiles).
        hidden_size, num_layers, dropout, bidirectional, norm, drop_path: see ``BlockStack``.
        conv_kernel, feed_forward, expansion: see ``Block``.
        zoneout, variational_dropout, weight_drop, mogrifier, backend, check_finite: see ``RNN``.
        initial_state, pooling, embedding_size, embedding_dropout, embedding_std, embedding_prior, front_kernel,
            decoding, segment, channel_independent: see ``ModelOptions``.
    """

    def __init__(
        self,
        spec: Spec,
        cell: CellLike,
        outputs: int = 1,
        *,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.0,
        bidirectional: bool = False,
        norm: NormName = "layer",
        conv_kernel: int = 0,
        feed_forward: FeedForwardName = "gated_mlp",
        expansion: float = 2.0,
        drop_path: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        variational_dropout: float | Sequence[float] = 0.0,
        weight_drop: float = 0.0,
        mogrifier: int = 0,
        backend: str = "auto",
        check_finite: bool = False,
        initial_state: InitialStateName = "zero",
        pooling: PoolingName = "last",
        embedding_size: int | None = None,
        embedding_dropout: float = 0.0,
        embedding_std: float = 1.0,
        embedding_prior: float = 0.0,
        front_kernel: int = 0,
        decoding: DecodingName = "direct",
        segment: int = 24,
        channel_independent: bool = True,
    ) -> None:
        options = ModelOptions(
            width=hidden_size,
            bidirectional=bidirectional,
            head_dropout=dropout,
            pooling=pooling,
            initial_state=initial_state,
            embedding_size=embedding_size,
            embedding_dropout=embedding_dropout,
            embedding_std=embedding_std,
            embedding_prior=embedding_prior,
            front_kernel=front_kernel,
            decoding=decoding,
            segment=segment,
            channel_independent=channel_independent,
        )
        encoder = partial(
            BlockStack,
            cell,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
            norm=norm,
            conv_kernel=conv_kernel,
            feed_forward=feed_forward,
            expansion=expansion,
            drop_path=drop_path,
            zoneout=zoneout,
            variational_dropout=variational_dropout,
            weight_drop=weight_drop,
            mogrifier=mogrifier,
            backend=backend,
            check_finite=check_finite,
        )
        super().__init__(spec, encoder, outputs, options)
