"""``model=stack``: recurrent layers, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from seqlab.cells import CellLike
from seqlab.data import Spec
from seqlab.nn.model import DecodingName, InitialStateName, ModelOptions, SequenceModel
from seqlab.nn.pooling import PoolingName
from seqlab.nn.stack import Connection, ReadOut, Stack


class StackModel(SequenceModel):
    """A SequenceModel whose encoder is a ``Stack``.

    Args:
        spec: what the data decides.
        cell: a name of ``options("cell")``, a RecurrentCell class, or a callable that builds one.
        outputs: Q, values a target (quantiles).
        hidden_size, num_layers, dropout, dropout_last, connection, read_out: see ``Stack``.
        bidirectional: whether each layer also runs backward.
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
        num_layers: int = 1,
        dropout: float = 0.0,
        dropout_last: bool = False,
        bidirectional: bool = False,
        connection: Connection = "plain",
        read_out: ReadOut = "last",
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
            head_dropout=0.0 if dropout_last else dropout,  # the encoder's output is already dropped
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
            Stack,
            cell,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            dropout_last=dropout_last,
            bidirectional=bidirectional,
            connection=connection,
            read_out=read_out,
            zoneout=zoneout,
            variational_dropout=variational_dropout,
            weight_drop=weight_drop,
            mogrifier=mogrifier,
            backend=backend,
            check_finite=check_finite,
        )
        super().__init__(spec, encoder, outputs, options)
