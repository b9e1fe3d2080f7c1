"""What all text data share: a corpus is split, its tokenizer fitted, its tokens stored flat."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray

from seqlab.data._base import SPLITS, Batch, Predictor, SequenceData, Spec, Split
from seqlab.data.cache import Arrays, array_text, cached, text_array
from seqlab.data.naive_bayes import class_log_priors, constant, lookup, naive_bayes, token_scores
from seqlab.data.splits import duplicates, split_indices
from seqlab.data.text_notes import sentences
from seqlab.data.tokenizer import UNKNOWN_ID, TextEncoder, TokenizerOptions
from seqlab.data.tokens import Tokens, padding_share
from seqlab.data.vectors import digest, read_vectors
from seqlab.errors import RequestError


@dataclass(frozen=True)
class Corpus:
    """Texts and class numbers by split; a source without official splits has "train" alone.

    Attributes:
        texts: split to N texts.
        labels: split to (N,) class numbers.
        class_names: the C names, in the order of their numbers.
        notes: what a person should know of the reading.
    """

    texts: dict[Split, Sequence[str]]
    labels: dict[Split, NDArray[np.int64]]
    class_names: tuple[str, ...]
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Preparation:
    """The choices between a corpus and its batches, as the data modules' docstrings describe them."""

    tokenizer: TokenizerOptions
    fractions: Sequence[float] = (0.1, 0.1)
    split_seed: int = 0
    fold: int = 0
    folds: int | None = None
    duplicates: Literal["keep", "drop"] = "keep"

    def __post_init__(self) -> None:
        if self.duplicates not in ("keep", "drop"):
            raise RequestError(f"data.duplicates must be keep or drop; got {self.duplicates!r}.")
        if len(self.fractions) != 2 or min(self.fractions) <= 0 or sum(self.fractions) >= 1:
            raise RequestError(
                f"data.fractions are the shares of val and test, positive, below 1 together; got {self.fractions}."
            )


