"""Labelled text from people's own files or the Hugging Face hub, for text classification and sentiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from seqlab.data._text import Corpus, LabelledText, Preparation
from seqlab.data.labels import number_labels
from seqlab.data.text_hub import HubOptions, HubSource, is_saved_dataset
from seqlab.data.text_sources import FileOptions, FileSource, options_of
from seqlab.data.tokenizer import WORDS, TokenizerOptions
from seqlab.errors import RequestError

FILES: Mapping[str, Any] = MappingProxyType(asdict(FileOptions()))
HUB: Mapping[str, Any] = MappingProxyType(asdict(HubOptions()))


class TextData(LabelledText):
    """Texts with one class each, from files or from the hub.

    The source's own splits are kept; what it lacks is split off its training part, stratified and decided by
    ``split_seed`` alone. Vocabulary and classes come from the training split. Duplicates, missing texts and what was
    cut or passed over are counted in ``notes()``.

        path,text,label
        train.csv:    "The plot was dull .",negative        ->    x = [4, 17, 9, 31, 2], y = 0

    Args:
        path: file, folder or archive; a dataset saved by the ``datasets`` library also counts. None reads ``hub``.
        text: column of the text, or several that are joined by a space (tables only).
        label: column of the class (tables only).
        class_names: the classes in the order of their numbers; None sorts those of the training split.
        ordinal: whether the classes are grades in ascending order.
        files: FileOptions as a mapping.
        hub: HubOptions as a mapping.
        tokenizer: TokenizerOptions as a mapping.
        vectors: GloVe or word2vec text file with pretrained vectors.
        freeze_vectors: whether they stay as they are.
        fractions: shares of the validation and the test split where the source lacks them.
        split_seed: decides the split; the run's seed does not.
        fold: which of ``folds`` is the test split, from 0.
        folds: number of stratified folds; None splits by ``fractions``.
        duplicates: "drop" leaves out texts that occurred before (in the order train, val, test), "keep" only counts.
        balanced: draw each class equally often in training.
        cache: keep prepared arrays for the next start.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: neither path nor hub is given, or an option has no such key or value.
    """

    def __init__(
        self,
        path: str | None = None,
        text: str | Sequence[str] = "text",
        label: str = "label",
        class_names: Sequence[str] | None = None,
        ordinal: bool = False,
        files: Mapping[str, Any] = FILES,
        hub: Mapping[str, Any] = HUB,
        tokenizer: Mapping[str, Any] = WORDS,
        vectors: str | None = None,
        freeze_vectors: bool = False,
        fractions: Sequence[float] = (0.1, 0.1),
        split_seed: int = 0,
        fold: int = 0,
        folds: int | None = None,
        duplicates: Literal["keep", "drop"] = "keep",
        balanced: bool = False,
        cache: bool = True,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            Preparation(TokenizerOptions.of(tokenizer), fractions, split_seed, fold, folds, duplicates),
            vectors=vectors,
            freeze_vectors=freeze_vectors,
            ordinal=ordinal,
            balanced=balanced,
            cache=cache,
            batch_size=batch_size,
            num_workers=num_workers,
        )
        self.class_names = None if class_names is None else [str(name) for name in class_names]
        self.files, self.hub = options_of(FileOptions, "files", files), options_of(HubOptions, "hub", hub)
        self.source = self._source(path, _listed(text), label)

    def _source(self, path: str | None, text: Sequence[str], label: str) -> FileSource | HubSource:
        hub_text, hub_label = text if self.hub.text is None else _listed(self.hub.text), self.hub.label or label
        if path is None and self.hub.id is None:
            raise RequestError(
                "This data reads your own text: give data.path=<file or folder> (columns: data.text= data.label=) or"
                " data.hub.id=<owner/name>. Without either, data=docstrings and data=polarity need no download."
            )
        where = None if path is None else Path(path).expanduser()
        if where is None or is_saved_dataset(where):
            return HubSource(self.hub, hub_text, hub_label, where)
        return FileSource(where, self.files, text, label, self.class_names)

    def corpus(self) -> Corpus:
        """Read the files or the hub's dataset."""
        rows = self.source.read()
        names, labels = number_labels(rows, self.restored_classes or self.class_names, self.files.first_label)
        notes = {
            f"{what}/{split}": count for split, part in rows.items() for what, count in part.notes.items() if count
        }
        return Corpus({split: part.texts for split, part in rows.items()}, labels, names, notes)

    def source_digest(self) -> str:
        """Return the SHA-256 (hex) of the source's bytes and of how they are read."""
        return self.source.digest()


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else list(names)
