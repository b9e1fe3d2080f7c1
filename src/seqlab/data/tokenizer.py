"""Texts become token numbers: words, characters or byte-pair pieces, fitted on the training split alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from seqlab.data.tokens import PADDING, Tokens
from seqlab.errors import RequestError, did_you_mean

PAD, UNKNOWN = "<pad>", "<unk>"
UNKNOWN_ID = 1
#: Words keep their inner apostrophes ("don't", "n't" after a split); each other mark stands alone.
WORD = r"'?\w+(?:'\w+)*|[^\w\s]"
#: Texts that are encoded at once, so that the intermediate objects of a large set never exist together.
CHUNK = 4096


@dataclass(frozen=True)
class TokenizerOptions:
    """How texts are cut and which tokens are kept.

    Attributes:
        kind: "word", "char", or "bpe" (byte-pair pieces over bytes: no text is unknown).
        lowercase: whether upper case is folded.
        unescape: whether HTML entities, whole or without their ``&``, become their marks, and HTML line breaks and
            backslashes white space.
        min_frequency: occurrences in the training split that a token needs.
        max_size: V at most, padding and unknown included; None for no limit.
        max_length: tokens kept of each text; None for all.
        truncate: which end of a longer text is cut off, "tail" or "head".
    """

    kind: str = "word"
    lowercase: bool = True
    unescape: bool = False
    min_frequency: int = 2
    max_size: int | None = 20000
    max_length: int | None = 256
    truncate: str = "tail"

    def __post_init__(self) -> None:
        for name, allowed in (("kind", ("word", "char", "bpe")), ("truncate", ("tail", "head"))):
            if getattr(self, name) not in allowed:
                got = getattr(self, name)
                raise RequestError(f"data.tokenizer.{name} must be one of {', '.join(allowed)}; got {got!r}.")
        for name, least in (("min_frequency", 1), ("max_size", 3), ("max_length", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise RequestError(f"data.tokenizer.{name} must be a whole number from {least}; got {value!r}.")
        if self.kind == "bpe" and self.max_size is None:
            raise RequestError("data.tokenizer.kind=bpe grows until data.tokenizer.max_size: give it a number.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TokenizerOptions:
        """Return the options that a config's mapping gives; what it leaves out keeps its default."""
        known = {f.name for f in fields(cls)}
        for name in values:
            if name not in known:
                raise RequestError(f"data.tokenizer has no key {name!r}.{did_you_mean(name, known)}")
        return cls(**values)


#: The default of each data module's ``tokenizer``.
WORDS: Mapping[str, Any] = MappingProxyType(asdict(TokenizerOptions()))


class TextEncoder:
    """A fitted tokenizer: text in, token numbers out; 0 is padding and 1 the unknown token.

    Args:
        tokenizer: the fitted tokenizer.
        options: what it was fitted with.
    """

    def __init__(self, tokenizer: Tokenizer, options: TokenizerOptions) -> None:
        self.tokenizer, self.options = tokenizer, options

    @classmethod
    def fit(cls, texts: Sequence[str], options: TokenizerOptions) -> TextEncoder:
        """Fit the vocabulary on ``texts``, the training split.

        Raises:
            RequestError: fewer than two tokens are frequent enough.
        """
        tokenizer, trainer = _PARTS[options.kind](options)
        tokenizer.normalizer = _normalizer(options)
        with _one_thread():
            tokenizer.train_from_iterator(texts, trainer)
        encoder = cls(_without_added_tokens(tokenizer), options)
        if encoder.vocabulary_size < 4:
            words = ", ".join(map(repr, encoder.vocabulary[2:])) or "none"
            raise RequestError(
                f"A vocabulary needs at least two {options.kind} tokens; the training texts give {words}. Is data.text"
                f" the right column? data.tokenizer.min_frequency={options.min_frequency} may be too high."
            )
        return encoder

    @property
    def vocabulary_size(self) -> int:
        """V, padding and unknown included."""
        return self.tokenizer.get_vocab_size()

    @property
    def vocabulary(self) -> list[str]:
        """The V tokens in the order of their numbers."""
        numbers = self.tokenizer.get_vocab()
        return sorted(numbers, key=numbers.__getitem__)

    def encode(self, texts: Sequence[str], labels: NDArray[np.int64] | None = None) -> tuple[Tokens, int, int]:
        """Return the tokens of ``texts``, and how many texts were cut short and how many were empty.

        An empty text becomes one unknown token, so that every sequence has a step.
        """
        limit, cut, empty = self.options.max_length, 0, 0
        parts: list[NDArray[np.int32]] = []
        for ids in self._ids(texts):
            if limit is not None and len(ids) > limit:
                ids = ids[:limit] if self.options.truncate == "tail" else ids[-limit:]
                cut += 1
            empty += not ids
            parts.append(np.array(ids or [UNKNOWN_ID], dtype=np.int32))
        return Tokens.of(parts, labels), cut, empty

    def _ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for start in range(0, len(texts), CHUNK):
            with _one_thread():
                encoded = self.tokenizer.encode_batch_fast(list(texts[start : start + CHUNK]))
            yield from (e.ids for e in encoded)

    def to_json(self) -> str:
        """Return the tokenizer and its options as JSON text."""
        return json.dumps({"options": asdict(self.options), "tokenizer": json.loads(self.tokenizer.to_str())})

    @classmethod
    def from_json(cls, text: str) -> TextEncoder:
        """Return what ``to_json`` wrote."""
        state = json.loads(text)
        return cls(Tokenizer.from_str(json.dumps(state["tokenizer"])), TokenizerOptions(**state["options"]))


def _words(options: TokenizerOptions) -> tuple[Tokenizer, trainers.Trainer]:
    return _word_level(options, pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True))


def _characters(options: TokenizerOptions) -> tuple[Tokenizer, trainers.Trainer]:
    return _word_level(options, pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated"))


def _word_level(options: TokenizerOptions, cut: pre_tokenizers.PreTokenizer) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = cut
    return tokenizer, trainers.WordLevelTrainer(
        vocab_size=options.max_size or 2**31,
        min_frequency=options.min_frequency,
        special_tokens=[PAD, UNKNOWN],
        show_progress=False,
    )


def _byte_pairs(options: TokenizerOptions) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, trainers.BpeTrainer(
        vocab_size=options.max_size or 2**31,
        min_frequency=options.min_frequency,
        special_tokens=[PAD, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


_PARTS: dict[str, Callable[[TokenizerOptions], tuple[Tokenizer, trainers.Trainer]]] = {
    "word": _words,
    "char": _characters,
    "bpe": _byte_pairs,
}


def _normalizer(options: TokenizerOptions) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = [normalizers.NFC()]
    if options.unescape:
        steps.append(normalizers.Replace(Regex(r"<br ?/?>|\\"), " "))
        # The ampersand first: "&amp;lt;" was escaped twice.
        entities = {"amp": "&", "#39": "'", "quot": '"', "lt": "<", "gt": ">", "nbsp": " "}
        steps += [normalizers.Replace(Regex(rf"(&|\b|(?=#)){name};"), mark) for name, mark in entities.items()]
    if options.lowercase:
        steps.append(normalizers.Lowercase())
    return normalizers.Sequence(steps)


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer without its list of special tokens: a text that spells "<pad>" must not become padding."""
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = []
    vocabulary = state["model"]["vocab"]
    assert [vocabulary[PAD], vocabulary[UNKNOWN]] == [PADDING, UNKNOWN_ID]
    return Tokenizer.from_str(json.dumps(state))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep the tokenizer's thread pool from starting: a process that has one must not fork loader workers."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = before or "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
