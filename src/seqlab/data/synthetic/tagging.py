"""Tagging of made-up sentences in which an earlier word decides what a name is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlab.data._base import Spec, Split
from seqlab.data._stored import at_least
from seqlab.data.sequences import UNLABELLED, Sequences
from seqlab.data.synthetic._base import FIRST, Drawn, Synthetic, labelling

PERSON_CUES = ("singer", "teacher", "doctor", "captain", "farmer", "poet")
PLACE_CUES = ("town", "river", "island", "harbour", "valley", "street")
NAMES = ("Jordan", "Victoria", "Lincoln", "Florence", "Sydney", "Chelsea", "Georgia", "Dakota")
FILLERS = (
    "the",
    "old",
    "quiet",
    "and",
    "often",
    "again",
    "near",
    "with",
    "some",
    "then",
    "called",
    "once",
    "that",
    "much",
)
#: The words in the order of their tokens, from FIRST.
WORDS = (*PERSON_CUES, *PLACE_CUES, *NAMES, *FILLERS)
TAGS = ("O", "PER", "LOC")
_PLACE, _NAME, _FILLER = len(PERSON_CUES), len(PERSON_CUES + PLACE_CUES), len(PERSON_CUES + PLACE_CUES + NAMES)


class Tagging(Synthetic):
    """Tag each name as a person or a place, as the last cue before it says; all else is O.

        singer  once  that  Jordan  river  old  near  Florence          the names stand for either
        O       O     O     PER     O      O    O     LOC

    This is made-up English, not anybody's text. A sentence has 1 to ``segments`` segments of a cue, 0 to ``distance``
    fillers and a name. Kind: labelling, x and y (B, T). Trivial score: knowing the current word alone leaves each name
    a guess: accuracy 1 - (names / words) / 2, 89.9 % on the default test split, and a sentence is right (23 %) as a
    coin falls for each of its names.

    Args:
        segments: names in a sentence, at most.
        distance: words between a cue and its name, at most.
        sizes: numbers of training, validation and test sentences.
        split_seed: decides the sentences; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a number lies outside its range.
    """

    def __init__(
        self,
        segments: int = 4,
        distance: int = 6,
        sizes: Sequence[int] = (4000, 500, 500),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        at_least("segments", segments, 1)
        at_least("distance", distance, 0)
        super().__init__(sizes, split_seed, batch_size, num_workers)
        self.segments, self.distance = segments, distance

    def draw(self, rng: np.random.Generator, count: int, split: Split) -> Drawn:
        """Draw segments with gaps of different size and push them together."""
        shape = (count, self.segments, 1)
        steps = np.arange(self.distance + 2)
        gap = rng.integers(self.distance + 1, size=shape)
        present = np.arange(self.segments)[:, None] < rng.integers(1, self.segments + 1, size=(count, 1, 1))
        place = rng.integers(2, size=shape)
        cue = place * _PLACE + rng.integers(len(PERSON_CUES), size=shape)
        name = _NAME + rng.integers(len(NAMES), size=shape)
        filler = _FILLER + rng.integers(len(FILLERS), size=(count, self.segments, len(steps)))
        words = FIRST + np.select([steps == 0, steps <= gap, steps == gap + 1], [cue, filler, name], -FIRST)
        tags = np.where(steps == gap + 1, 1 + place, 0)
        x = np.where(present, words, 0).reshape(count, -1)
        order = np.argsort(x == 0, axis=1, kind="stable")  # words first, in their order
        x = np.take_along_axis(x, order, axis=1).astype(np.int16)
        y = np.take_along_axis(tags.reshape(count, -1), order, axis=1)
        return Drawn(x, np.where(x > 0, y, UNLABELLED).astype(np.int16), (x > 0).sum(1))

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: O, PER and LOC as classes."""
        return labelling(train, FIRST + len(WORDS), TAGS)