class LabelledText(SequenceData):
    """Texts with one class each; a subclass says where they come from.

    Args:
        preparation: from corpus to batches.
        vectors: file of pretrained vectors, or None.
        freeze_vectors: whether they stay as they are.
        balanced: whether each class is drawn equally often in training.
        cache: whether prepared arrays are kept for the next start.
        batch_size: B.
        num_workers: loader processes.
    """

    def __init__(
        self,
        preparation: Preparation,
        *,
        batch_size: int,
        num_workers: int,
        vectors: str | None = None,
        freeze_vectors: bool = False,
        balanced: bool = False,
        cache: bool = True,
        ordinal: bool = False,
    ) -> None:
        if freeze_vectors and vectors is None:
            raise RequestError("data.freeze_vectors=true needs data.vectors=<file of pretrained vectors>.")
        self.preparation, self.balanced, self.cache, self.ordinal = preparation, balanced, cache, ordinal
        self.vectors = Path(vectors).expanduser() if vectors else None
        self.freeze_vectors = freeze_vectors
        self.batch_size, self.num_workers = batch_size, num_workers
        self._fingerprint: str | None = None
        self._encoder: TextEncoder | None = None
        self._spec: Spec | None = None
        self._restored = False
        self._tokens: dict[Split, Tokens] = {}
        self._notes: dict[str, Any] = {}

    @abstractmethod
    def corpus(self) -> Corpus:
        """Read the source.

        Raises:
            RequestError: the source does not hold what the arguments ask for.
        """

    @abstractmethod
    def source_digest(self) -> str:
        """Return the SHA-256 (hex) of source bytes and schema."""

    def fingerprint(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = self.source_digest()
        return self._fingerprint

    def setup(self) -> None:
        if self._tokens:
            return
        arrays = cached("text", self._key(), self._prepare, self.cache)
        meta = json.loads(array_text(arrays["meta"]))
        self._notes = meta["notes"]
        self._notes["padding_share"] = padding_share(np.diff(arrays["train_offsets"]), self.batch_size)
        if self._spec is None:
            self._encoder = TextEncoder.from_json(meta["tokenizer"])
            table = None
            if self.vectors is not None:
                table, self._notes["vectors_covered"] = self._read_vectors(self.vectors, self._encoder.vocabulary)
            names = meta["class_names"]
            train = (arrays["train_flat"], arrays["train_offsets"], arrays["train_labels"])
            scores = token_scores(*train, self._encoder.vocabulary_size, len(names))
            self._spec = self._make_spec(names, meta["class_counts"], table, torch.from_numpy(scores), self.ordinal)
        self._tokens = {
            split: Tokens(arrays[f"{split}_flat"], arrays[f"{split}_offsets"], arrays[f"{split}_labels"])
            for split in SPLITS
        }

    @property
    def spec(self) -> Spec:
        if self._spec is None:
            raise RuntimeError("setup() comes before spec")
        return self._spec

    def examples(self, split: Split) -> Tokens:
        return self._tokens[split]

    def texts(self, split: Split) -> Sequence[str]:
        """Return the raw texts of a split in the order of its examples; the source is read again."""
        return self._divide(self.corpus())[0][split]

    def sampling_weights(self) -> NDArray[np.float64] | None:
        """Return (N,) weights with which training examples are drawn, or None where each is used once."""
        if not self.balanced:
            return None
        counts = np.asarray(self.spec.class_counts, dtype=np.float64)
        labels = self._tokens["train"].labels
        assert labels is not None
        return 1.0 / counts[labels]

    def baselines(self, split: Split) -> Mapping[str, Predictor]:
        arrays = cached("naive-bayes", self._key(), self._naive_bayes, self.cache)
        return {
            "majority": constant(class_log_priors(self.spec.class_counts)),
            "naive_bayes": lookup(arrays[split]),
        }

    def notes(self) -> dict[str, Any]:
        return {**self._notes, **sentences(self._notes)} if self._notes else {}

    def artifacts(self) -> Mapping[str, str]:
        encoder, spec = self._fitted()
        classes: dict[str, Any] = {name: getattr(spec, name) for name in ("class_names", "class_counts", "ordinal")}
        classes["vectors"] = None if spec.vectors is None else spec.vectors.shape[1]
        return {"tokenizer.json": encoder.to_json(), "classes.json": json.dumps(classes)}

    def restore(self, artifacts: Mapping[str, str]) -> None:
        """Take up what ``artifacts`` returned: ``spec`` and ``encode`` then work without the source.

        A ``setup`` that follows reads the source with this vocabulary and these classes. Pretrained vectors and the
        tokens' scores are zeros of the right shape, for the trained embedding to be loaded into.
        """
        self._encoder = TextEncoder.from_json(artifacts["tokenizer.json"])
        classes = json.loads(artifacts["classes.json"])
        self._restored = True
        size = classes["vectors"]
        vectors = None if size is None else torch.zeros(self._encoder.vocabulary_size, size)
        names = classes["class_names"]
        scores = torch.zeros(self._encoder.vocabulary_size, len(names))
        self._spec = self._make_spec(names, classes["class_counts"], vectors, scores, classes["ordinal"])

    def encode(self, texts: Sequence[str]) -> Batch:
        """Return raw texts as one batch without targets (after ``setup`` or ``restore``)."""
        tokens, _, _ = self._fitted()[0].encode(texts)
        return tokens.__getitems__(range(len(texts)))

    @property
    def restored_classes(self) -> tuple[str, ...] | None:
        """The class names of the run that was restored; None where the source is to decide."""
        return self.spec.class_names if self._restored else None

    def _fitted(self) -> tuple[TextEncoder, Spec]:
        if self._encoder is None or self._spec is None:
            raise RuntimeError("setup() or restore() comes first")
        return self._encoder, self._spec

    def _key(self) -> dict[str, Any]:
        restored = dict(self.artifacts()) if self._restored else None
        versions = {"tokenizers": tokenizers.__version__}
        return {"source": self.fingerprint(), **asdict(self.preparation), **versions, "restored": restored}

    def _make_spec(
        self,
        names: Sequence[str],
        counts: Sequence[int],
        vectors: torch.Tensor | None,
        scores: torch.Tensor,
        ordinal: bool,
    ) -> Spec:
        assert self._encoder is not None
        return Spec(
            kind="classification",
            output_size=len(names),
            vocabulary_size=self._encoder.vocabulary_size,
            class_names=tuple(names),
            class_counts=tuple(counts),
            vectors=vectors,
            freeze_vectors=self.freeze_vectors,
            token_scores=scores,
            ordinal=ordinal,
        )

    def _divide(
        self, corpus: Corpus
    ) -> tuple[dict[Split, Sequence[str]], dict[Split, NDArray[np.int64]], dict[str, Any]]:
        """Return texts, class numbers and notes of all three splits, by the source's own splits where it has them."""
        choice = self.preparation
        texts, labels = dict(corpus.texts), dict(corpus.labels)
        absent = [split for split in SPLITS if split not in texts]
        if choice.folds is not None and "test" not in absent:
            raise RequestError("data.folds is for sources without a test split; this one has its own: data.folds=null.")
        if absent:
            parts = split_indices(
                labels["train"],
                absent,
                fractions=choice.fractions,
                seed=choice.split_seed,
                fold=choice.fold,
                folds=choice.folds,
            )
            whole_texts, whole_labels = texts["train"], labels["train"]
            texts |= {split: [whole_texts[i] for i in part.tolist()] for split, part in parts.items()}
            labels |= {split: whole_labels[part] for split, part in parts.items()}
        keep, notes = duplicates(texts, labels)
        if choice.duplicates == "drop":
            texts = {s: [t for t, stays in zip(texts[s], keep[s].tolist(), strict=True) if stays] for s in SPLITS}
            labels = {s: labels[s][keep[s]] for s in SPLITS}
        self._check(labels, () if self._restored else corpus.class_names)
        return texts, labels, {**notes, "duplicates": choice.duplicates}

    @staticmethod
    def _check(labels: Mapping[Split, NDArray[np.int64]], names: Sequence[str]) -> None:
        for split in SPLITS:
            if not len(labels[split]):
                raise RequestError(f"The {split} split is empty: the source has too few rows for data.fractions.")
        if missing := set(range(len(names))) - set(np.unique(labels["train"]).tolist()):
            listed = ", ".join(repr(names[number]) for number in sorted(missing))
            raise RequestError(f"The training split has no example of the class {listed}, which is to be told apart.")

    def _prepare(self) -> Arrays:
        corpus = self.corpus()
        texts, labels, found = self._divide(corpus)
        encoder = self._encoder or TextEncoder.fit(texts["train"], self.preparation.tokenizer)
        notes: dict[str, Any] = {**corpus.notes, **found, "vocabulary_size": encoder.vocabulary_size}
        arrays: Arrays = {}
        for split in SPLITS:
            tokens, cut, empty = encoder.encode(texts[split], labels[split])
            notes |= {f"rows/{split}": len(tokens), f"truncated/{split}": cut, f"empty/{split}": empty}
            notes[f"unknown_share/{split}"] = float((tokens.flat == UNKNOWN_ID).mean())
            arrays |= {
                f"{split}_flat": tokens.flat,
                f"{split}_offsets": tokens.offsets,
                f"{split}_labels": labels[split],
            }
        counts = np.bincount(labels["train"], minlength=len(corpus.class_names)).tolist()
        meta = {
            "tokenizer": encoder.to_json(),
            "class_names": corpus.class_names,
            "class_counts": counts,
            "notes": notes,
        }
        return {**arrays, "meta": text_array(json.dumps(meta))}

    def _naive_bayes(self) -> Arrays:
        corpus = self.corpus()
        texts, labels, _ = self._divide(corpus)
        by_character = self.preparation.tokenizer.kind == "char"
        return {**naive_bayes(texts["train"], labels["train"], texts, len(corpus.class_names), by_character)}

    def _read_vectors(self, path: Path, vocabulary: Sequence[str]) -> tuple[torch.Tensor, float]:
        def read() -> Arrays:
            table, share = read_vectors(path, vocabulary)
            return {"table": table.numpy(), "share": np.array(share)}

        arrays = cached("vectors", {"file": digest(path), "vocabulary": list(vocabulary)}, read, self.cache)
        return torch.from_numpy(arrays["table"]), float(arrays["share"])
