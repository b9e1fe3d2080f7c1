"""Segment-wise encoding and parallel decoding for any cell (Lin et al. 2023, SegRNN, arXiv 2308.11200, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.data import Batch, Spec
from seqlab.errors import RequestError
from seqlab.nn._checks import check_count
from seqlab.nn.front import Fronted
from seqlab.nn.heads import Encoding, ForecastHead, Run
from seqlab.nn.state import map_state


class SegmentFront(nn.Module):
    """Cuts a window into segments and maps each, W x + b and a ReLU, to one step of the encoder.

    The last segment ends at the last real step; where the length is no multiple of the segment's, the first segment
    begins with repeats of the window's first value.

    Args:
        spec: the inputs, and which of them the targets are.
        width: E, features of an encoder's step.
        segment: S, steps a segment.
        channel_independent: whether each target is a sequence of its own, (B O, N, E), and other inputs are left out;
            else a segment holds all I inputs, (B, N, E).

    Raises:
        RequestError: ``channel_independent`` without targets among the inputs, or a segment longer than the window.
    """

    def __init__(self, spec: Spec, width: int, segment: int, channel_independent: bool) -> None:
        super().__init__()
        check_count(1, **{"model.segment": segment})
        if spec.input_size is None or (channel_independent and len(spec.target_index) != spec.output_size):
            raise RequestError(
                "model.decoding=segment needs every target among the inputs."
                " Use model.channel_independent=false, or model.decoding=direct."
            )
        if spec.lookback is not None and segment > spec.lookback:
            raise RequestError(f"model.segment={segment} is longer than the look-back of {spec.lookback} steps.")
        self.segment, self.output_size, self.channel_independent = segment, width, channel_independent
        self.columns = list(spec.target_index) if channel_independent else list(range(spec.input_size))
        self.channels = len(self.columns) if channel_independent else 1
        self.map = nn.Linear(segment if channel_independent else segment * spec.input_size, width)

    def forward(self, x: Tensor, batch: Batch, tail: Tensor | None = None) -> Fronted:
        """Return the encoder's input for the window ``x`` (B, T, I) after window normalisation."""
        steps = torch.full((len(x),), x.shape[1], device=x.device) if batch.lengths is None else batch.lengths
        segments = (steps + self.segment - 1).div(self.segment, rounding_mode="floor")
        count = -(-x.shape[1] // self.segment)
        # Row b's first segment begins with this many repeats, so that its last one ends with the window.
        repeats = segments * self.segment - steps
        place = torch.arange(count * self.segment, device=x.device) - repeats.unsqueeze(1)
        place = place.clamp(min=0).minimum(steps.unsqueeze(1) - 1)
        aligned = x[..., self.columns].gather(1, place.unsqueeze(-1).expand(-1, -1, len(self.columns)))
        rows = torch.unflatten(aligned, 1, (count, self.segment))
        if self.channel_independent:
            rows = rows.permute(0, 3, 1, 2).flatten(0, 1)
        lengths = None if batch.lengths is None else segments.repeat_interleave(self.channels)
        return Fronted(F.relu(self.map(rows.flatten(2))), self._no_tail(rows), lengths, None)

    def extend(self, x: Tensor, tail: Tensor | None, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x as it is: what the decoder feeds the encoder is no segment of values."""
        return x, self._no_tail(x) if tail is None else tail

    @staticmethod
    def _no_tail(x: Tensor) -> Tensor:
        return x.new_zeros(len(x), 0, 0)


class SegmentHead(ForecastHead):
    """Decodes every segment ahead in parallel: one step of the encoder from its last state on an embedding of the
    segment's place and the channel, then dropout and a linear map to the segment's values.

    Known covariates of a segment are mapped onto its embedding. The last segment is cut where the horizon ends.

    Args:
        spec: K, O and F.
        outputs: Q values a target.
        front: the segments that were encoded.
        size: D of the encoder's output.
        dropout: share dropped before the last map.
    """

    def __init__(self, spec: Spec, outputs: int, front: SegmentFront, size: int, dropout: float) -> None:
        super().__init__(spec, outputs)
        self.segment, self.channels = front.segment, front.channels
        self.segments = -(-self.horizon // self.segment)
        own = front.output_size // 2 if self.channels > 1 else 0
        self.place = nn.Parameter(torch.randn(self.segments, front.output_size - own))
        self.channel = nn.Parameter(torch.randn(self.channels, own)) if own else None
        self.covariates = None
        if spec.future_size:
            self.covariates = nn.Linear(spec.future_size * self.segment, front.output_size, bias=False)
        self.drop = nn.Dropout(dropout)
        self.values = self.targets // self.channels * outputs
        self.map = nn.Linear(size, self.segment * self.values)

    def forward(self, encoding: Encoding, batch: Batch, run: Run) -> Tensor:
        """Return (B, K, O), or (B, K, O, Q)."""
        queries = self._queries(batch)
        state = map_state(lambda s: s.repeat_interleave(self.segments, 0), encoding.state)
        y, _ = run(queries.flatten(0, 2).unsqueeze(1), state, None)
        values = self.map(self.drop(y[:, 0])).reshape(*queries.shape[:3], self.segment, self.values)
        # (B, channels, segments, S, .) to (B, segments * S, channels * .)
        forecast = values.permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)
        return self.shape(forecast[:, : self.horizon])

    def _queries(self, batch: Batch) -> Tensor:
        """Return the embeddings of what is asked for: (B, channels, segments, E)."""
        query = self.place.expand(self.channels, -1, -1)
        if self.channel is not None:
            query = torch.cat([query, self.channel.unsqueeze(1).expand(-1, self.segments, -1)], -1)
        query = query.expand(len(batch), -1, -1, -1)
        if self.covariates is None:
            return query
        future = F.pad(self.future_of(batch), (0, 0, 0, self.segments * self.segment - self.horizon))
        known: Tensor = self.covariates(torch.unflatten(future, 1, (self.segments, self.segment)).flatten(2))
        return query + known.unsqueeze(1)
