"""Sentences from a small grammar whose polarity is composed, not summed: the sentiment set that needs no download."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqlab.data._base import Split
from seqlab.data._text import Corpus, LabelledText, Preparation
from seqlab.data.tokenizer import WORDS, TokenizerOptions
from seqlab.errors import RequestError

CLASSES = ("negative", "positive")
SUBJECTS = (
    "the plot", "the film", "the acting", "the music", "the ending", "the service", "the food", "the staff",
    "the screen", "the battery", "the sound", "the price", "the story", "the room", "the menu", "the design",
)  # fmt: skip
CUES = (
    ("bad", "dull", "poor", "weak", "clumsy", "boring", "ugly", "bland", "awful", "stale", "lazy", "tedious"),
    ("good", "great", "fine", "lovely", "clever", "moving", "solid", "funny", "superb", "fresh", "bright", "charming"),
)
NEGATIONS = ("not", "never", "hardly", "nowhere near", "anything but", "far from")
INTENSIFIERS = ("very", "really", "quite", "truly", "rather", "so")
TURNING_FRAMES = ("nobody would say that", "i doubt that", "it is false that")
PLAIN_FRAMES = ("everybody would say that", "i think that", "it is true that")
FILLERS = {
    1: ("honestly", "frankly", "overall", "somehow", "again", "still"),
    2: ("in fact", "to me", "these days", "by now", "of late", "on paper"),
    3: ("in my view", "to be fair", "all in all", "as things stand", "now and then", "for the record"),
}
CONTRASTS = ("{other} but {main}", "although {other} , {main}", "{main} , although {other}", "{other} ; still , {main}")


class Polarity(LabelledText):
    """Sentences drawn from a grammar, labelled negative or positive by what they say as a whole.

    This is made-up English, not anybody's opinion. A clause holds a cue ("dull", "lovely"), which a negation may turn
    around from up to ``distance`` words away, and a frame ("i doubt that") may turn the clause around again; an
    intensifier changes nothing. Two clauses of opposite polarity may be contrasted, and the main one decides:

        although the food was lovely , the room was not in my view very bright      -> negative
                              other                 turn                cue

    Each cue stands in sentences of both classes, and no sentence occurs twice. Trivial scores on the default test
    split: majority 50.6 %, naive Bayes over 1- and 2-grams 54.5 %; reading the sentence by the rules gives 100 %, and
    an LSTM comes within one point of it in a few epochs.

    Args:
        sentences: numbers of training, validation and test sentences.
        distance: most words between a negation and the cue that it turns.
        negated: share of the clauses with a negation; at 0.5 single words say nothing at all.
        framed: share of the clauses in a frame, of which half turn.
        contrasted: share of the sentences with two clauses.
        tokenizer: TokenizerOptions as a mapping.
        split_seed: decides the sentences; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range, or the grammar has too few sentences.
    """

    def __init__(
        self,
        sentences: Sequence[int] = (8000, 1000, 2000),
        distance: int = 4,
        negated: float = 0.35,
        framed: float = 0.3,
        contrasted: float = 0.4,
        tokenizer: Mapping[str, Any] = WORDS,
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            Preparation(TokenizerOptions.of(tokenizer), split_seed=split_seed),
            batch_size=batch_size,
            num_workers=num_workers,
        )
        if len(sentences) != 3 or min(sentences) < 2:
            raise RequestError(f"data.sentences are three numbers (train, val, test) from 2; got {list(sentences)}.")
        if distance < 0:
            raise RequestError(f"data.distance counts words from 0; got {distance}.")
        for name, share in (("negated", negated), ("framed", framed), ("contrasted", contrasted)):
            if not 0 <= share <= 1:
                raise RequestError(f"data.{name} is a share from 0 to 1; got {share}.")
        self.sentences, self.distance = tuple(sentences), distance
        self.negated, self.framed, self.contrasted = negated, framed, contrasted
        self._drawn: Corpus | None = None

    def corpus(self) -> Corpus:
        """Draw the sentences of all three splits, once."""
        if self._drawn is None:
            self._drawn = self._draw()
        return self._drawn

    def source_digest(self) -> str:
        """Return the SHA-256 (hex) of sentences and labels."""
        corpus = self.corpus()
        lines = (f"{n}\t{t}\n" for s in corpus.texts for t, n in zip(corpus.texts[s], corpus.labels[s], strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _draw(self) -> Corpus:
        rng = np.random.default_rng(self.preparation.split_seed)
        total, made = sum(self.sentences), dict[str, int]()
        for _ in range(20 * total):
            if len(made) == total:
                break
            label = int(rng.integers(2))
            made[self._sentence(label, rng)] = label
        if len(made) < total:
            raise RequestError(f"The grammar gives too few different sentences for data.sentences={self.sentences}.")
        names: tuple[Split, ...] = ("train", "val", "test")
        texts, labels = np.array(list(made), dtype=object), np.array(list(made.values()), dtype=np.int64)
        cuts = np.cumsum(self.sentences)[:-1]
        return Corpus(
            texts={split: part.tolist() for split, part in zip(names, np.split(texts, cuts), strict=True)},
            labels=dict(zip(names, np.split(labels, cuts), strict=True)),
            class_names=CLASSES,
        )

    def _sentence(self, label: int, rng: np.random.Generator) -> str:
        main = self._clause(label, rng)
        if rng.random() >= self.contrasted:
            return main
        return _pick(CONTRASTS, rng).format(main=main, other=self._clause(1 - label, rng))

    def _clause(self, label: int, rng: np.random.Generator) -> str:
        """Return a clause of the given polarity; every turn on the way to the cue turns the cue."""
        words = [_pick(SUBJECTS, rng), "was"]
        cue = label
        if rng.random() < self.framed:
            turns = rng.random() < 0.5
            words.insert(0, _pick(TURNING_FRAMES if turns else PLAIN_FRAMES, rng))
            cue ^= turns
        if rng.random() < self.negated:
            words.append(_pick(NEGATIONS, rng))
            cue ^= True
        gap = int(rng.integers(self.distance + 1))
        if gap and rng.random() < 0.5:
            words += [*_filler(gap - 1, rng), _pick(INTENSIFIERS, rng)]
        else:
            words += _filler(gap, rng)
        return " ".join([*words, _pick(CUES[cue], rng)])


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _filler(words: int, rng: np.random.Generator) -> list[str]:
    """Return phrases that change no polarity and hold ``words`` words together."""
    phrases: list[str] = []
    while words:
        size = int(rng.integers(1, min(words, max(FILLERS)) + 1))
        phrases.append(_pick(FILLERS[size], rng))
        words -= size
    return phrases
