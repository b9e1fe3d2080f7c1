"""SequenceModel: inputs, recurrent layers and a head, put together from what the data decides (Spec)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from seqlab.cells import Aux
from seqlab.cells._base import zero_padding
from seqlab.data import Batch, Spec
from seqlab.errors import RequestError
from seqlab.nn._checks import check_choice, check_count
from seqlab.nn.encoder import Encoder, LayerStates, run_chunks
from seqlab.nn.front import Front
from seqlab.nn.heads import DirectHead, Encoding, Head, RecursiveHead, SequenceHead, StepHead
from seqlab.nn.pooling import PoolingName, make_pooling
from seqlab.nn.segment import SegmentFront, SegmentHead
from seqlab.nn.state import LearnedState, NestedState
from seqlab.nn.window_norm import make_window_norm

DecodingName = Literal["direct", "recursive", "segment"]
InitialStateName = Literal["zero", "learned"]


@dataclass(frozen=True)
class ModelOptions:
    """What every model has around its recurrent layers.

    Attributes:
        width: H, which an embedding, a convolution and a segment's map take where nothing else decides.
        bidirectional: whether the recurrent layers also run backward.
        head_dropout: share dropped before a segment decoder's last map.
        pooling: how steps become one vector: last, mean, max or attention.
        initial_state: zero (the cell's own) or learned.
        embedding_size: E of a token's vector; None takes the pretrained vectors' width, else ``width``.
        embedding_dropout: share of words that is dropped, whole.
        embedding_std: standard deviation of the first token vectors; small where rare words should say little at first.
        embedding_prior: weight of naive Bayes scores (Wang and Manning 2012, section 2.1) in the first token vectors.
        front_kernel: steps that the convolution in front of the recurrent layers sees; 0 is none.
        decoding: how a forecast is made: direct, recursive or segment.
        segment: S, steps a segment, for ``decoding="segment"``.
        channel_independent: whether each target is a sequence of its own, for ``decoding="segment"``.
    """

    width: int
    bidirectional: bool = False
    head_dropout: float = 0.0
    pooling: PoolingName = "last"
    initial_state: InitialStateName = "zero"
    embedding_size: int | None = None
    embedding_dropout: float = 0.0
    embedding_std: float = 1.0
    embedding_prior: float = 0.0
    front_kernel: int = 0
    decoding: DecodingName = "direct"
    segment: int = 24
    channel_independent: bool = True


class SequenceModel(nn.Module):
    """A front, an encoder of recurrent layers and a head, for any kind of data.

    The prediction's shape is the kind's: forecasting (B, K, O), or (B, K, O, Q) with ``outputs`` = Q > 1;
    classification (B, C) logits; labelling (B, T, C) logits; regression (B, O); next_step (B, T, O), linear.

    Args:
        spec: what the data decides.
        make_encoder: builds the recurrent layers for a number of input features.
        outputs: Q, values a target; more than one only when forecasting.
        options: what stands around the recurrent layers.

    Raises:
        RequestError: an option is unknown, out of range, or does not suit the data.
    """

    def __init__(
        self, spec: Spec, make_encoder: Callable[[int], Encoder], outputs: int = 1, options: ModelOptions | None = None
    ) -> None:
        super().__init__()
        options = ModelOptions(width=64) if options is None else options
        check_count(1, **{"model.hidden_size": options.width, "outputs": outputs})
        check_choice("model.initial_state", options.initial_state, ("zero", "learned"))
        check_choice("model.decoding", options.decoding, ("direct", "recursive", "segment"))
        _check_spec(spec, outputs, options)
        _check_directions(spec, options)
        self.spec, self.outputs = spec, outputs
        self.window_norm = make_window_norm(spec)
        self.front = _make_front(spec, options)
        self.encoder = make_encoder(self.front.output_size)
        self.head = self._make_head(options)
        self.start = LearnedState(self.encoder.initial_state(1)) if options.initial_state == "learned" else None

    def forward(self, batch: Batch, state: NestedState | None = None, tbptt: int = 0) -> Tensor:
        """Return the prediction for a batch.

        Args:
            batch: inputs, as ``spec`` describes them.
            state: the state before the batch, from ``encode(...).state``; None starts a sequence.
            tbptt: steps after which the graph is cut while the state is carried on; 0 never cuts. Segments are the
                steps of ``decoding="segment"``.

        Raises:
            RequestError: the batch is not what ``spec`` says, or ``tbptt`` is asked of a bidirectional encoder.
        """
        encoding = self.encode(batch, state, tbptt)
        prediction: Tensor = self.head(encoding, batch, self._run)
        return self.window_norm.restore(prediction, encoding.window)

    def forward_tensors(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the prediction for bare tensors, for ``torch.export``: x (B, T, I) or tokens (B, T), lengths (B,)."""
        return self(Batch(x=x, index=torch.arange(len(x), device=x.device), lengths=lengths))  # type: ignore[no-any-return]

    def encode(self, batch: Batch, state: NestedState | None = None, tbptt: int = 0) -> Encoding:
        """Return what the head is given, every layer's outputs among it; arguments as for ``forward``."""
        self._check_batch(batch)
        if tbptt and self.encoder.directions == 2:
            raise RequestError(
                "task.tbptt needs model.bidirectional=false: a backward layer starts at the sequence's end."
            )
        inputs, window = self.window_norm(self._clean(batch), batch.lengths)
        tail, before = (None, None) if state is None else cast(tuple[Tensor, LayerStates], state)
        x, tail, lengths, aux = self.front(inputs, batch, tail)
        before = self.initial_state(len(x)) if before is None else before
        if tbptt:
            outputs, after = run_chunks(self.encoder, x, before, lengths, aux, tbptt)
        else:
            outputs, after = self.encoder.run_layers(x, before, lengths, aux)
        return Encoding(inputs, outputs, self.encoder.read(outputs), lengths, (tail, after), window)

    def initial_state(self, batch_size: int) -> LayerStates:
        """Return the recurrent layers' state before the first step."""
        start: Encoder | LearnedState = self.encoder if self.start is None else self.start
        made = start.initial_state(batch_size) if isinstance(start, Encoder) else start(batch_size)
        return cast(LayerStates, made)

    @property
    def state_size(self) -> int:
        """Return the real numbers in the cells' states of one sequence, over all layers and directions."""
        return self.encoder.state_size

    def num_parameters(self, embedding: bool = True) -> int:
        """Return the number of trained values; ``embedding=False`` leaves the table of token vectors out."""
        table = self.front.embedding.table.weight if isinstance(self.front, Front) and self.front.embedding else None
        counted = (p for p in self.parameters() if p.requires_grad and (embedding or p is not table))
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in counted)

    def _run(self, x: Tensor, state: NestedState, aux: Aux | None) -> tuple[Tensor, NestedState]:
        tail, before = cast(tuple[Tensor, LayerStates], state)
        x, tail = self.front.extend(x, tail)
        y, after = self.encoder(x, before, None, aux)
        return y, (tail, after)

    def _make_head(self, options: ModelOptions) -> Head:
        spec, encoder = self.spec, self.encoder
        if spec.kind in ("labelling", "next_step"):
            return StepHead(encoder.output_size, spec.output_size)
        if spec.kind == "forecasting" and options.decoding == "recursive":
            return RecursiveHead(spec, self.outputs, encoder.output_size)
        if isinstance(self.front, SegmentFront):
            return SegmentHead(spec, self.outputs, self.front, encoder.output_size, options.head_dropout)
        pooling = make_pooling(
            options.pooling, encoder.output_size, encoder.layers_read, encoder.directions, encoder.mixed
        )
        if spec.kind == "forecasting":
            return DirectHead(spec, self.outputs, pooling)
        return SequenceHead(pooling, spec.output_size)

    def _check_batch(self, batch: Batch) -> None:
        tokens = self.spec.input_size is None
        wanted = "(B, T) of token numbers" if tokens else f"(B, T, {self.spec.input_size})"
        if batch.x.dim() != (2 if tokens else 3) or not (tokens or batch.x.shape[2] == self.spec.input_size):
            raise RequestError(f"batch.x must have the shape {wanted}; got {tuple(batch.x.shape)}.")

    def _clean(self, batch: Batch) -> Tensor:
        """Return the inputs with zeros at padded steps, whatever stood there."""
        return batch.x if self.spec.input_size is None else zero_padding(batch.x, batch.lengths)


