"""Labelled text of the Hugging Face hub, or of a dataset that its library saved to disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seqlab.data._base import SPLITS, Split
from seqlab.data.text_formats import Rows
from seqlab.data.text_sources import USUAL
from seqlab.errors import RequestError, did_you_mean


@dataclass(frozen=True)
class HubOptions:
    """A dataset and its columns.

    Attributes:
        id: ``owner/name``; None without.
        config: the dataset's configuration; None for its only one.
        revision: commit or tag; None for the newest.
        text: column of the text; None is ``data.text``.
        label: column of the label; None is ``data.label``.
        train, val, test: the dataset's names of the splits; all None takes the usual ones.
    """

    id: str | None = None
    config: str | None = None
    revision: str | None = None
    text: str | Sequence[str] | None = None
    label: str | None = None
    train: str | None = None
    val: str | None = None
    test: str | None = None


def is_saved_dataset(path: Path) -> bool:
    """Return whether ``path`` is a folder that ``save_to_disk`` of the datasets library wrote."""
    return (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file()


class HubSource:
    """Labelled text that the ``datasets`` library reads; it is imported when something is read.

    Args:
        options: the dataset.
        text: the columns whose texts are joined by a space.
        label: the column of the class.
        saved: the folder of a dataset that was saved to disk; None fetches ``options.id``.
    """

    def __init__(self, options: HubOptions, text: Sequence[str], label: str, saved: Path | None = None) -> None:
        self.options, self.text, self.label, self.saved = options, text, label, saved

    def read(self) -> dict[Split, Rows]:
        """Read all splits that there are.

        Raises:
            RequestError: the library is missing, the dataset can't be had, or has no such column or split.
        """
        dataset = self._load()
        return {split: self._rows(dataset[name], name) for split, name in self._splits(list(dataset)).items()}

    def digest(self) -> str:
        """Return the SHA-256 (hex) of all texts and labels and of how they are read."""
        digest = hashlib.sha256(json.dumps([list(self.text), self.label, asdict(self.options)], default=list).encode())
        for split, rows in self.read().items():
            digest.update(json.dumps([split, rows.texts, rows.labels]).encode())
        return digest.hexdigest()

    @property
    def _name(self) -> str:
        return str(self.saved or self.options.id)

    def _load(self) -> Mapping[str, Any]:
        try:
            import datasets
        except ImportError as error:
            raise RequestError("Datasets of the hub need `pip install seqlab[hub]`.") from error
        try:
            if self.saved is not None:
                found = datasets.load_from_disk(str(self.saved))
            else:
                found = datasets.load_dataset(self.options.id, self.options.config, revision=self.options.revision)
        except (OSError, ValueError, RuntimeError) as error:  # no network, no such dataset or configuration
            reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
            raise RequestError(
                f"The dataset {self._name!r} can't be had: {reason}. Without a network give a local copy by data.path."
            ) from error
        return found if isinstance(found, dict) else {"train": found}

    def _splits(self, present: Sequence[str]) -> dict[Split, str]:
        named: dict[Split, str] = {split: name for split in SPLITS if (name := getattr(self.options, split))}
        for name in named.values():
            if name not in present:
                raise RequestError(f"The dataset {self._name!r} has no split {name!r}.{did_you_mean(name, present)}")
        if not named:
            usual = {split: [name for name in names if name in present] for split, names in USUAL.items()}
            named = {split: names[0] for split, names in usual.items() if names}
        if "train" not in named:
            raise RequestError(f"The dataset {self._name!r} has no training split; it has {', '.join(present)}.")
        return named

    def _rows(self, part: Any, name: str) -> Rows:
        for column in [*self.text, self.label]:
            if column not in part.column_names:
                raise RequestError(
                    f"The dataset {self._name!r} has no column {column!r}.{did_you_mean(column, part.column_names)}"
                    " Name the columns by data.hub.text= and data.hub.label= (or data.text=, data.label=)."
                )
        columns = [part[column] for column in self.text]
        texts = [" ".join(str(value) for value in row if value is not None) for row in zip(*columns, strict=True)]
        names = getattr(part.features[self.label], "names", None)  # a ClassLabel knows what its numbers mean
        labels = [self._label(value, names) for value in part[self.label]]
        return Rows(f"{self._name}, split {name}", texts, labels, {"missing_texts": sum(not text for text in texts)})

    @staticmethod
    def _label(value: Any, names: Sequence[str] | None) -> str | None:
        if value is None:
            return None
        return str(names[value]) if names and isinstance(value, int) and 0 <= value < len(names) else str(value)
