"""The grammar of composed polarity: an oracle reads it, a bag of words does not, an LSTM learns it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from seqlab.config import load
from seqlab.data import SPLITS, Batches, Loader, Split
from seqlab.data.polarity import CLASSES, CUES, FILLERS, INTENSIFIERS, NEGATIONS, PLAIN_FRAMES, TURNING_FRAMES, Polarity
from seqlab.errors import RequestError

POLARITY = {word: number for number, words in enumerate(CUES) for word in words}


def clause_polarity(clause: str) -> int:
    """Read one clause by the rules."""
    turns = sum(bool(re.search(rf"\b{words}\b", clause)) for words in (*NEGATIONS, *TURNING_FRAMES))
    (cue,) = [POLARITY[word] for word in clause.split() if word in POLARITY]
    return (cue + turns) % 2


def oracle(sentence: str) -> int:
    """Read a whole sentence: the main clause decides."""
    if " but " in sentence:
        return clause_polarity(sentence.split(" but ")[1].replace("anything but", "not"))
    if sentence.startswith("although "):
        return clause_polarity(sentence.split(" , ")[1])
    if " , although " in sentence:
        return clause_polarity(sentence.split(" , although ")[0])
    return clause_polarity(sentence.split(" ; still , ")[-1])


def read(sentence: str) -> int:
    """Hide the one negation that holds a connective, then ask the oracle."""
    return oracle(sentence.replace("anything but", "not"))


@pytest.fixture(scope="module")
def default() -> Polarity:
    data = Polarity(tokenizer=load("data", "polarity")["tokenizer"])
    data.cache = False
    data.setup()
    return data


def labels(data: Polarity, split: Split) -> list[int]:
    found = data.examples(split).labels
    assert found is not None
    return found.tolist()


def accuracy(data: Polarity, split: Split) -> dict[str, float]:
    examples = data.examples(split)
    batch = examples.__getitems__(range(len(examples)))
    assert batch.y is not None
    return {
        name: float((predict(batch).argmax(1) == batch.y).float().mean())
        for name, predict in data.baselines(split).items()
    }


def test_reading_by_the_rules_solves_it(default: Polarity) -> None:
    for split in SPLITS:
        assert [read(text) for text in default.texts(split)] == labels(default, split)


def test_the_docstrings_example_is_read_as_it_says() -> None:
    example = re.search(r"(although .*?)\s+-> (\w+)", Polarity.__doc__ or "")
    assert example
    assert CLASSES[read(example[1])] == example[2]


def test_the_sentences_are_as_many_as_asked_and_all_different(default: Polarity) -> None:
    texts = [text for split in SPLITS for text in default.texts(split)]
    assert [len(default.examples(split)) for split in SPLITS] == [8000, 1000, 2000]
    assert len(set(texts)) == 11000
    assert default.spec.class_names == ("negative", "positive")


def test_trivial_scores_are_those_of_the_docstring(default: Polarity) -> None:
    documented = re.search(
        r"majority ([\d.]+) %, naive Bayes[^%]*?([\d.]+) %", " ".join((Polarity.__doc__ or "").split())
    )
    assert documented
    scores = accuracy(default, "test")
    assert 100 * scores["majority"] == pytest.approx(float(documented[1]), abs=0.051)
    assert 100 * scores["naive_bayes"] == pytest.approx(float(documented[2]), abs=0.051)
    assert scores["naive_bayes"] < 0.75


def test_the_distance_is_a_knob() -> None:
    def widest(distance: int) -> int:
        data = Polarity((400, 2, 2), distance=distance, negated=1.0, framed=0.0, contrasted=0.0)
        gap = re.compile(rf"(?:{'|'.join(NEGATIONS)}) (.*)$")
        found = [gap.search(text) for text in data.corpus().texts["train"]]
        return max(len(m[1].split()) - 1 for m in found if m)

    assert [widest(distance) for distance in (0, 1, 4, 9)] == [0, 1, 4, 9]


def test_shares_are_kept() -> None:
    texts = Polarity((4000, 2, 2), negated=0.35, framed=0.3, contrasted=0.4).corpus().texts["train"]
    clauses = [c for t in texts for c in re.split(r" (?<!anything )but | ?, although | ; still , |, ", t)]
    share = np.mean([any(n in c for n in NEGATIONS) for c in clauses])
    assert share == pytest.approx(0.35, abs=0.03)
    assert np.mean([any(f in c for f in TURNING_FRAMES + PLAIN_FRAMES) for c in clauses]) == pytest.approx(
        0.3, abs=0.03
    )
    assert len(clauses) / len(texts) == pytest.approx(1.4, abs=0.04)


def test_fillers_have_the_words_that_their_place_says() -> None:
    assert {size: {len(f.split()) for f in group} for size, group in FILLERS.items()} == {1: {1}, 2: {2}, 3: {3}}
    assert not {*INTENSIFIERS, *FILLERS[1]} & {*POLARITY}


def test_the_split_seed_decides_the_sentences() -> None:
    first, again, other = (Polarity((20, 5, 5), split_seed=seed).corpus().texts for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentences": (10, 2)}, "three numbers"),
        ({"distance": -1}, "from 0"),
        ({"negated": 1.5}, "share from 0 to 1"),
        ({"sentences": (900, 2, 2), "distance": 0, "negated": 0, "framed": 0, "contrasted": 0}, "too few different"),
    ],
)
def test_impossible_requests_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Polarity(**arguments).setup()  # type: ignore[arg-type]


def test_an_lstm_learns_it(default: Polarity) -> None:
    torch.manual_seed(0)
    size = default.spec.vocabulary_size
    assert size is not None
    parts = torch.nn.Embedding(size, 32), torch.nn.LSTM(32, 32, batch_first=True), torch.nn.Linear(32, 2)
    model = torch.nn.ModuleList(parts)
    optimizer = torch.optim.Adam(model.parameters(), lr=8e-3)

    def logits(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        steps = parts[1](parts[0](x))[0]
        return parts[2](steps[torch.arange(len(x)), lengths - 1])

    train = default.examples("train")
    batches = Batches(len(train), 64, shuffle=True, lengths=train.lengths)
    loader = Loader(train, batches)
    for _ in range(4):
        for batch in loader:
            assert batch.lengths is not None
            assert batch.y is not None
            loss = torch.nn.functional.cross_entropy(logits(batch.x, batch.lengths), batch.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    test = default.examples("test").__getitems__(range(2000))
    assert test.lengths is not None
    with torch.no_grad():
        right = logits(test.x, test.lengths).argmax(1) == test.y
    assert right.float().mean() > 0.95