def _make_front(spec: Spec, options: ModelOptions) -> Front | SegmentFront:
    if spec.kind == "forecasting" and options.decoding == "segment":
        return SegmentFront(spec, options.width, options.segment, options.channel_independent)
    return Front(
        spec,
        options.width,
        embedding_size=options.embedding_size,
        embedding_dropout=options.embedding_dropout,
        embedding_std=options.embedding_std,
        embedding_prior=options.embedding_prior,
        kernel_size=options.front_kernel,
        causal=not options.bidirectional,
    )


def _check_spec(spec: Spec, outputs: int, options: ModelOptions) -> None:
    if (spec.input_size is None) == (spec.vocabulary_size is None):
        raise RequestError(
            f"Spec must give either input_size (features) or vocabulary_size (tokens);"
            f" got {spec.input_size} and {spec.vocabulary_size}."
        )
    if spec.kind != "forecasting":
        if outputs != 1:
            raise RequestError(f"outputs={outputs}: more than one value a target (quantiles) is for forecasting only.")
        if options.decoding != "direct":
            raise RequestError(
                f"model.decoding={options.decoding} is for forecasting; this data is of the kind {spec.kind!r}."
            )
    elif spec.horizon is None or spec.input_size is None:
        raise RequestError("Forecasting needs a Spec with a horizon and an input_size.")
    unpooled = spec.kind in ("labelling", "next_step") or options.decoding != "direct"
    if unpooled and options.pooling != "last":
        what = f"decoding={options.decoding}" if spec.kind == "forecasting" else f"the kind {spec.kind!r}"
        raise RequestError(f"model.pooling={options.pooling} has no effect with {what}. Leave it at last.")
    if options.decoding == "segment" and options.front_kernel:
        raise RequestError(
            "model.front_kernel has no place before segments. Set it to 0, or use model.decoding=direct."
        )


def _check_directions(spec: Spec, options: ModelOptions) -> None:
    if not options.bidirectional:
        return
    if spec.kind == "next_step":
        raise RequestError("model.bidirectional=true would see the very step that is to be predicted. Set it to false.")
    if options.decoding != "direct":
        raise RequestError(
            f"model.decoding={options.decoding} runs on from the last step, which a backward layer can't."
            f" Use model.bidirectional=false or model.decoding=direct."
        )
