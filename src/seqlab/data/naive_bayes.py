"""The predictors that need no training loop: the majority class and multinomial naive Bayes over n-grams."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

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
