"""What turns a batch's inputs into the encoder's: token embedding and convolution."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.cells import Aux
from seqlab.cells._base import zero_padding
from seqlab.cells._causal import extend, next_tail
from seqlab.data import Batch, Spec
from seqlab.errors import RequestError
from seqlab.nn._checks import check_count, check_share


class Fronted(NamedTuple):
    """The encoder's input.

    Attributes:
        x: (B, T, I) features.
        tail: (B, k - 1, .), what a causal convolution remembers of the inputs so far.
        lengths: (B,), real steps; None when all are.
        aux: what was observed and when, as far as it still fits ``x``.
    """

    x: Tensor
    tail: Tensor
    lengths: Tensor | None
    aux: Aux | None


class TokenEmbedding(nn.Module):
    """Vectors for tokens; 0 is padding. Dropout drops whole words of a batch (Gal and Ghahramani 2016, section 4.2).

    Args:
        spec: vocabulary size, and the pretrained vectors where there are some.
        size: E, features a token; None takes the pretrained vectors' width, else ``default``.
        default: E where nothing else decides it.
        dropout: share of the vocabulary that is dropped each forward pass.
        std: standard deviation of the first vectors, where none are pretrained.
        prior: weight of the tokens' naive Bayes scores in the first vectors: feature c starts with the score of class c
            on top, so that words which speak for one class lie together before the first step.

    Raises:
        RequestError: ``size`` is not the pretrained vectors' width, the data has no scores, or vectors are frozen.
    """

    def __init__(
        self, spec: Spec, size: int | None, default: int, dropout: float = 0.0, std: float = 1.0, prior: float = 0.0
    ) -> None:
        super().__init__()
        assert spec.vocabulary_size is not None
        width = default if spec.vectors is None else spec.vectors.shape[1]
        if size is not None:
            check_count(1, **{"model.embedding_size": size})
            if spec.vectors is not None and size != width:
                raise RequestError(
                    f"model.embedding_size={size}, but the pretrained vectors have {width} features."
                    f" Leave it null to take theirs."
                )
        check_share(**{"model.embedding_dropout": dropout})
        if std <= 0:
            raise RequestError(f"model.embedding_std must be above 0; got {std}.")
        self.output_size = size or width
        self.dropout = dropout
        self.table = nn.Embedding(spec.vocabulary_size, self.output_size, padding_idx=0)
        with torch.no_grad():
            self.table.weight *= std
        if spec.vectors is not None:
            with torch.no_grad():
                self.table.weight.copy_(spec.vectors)
                self.table.weight[0] = 0
            self.table.weight.requires_grad_(not spec.freeze_vectors)
        if prior:
            self._add_scores(spec, prior)

    def _add_scores(self, spec: Spec, prior: float) -> None:
        if not 0 < prior < math.inf:
            raise RequestError(f"model.embedding_prior must be 0 or more; got {prior}.")
        if spec.token_scores is None:
            raise RequestError("model.embedding_prior is for texts with one class each; this data has none.")
        if spec.freeze_vectors:
            raise RequestError("model.embedding_prior would change vectors that data.freeze_vectors keeps as they are.")
        classes = spec.token_scores.shape[1]
        if classes > self.output_size:
            raise RequestError(
                f"model.embedding_prior takes a feature for each of {classes} classes;"
                f" model.embedding_size is {self.output_size}."
            )
        with torch.no_grad():
            self.table.weight[:, :classes] += prior * spec.token_scores

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, E) for tokens (B, T)."""
        vectors: Tensor = self.table(tokens)
        if not self.training or not self.dropout:
            return vectors
        kept = F.dropout(vectors.new_ones(self.table.num_embeddings), self.dropout)
        return vectors * kept[tokens].unsqueeze(-1)


