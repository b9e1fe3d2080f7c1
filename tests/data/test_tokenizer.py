"""Tokenizers: which tokens, which numbers, what is cut."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from seqlab.data.tokenizer import TextEncoder, TokenizerOptions
from seqlab.data.tokens import Tokens, padding_share
from seqlab.errors import RequestError

TEXTS = ["The cat sat on the mat .", "the dog didn't sit !", "a cat and a dog", "THE mat"]


def fit(texts: list[str] = TEXTS, **options: object) -> TextEncoder:
    return TextEncoder.fit(texts, TokenizerOptions(**{"min_frequency": 1, **options}))  # type: ignore[arg-type]


def tokens_of(encoder: TextEncoder, text: str) -> list[str]:
    tokens, _, _ = encoder.encode([text])
    return [encoder.vocabulary[number] for number in tokens.flat]


def test_words_are_numbered_by_frequency_after_padding_and_unknown() -> None:
    encoder = fit()
    counts = Counter(word for text in TEXTS for word in text.lower().split())
    assert encoder.vocabulary[:3] == ["<pad>", "<unk>", "the"]
    assert set(encoder.vocabulary[2:]) == set(counts)
    frequencies = [counts[word] for word in encoder.vocabulary[2:]]
    assert frequencies == sorted(frequencies, reverse=True)


def test_words_keep_apostrophes_and_split_marks() -> None:
    encoder = fit(["he didn't , wo n't 'tis well-made!"])
    assert tokens_of(encoder, "didn't, n't 'tis well-made!") == ["didn't", ",", "n't", "'tis", "well", "-", "made", "!"]


def test_lowercase_can_be_kept() -> None:
    assert {"The", "THE", "the"} <= set(fit(lowercase=False).vocabulary)
    assert "The" not in fit().vocabulary


def test_min_frequency_and_max_size_leave_words_unknown() -> None:
    encoder = fit(min_frequency=2)
    assert set(encoder.vocabulary[2:]) == {"the", "cat", "mat", "dog", "a"}
    assert tokens_of(encoder, "the sat cat") == ["the", "<unk>", "cat"]
    assert fit(max_size=4).vocabulary_size == 4
    assert fit(max_size=4).vocabulary[2] == "the"


def test_characters_include_white_space_and_line_ends() -> None:
    encoder = fit(["ab\nb c"], kind="char")
    assert sorted(encoder.vocabulary[2:]) == ["\n", " ", "a", "b", "c"]
    assert tokens_of(encoder, "a\nc x") == ["a", "\n", "c", " ", "<unk>"]


def test_byte_pairs_know_every_text() -> None:
    encoder = fit(TEXTS * 3, kind="bpe", max_size=280)
    assert encoder.vocabulary_size == 280
    tokens, _, _ = encoder.encode(["日本 é <pad> zzz"])
    assert (tokens.flat > 1).all()
    assert encoder.tokenizer.decode(tokens.flat.tolist()).strip() == "日本 é <pad> zzz"


def test_unescape_undoes_whole_and_broken_entities() -> None:
    encoder = fit(["x"] * 2 + ["a b c d < > & ' \" b&w"], unescape=True)
    assert tokens_of(encoder, "a &lt;b&gt; c&#39; d #39; &quot;a quot; &amp; &amp;lt; b\\c<br />d") == (
        ["a", "<", "b", ">", "c", "'", "d", "'", '"', "a", '"', "&", "<", "b", "c", "d"]
    )


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_a_text_that_spells_a_special_token_is_no_padding(kind: str) -> None:
    encoder = fit(kind=kind, max_size=400)
    tokens, _, _ = encoder.encode(["<pad> cat <unk>"])
    assert 0 not in tokens.flat


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_json_round_trip_encodes_alike(kind: str) -> None:
    encoder = fit(kind=kind, max_size=300, max_length=5)
    again = TextEncoder.from_json(encoder.to_json())
    json.loads(encoder.to_json())
    for text in (*TEXTS, "unseen ♥ text", ""):
        np.testing.assert_array_equal(again.encode([text])[0].flat, encoder.encode([text])[0].flat)
    assert again.options == encoder.options


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_fitting_twice_gives_one_vocabulary(kind: str) -> None:
    assert fit(kind=kind, max_size=290).to_json() == fit(kind=kind, max_size=290).to_json()


def test_truncation_cuts_the_named_end_and_counts() -> None:
    tail, head = fit(max_length=2), fit(max_length=2, truncate="head")
    assert tokens_of(tail, "the cat sat") == ["the", "cat"]
    assert tokens_of(head, "the cat sat") == ["cat", "sat"]
    _, cut, empty = tail.encode(["the cat sat", "the cat", "", " \n"])
    assert (cut, empty) == (1, 2)


def test_an_empty_text_has_one_unknown_step() -> None:
    tokens, _, _ = fit().encode(["", "cat"])
    assert tokens.__getitems__([0]).x.tolist() == [[1]]
    assert tokens.lengths is not None
    assert tokens.lengths.tolist() == [1, 1]


@pytest.mark.parametrize("texts", [["word"] * 9, ["word word"], ["", " "]])
def test_a_vocabulary_of_one_word_is_refused(texts: list[str]) -> None:
    with pytest.raises(RequestError, match=r"at least two word tokens.*data\.text.*min_frequency"):
        fit(texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "words"}, "one of word, char, bpe"),
        ({"truncate": "left"}, "one of tail, head"),
        ({"min_frequency": 0}, "whole number from 1"),
        ({"max_size": 2}, "whole number from 3"),
        ({"max_length": 0}, "whole number from 1"),
        ({"kind": "bpe", "max_size": None}, "give it a number"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        TokenizerOptions.of(options)


def test_an_unknown_option_is_named_with_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"'lower_case'.*Did you mean 'lowercase'"):
        TokenizerOptions.of({"lower_case": True})


def test_batches_are_gathered_as_by_hand() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 50, rng.integers(1, 9)).astype(np.int32) for _ in range(40)]
    tokens = Tokens.of(rows, np.arange(40) % 3)
    chosen = [39, 3, 3, 17, 0]
    batch = tokens.__getitems__(chosen)
    width = max(len(rows[i]) for i in chosen)
    by_hand = [rows[i].tolist() + [0] * (width - len(rows[i])) for i in chosen]
    assert batch.x.tolist() == by_hand
    assert batch.index.tolist() == chosen
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [len(rows[i]) for i in chosen]
    assert batch.y is not None
    assert batch.y.tolist() == [i % 3 for i in chosen]


def test_padding_share_counts_padding() -> None:
    lengths = np.array([1, 1, 4, 4, 3, 2], dtype=np.int64)
    # Buckets of two: (1, 1), (2, 3), (4, 4): one padded step among sixteen.
    assert padding_share(lengths, 2) == pytest.approx(1 / 16)
