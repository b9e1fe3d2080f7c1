"""What counting alone says: the majority class, multinomial naive Bayes over n-grams, and each token's part in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from torch import Tensor

from seqlab.data._base import Batch, Predictor, Split

#: Log-probability of what never occurred: finite, so that a mean over examples survives it.
FLOOR = np.float32(np.log(1e-12))


def class_log_priors(counts: Sequence[int]) -> NDArray[np.float32]:
    """Return (C,) log shares of the classes in training; a class without examples gets the floor."""
    shares = np.asarray(counts, dtype=np.float32)
    with np.errstate(divide="ignore"):
        found: NDArray[np.float32] = np.maximum(np.log(shares / shares.sum()), FLOOR)
    return found


def naive_bayes(
    texts: Sequence[str],
    labels: NDArray[np.int64],
    others: Mapping[Split, Sequence[str]],
    classes: int,
    characters: bool = False,
) -> dict[str, NDArray[np.float32]]:
    """Fit multinomial naive Bayes (alpha 1) and return (N, C) log-probabilities of each set of texts.

    Args:
        texts: the training split.
        labels: (N,) its class numbers.
        others: the texts to judge, by name.
        classes: C; one that no label names gets the floor.
        characters: count 1- to 4-character grams inside words, instead of words and pairs of neighbouring words
            (where no text holds a word of two letters, characters are counted all the same).
    """
    if characters or not any(re.search(r"\b\w\w", text) for text in texts):
        counter = CountVectorizer(analyzer="char_wb", ngram_range=(1, 4))
    else:
        counter = CountVectorizer(ngram_range=(1, 2))
    model = MultinomialNB(alpha=1.0).fit(counter.fit_transform(texts), labels)
    found: dict[str, NDArray[np.float32]] = {}
    for name, judged in others.items():
        found[name] = np.full((len(judged), classes), FLOOR, dtype=np.float32)
        found[name][:, model.classes_] = model.predict_log_proba(counter.transform(judged))
    return found


def token_scores(
    flat: NDArray[np.integer[Any]],
    offsets: NDArray[np.integer[Any]],
    labels: NDArray[np.int64],
    vocabulary_size: int,
    classes: int,
) -> NDArray[np.float32]:
    """Return (V, C) log p(token | class) less its mean over the classes: for two classes, half of the log-count ratio.

    A token counts once a text, and one more everywhere (Wang and Manning 2012, section 2.1). Row 0, the padding, is 0.

    Args:
        flat: all tokens, one text after the other.
        offsets: (N + 1,) where each text starts, and the end.
        labels: (N,) class numbers.
        vocabulary_size: V.
        classes: C.
    """
    text = np.repeat(np.arange(len(labels)), np.diff(offsets))
    text, token = np.divmod(np.unique(text * vocabulary_size + flat), vocabulary_size)
    counts = np.ones((vocabulary_size, classes))
    np.add.at(counts, (token, labels[text]), 1)
    counts[0] = 0
    shares = np.log(np.maximum(counts, 1) / counts.sum(axis=0))
    shares[0] = 0
    scores: NDArray[np.float32] = (shares - shares.mean(axis=1, keepdims=True)).astype(np.float32)
    return scores


def lookup(log_probabilities: NDArray[np.float32]) -> Predictor:
    """Return the predictor that gives each example of a split its row of (N, C) ``log_probabilities``."""
    table = torch.from_numpy(log_probabilities)

    def predict(batch: Batch) -> Tensor:
        return table[batch.index.cpu()].to(batch.x.device)  # (B, C)

    return predict


def constant(log_probabilities: NDArray[np.float32]) -> Predictor:
    """Return the predictor that gives every example the same (C,) ``log_probabilities``."""
    row = torch.from_numpy(log_probabilities)

    def predict(batch: Batch) -> Tensor:
        return row.to(batch.x.device).expand(len(batch), -1)  # (B, C)

    return predict