class ConvolutionFront(nn.Module):
    """A convolution over time and a ReLU, in front of a recurrent encoder.

    Causal, it remembers its last inputs, so that a sequence in pieces equals the whole; centred, it sees
    both sides of a step and needs the whole sequence at once.

    Args:
        input_size: I.
        output_size: features it returns.
        kernel_size: k, steps that a filter sees.
        causal: whether a filter ends at its step or is centred on it.
    """

    def __init__(self, input_size: int, output_size: int, kernel_size: int, causal: bool = True) -> None:
        super().__init__()
        self.output_size, self.causal = output_size, causal
        self.convolution = nn.Conv1d(input_size, output_size, kernel_size)

    def initial_tail(self, x: Tensor) -> Tensor:
        """Return what is remembered before the first step: zeros (B, k - 1, I), or nothing where centred."""
        return x.new_zeros(len(x), self.convolution.kernel_size[0] - 1 if self.causal else 0, x.shape[2])

    def forward(self, x: Tensor, tail: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (B, T, ``output_size``) and the tail after each row's last real step."""
        if self.causal:
            seen = extend(x, tail)
            tail = next_tail(seen, tail, lengths)
        else:
            (k,) = self.convolution.kernel_size
            seen = F.pad(zero_padding(x, lengths), (0, 0, (k - 1) // 2, k // 2))
        return F.relu(self.convolution(seen.transpose(1, 2))).transpose(1, 2), tail


class Front(nn.Module):
    """Token embedding where the data holds tokens, then a convolution where one is asked for.

    Args:
        spec: what the data holds.
        width: features that the convolution returns, and an embedding whose size nothing else decides.
        embedding_size: E of the embedding; None lets the pretrained vectors or ``width`` decide.
        embedding_dropout: share of words dropped.
        embedding_std: standard deviation of the first vectors.
        embedding_prior: weight of naive Bayes scores in the first vectors.
        kernel_size: of the convolution; 0 is none.
        causal: whether the convolution may only look back.
    """

    def __init__(
        self,
        spec: Spec,
        width: int,
        *,
        embedding_size: int | None = None,
        embedding_dropout: float = 0.0,
        embedding_std: float = 1.0,
        embedding_prior: float = 0.0,
        kernel_size: int = 0,
        causal: bool = True,
    ) -> None:
        super().__init__()
        check_count(0, **{"model.front_kernel": kernel_size})
        self.embedding = None
        if spec.vocabulary_size is not None:
            self.embedding = TokenEmbedding(
                spec, embedding_size, width, embedding_dropout, embedding_std, embedding_prior
            )
            size = self.embedding.output_size
        else:
            if embedding_size is not None or embedding_dropout or embedding_std != 1 or embedding_prior:
                raise RequestError("model.embedding_* are for tokens; this data has features.")
            assert spec.input_size is not None
            size = spec.input_size
        self.convolution = ConvolutionFront(size, width, kernel_size, causal) if kernel_size else None
        self.output_size = width if kernel_size else size

    def forward(self, x: Tensor, batch: Batch, tail: Tensor | None = None) -> Fronted:
        """Return the encoder's input for ``x``, the batch's inputs after window normalisation."""
        x, tail = self.extend(x, tail, batch.lengths)
        if self.embedding is None and self.convolution is None:
            aux = Aux(batch.mask, batch.delta, batch.time)
        else:  # what was observed no longer names the features; when it was still holds
            aux = Aux(time=batch.time)
        return Fronted(x, tail, batch.lengths, None if all(a is None for a in aux) else aux)

    def extend(self, x: Tensor, tail: Tensor | None, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the encoder's input for inputs that go on where ``tail`` ended, and the tail after them."""
        if self.embedding is not None:
            x = self.embedding(x)
        if self.convolution is None:
            return x, x.new_zeros(len(x), 0, 0) if tail is None else tail
        tail = self.convolution.initial_tail(x) if tail is None else tail
        extended: tuple[Tensor, Tensor] = self.convolution(x, tail, lengths)
        return extended
