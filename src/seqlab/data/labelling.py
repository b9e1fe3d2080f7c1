"""Local files of tokens and tags, one tag a token: CoNLL columns, or two parallel files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from seqlab.data._base import SPLITS, Batch, Spec, Split
from seqlab.data._stored import Stored, at_least, one_of
from seqlab.data.sequences import Ints, Sequences, count_labels
from seqlab.data.tables import fingerprint
from seqlab.data.text_sources import USUAL
from seqlab.data.token_files import Sentence, read_columns, read_parallel
from seqlab.errors import RequestError, did_you_mean

Format = Literal["columns", "parallel"]
UNKNOWN, FIRST = 1, 2


class TokenTags(Stored):
    """Sentences whose every token has a tag, from local files.

    Format "columns" has a token and its tag a line, other columns between them or none, split at tabs (or, without a
    tab, at blanks), and a blank line after each sentence:

        EU      B-ORG
        rejects O

    Format "parallel" has two files, a sentence a line, tokens and tags split at blanks. A folder holds files named
    train, val (or dev, valid) and test with any ending; in parallel, two of each, named by ``train=[words, tags]``.
    Splits that are missing are drawn from the training sentences. Kind: labelling; a padded step has the label -100.

    Args:
        path: a file of sentences, or the folder of the splits.
        format: "columns" or "parallel".
        token: the token's column, from 0; negative counts from the end.
        tag: the tag's column.
        train: the split's file in the folder, or its two files; None for the usual name.
        val: likewise.
        test: likewise.
        encoding: of the text.
        lowercase: whether tokens are folded to lower case.
        min_frequency: occurrences in the training split that a token needs; rarer ones are unknown.
        fractions: shares of val and test where the source lacks them.
        split_seed: decides those splits; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a value lies outside its range.
    """

    def __init__(
        self,
        path: str | None = None,
        format: Format = "columns",
        token: int = 0,
        tag: int = -1,
        train: str | Sequence[str] | None = None,
        val: str | Sequence[str] | None = None,
        test: str | Sequence[str] | None = None,
        encoding: str = "utf-8",
        lowercase: bool = False,
        min_frequency: int = 1,
        fractions: Sequence[float] = (0.1, 0.1),
        split_seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers)
        one_of("format", format, get_args(Format))
        at_least("min_frequency", min_frequency, 1)
        at_least("split_seed", split_seed, 0)
        if len(fractions) != 2 or min(fractions) <= 0 or sum(fractions) >= 1:
            raise RequestError(
                f"data.fractions are the shares of val and test, positive, below 1 together; got {list(fractions)}."
            )
        self.path = None if path is None else Path(path).expanduser()
        self.format, self.token, self.tag, self.encoding = format, token, tag, encoding
        self.named = {s: [n] if isinstance(n, str) else n for s, n in zip(SPLITS, (train, val, test), strict=True)}
        self.lowercase, self.min_frequency = lowercase, min_frequency
        self.fractions, self.split_seed = tuple(fractions), split_seed
        self._tokens: tuple[str, ...] = ()
        self._tags: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of all files' bytes and of how they are read."""
        files = self._files()
        schema = [self.format, self.token, self.tag, self.encoding, [[s, len(paths)] for s, paths in files.items()]]
        return fingerprint([path for paths in files.values() for path in paths], schema)

    def prepare(self) -> dict[Split, Sequences]:
        """Read the files, draw the splits that they lack, and fit the vocabulary unless one was restored."""
        sentences = self._divide({split: self._read(paths) for split, paths in self._files().items()})
        if not self._tokens:
            self._tokens, self._tags = self._fit(sentences["train"])
        splits = {split: self._encode(sentences[split]) for split in SPLITS}
        self._notes["vocabulary_size"] = len(self._tokens) + FIRST
        for split, part in splits.items():
            self._notes[f"tokens/{split}"] = len(part.values)
            self._notes[f"unknown_share/{split}"] = float((part.values == UNKNOWN).mean())
        return splits

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: tokens in, tags out."""
        assert train.step_y is not None
        return self._make_spec(count_labels(train.step_y, len(self._tags)))

    def _make_spec(self, counts: Sequence[int]) -> Spec:
        return Spec(
            kind="labelling",
            output_size=len(self._tags),
            vocabulary_size=len(self._tokens) + FIRST,
            class_names=self._tags,
            class_counts=tuple(counts),
        )

    def artifacts(self) -> Mapping[str, str]:
        """Return the vocabulary and the tags as JSON."""
        state = {"tokens": self._tokens, "tags": self._tags, "lowercase": self.lowercase}
        return {"vocabulary.json": json.dumps({**state, "counts": self.spec.class_counts}, ensure_ascii=False)}

    def restore(self, artifacts: Mapping[str, str]) -> None:
        """Take up what ``artifacts`` returned: ``spec`` and ``encode`` then work without the source."""
        state = json.loads(artifacts["vocabulary.json"])
        self._tokens, self._tags, self.lowercase = tuple(state["tokens"]), tuple(state["tags"]), state["lowercase"]
        self._spec = self._make_spec(state["counts"])

    def encode(self, texts: Sequence[str]) -> Batch:
        """Return raw sentences, tokens split at blanks, as one batch without labels (after setup or restore)."""
        sentences = [Sentence(tuple(text.split()) or ("",), ()) for text in texts]
        return self._encode(sentences, labelled=False).__getitems__(range(len(texts)))

    def _files(self) -> dict[Split, list[Path]]:
        """Return each split's file or two files; a lone file is the training split."""
        if self.path is None:
            raise RequestError("data.path is needed: a file of tokens and tags, or a folder with train, val and test.")
        if not self.path.exists():
            raise RequestError(f"data.path={self.path} does not exist.")
        wanted = 2 if self.format == "parallel" else 1
        if self.path.is_file():
            if wanted == 2:
                raise RequestError("data.format=parallel needs a folder and data.train=[tokens,tags] inside it.")
            return {"train": [self.path]}
        inside = sorted(p for p in self.path.iterdir() if p.is_file())
        listing = f"{self.path} has: {', '.join(p.name for p in inside[:12]) or 'nothing'}."
        files: dict[Split, list[Path]] = {}
        for split, names in self.named.items():
            usual = [p for p in inside if p.name.split(".")[0] in USUAL[split]]
            files[split] = usual if names is None else [self.path / name for name in names]
            if len(files[split]) not in (0, wanted) or (split == "train" and not files[split]):
                raise RequestError(
                    f"The {split} split takes {wanted} file(s) in the format {self.format}; found {len(files[split])}."
                    f" Name them by data.{split}=. {listing}"
                )
        return {split: paths for split, paths in files.items() if paths}

    def _read(self, paths: Sequence[Path]) -> list[Sentence]:
        if self.format == "parallel":
            return read_parallel(paths[0], paths[1], self.encoding)
        return read_columns(paths[0], self.token, self.tag, self.encoding)

    def _divide(self, read: Mapping[Split, list[Sentence]]) -> dict[Split, list[Sentence]]:
        """Draw the splits that the source lacks from the training sentences."""
        order = np.random.default_rng(self.split_seed).permutation(len(read["train"]))
        result, start = dict(read), 0
        shares: dict[Split, float] = {"val": self.fractions[0], "test": self.fractions[1]}
        for split, share in shares.items():
            if split not in read:
                stop = start + max(1, round(share * len(order)))
                result[split] = [read["train"][i] for i in np.sort(order[start:stop])]
                start = stop
        result["train"] = [read["train"][i] for i in np.sort(order[start:])]
        if not result["train"]:
            raise RequestError(f"{len(order)} sentences are too few for three splits: three or more are needed.")
        return result

    def _fit(self, sentences: Sequence[Sentence]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the frequent tokens, the most frequent first, and the tags in their alphabetical order."""
        counts = Counter(self._fold(token) for s in sentences for token in s.tokens)
        tokens = [t for t, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= self.min_frequency]
        tags = sorted({tag for s in sentences for tag in s.tags})
        if len(tokens) < 2 or len(tags) < 2:
            raise RequestError(
                f"Labelling needs two or more different tokens and tags; the training split has tokens {tokens[:2]} (of"
                f" {len(counts)}, data.min_frequency={self.min_frequency}) and tags {tags}."
                f" Are data.token={self.token} and data.tag={self.tag} the right columns?"
            )
        return tuple(tokens), tuple(tags)

    def _fold(self, token: str) -> str:
        return token.lower() if self.lowercase else token

    def _encode(self, sentences: Sequence[Sentence], labelled: bool = True) -> Sequences:
        number = {token: FIRST + i for i, token in enumerate(self._tokens)}
        values = np.array([number.get(self._fold(t), UNKNOWN) for s in sentences for t in s.tokens], dtype=np.int32)
        offsets = np.concatenate([[0], np.cumsum([len(s.tokens) for s in sentences])]).astype(np.int64)
        return Sequences(values, offsets, step_y=self._number_tags(sentences) if labelled else None)

    def _number_tags(self, sentences: Sequence[Sentence]) -> Ints:
        number = {tag: i for i, tag in enumerate(self._tags)}
        for s in sentences:
            for tag in s.tags:
                if tag not in number:
                    raise RequestError(
                        f"{s.where}: the tag {tag!r} does not occur in the training split."
                        f"{did_you_mean(tag, self._tags)}"
                    )
        return np.array([number[tag] for s in sentences for tag in s.tags], dtype=np.int64)
