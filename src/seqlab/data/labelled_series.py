"""Series with one label each, from .ts files: classification (UCR, UEA) and regression (TSER)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from seqlab.data._base import SPLITS, Spec, Split
from seqlab.data._stored import Stored, at_least, one_of
from seqlab.data.gaps import Fill, Gaps
from seqlab.data.scaling import Kind as ScalerKind
from seqlab.data.scaling import Scaler
from seqlab.data.sequences import Array, Sequences, count_labels
from seqlab.data.splits import split_indices
from seqlab.data.tables import fingerprint
from seqlab.data.ts_files import Case, Floats, TsFile, read_ts
from seqlab.errors import RequestError, did_you_mean

#: Words that the archives put into file names.
TRAIN, TEST = "_TRAIN.ts", "_TEST.ts"
FITTED_FILE = "series.json"


class LabelledSeries(Stored):
    """Series of one or more channels, equally long or not, with a class or a number each.

    ``path`` is a folder with ``<set>_TRAIN.ts`` and ``<set>_TEST.ts`` (or a folder ``<set>`` that has them), or one
    file. The official test split stays; validation is drawn from the training cases, and from a lone file both.
    The header of the file decides the kind: classification, x (B, T, I), y (B,); or regression, y (B, 1), scaled to
    mean 0 and deviation 1 of the training split. Channels may stand for sensors, or for features of audio or video.

    Values are scaled per channel over all training steps. A missing value is filled; mask and time since the last
    observation travel along, and so do time stamps. Trivial scores: the majority class (49.9 % on the test split of
    ItalyPowerDemand, 49.3 % GunPoint, 16.7 % SyntheticControl, 25 % BasicMotions), the mean.

    Args:
        path: a folder or a file.
        set: the set's name in a folder; None where it holds one set.
        scaler: "standard", "minmax", "robust" or "none".
        fill: what stands for a missing value: "last" (the training mean before the first), "mean" or "linear".
        fractions: shares of val, and of test where there is no test file; stratified by class.
        split_seed: decides those splits; the run's seed does not.
        batch_size: B.
        num_workers: loader processes.

    Raises:
        RequestError: a value lies outside its range.
    """

    def __init__(
        self,
        path: str | None = None,
        set: str | None = None,
        scaler: ScalerKind = "standard",
        fill: Fill = "last",
        fractions: Sequence[float] = (0.2, 0.2),
        split_seed: int = 0,
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers)
        one_of("scaler", scaler, get_args(ScalerKind))
        one_of("fill", fill, get_args(Fill))
        at_least("split_seed", split_seed, 0)
        if len(fractions) != 2 or min(fractions) <= 0 or sum(fractions) >= 1:
            raise RequestError(
                f"data.fractions are the shares of val and test, positive, below 1 together; got {list(fractions)}."
            )
        self.path, self.set, self.scaler, self.fill = path, set, scaler, fill
        self.fractions, self.split_seed = tuple(fractions), split_seed
        self._fitted: Fitted | None = None

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the files' bytes."""
        return fingerprint(self._files(), ["ts"])

    def prepare(self) -> dict[Split, Sequences]:
        """Read the files, draw the splits that they lack, and fit scaler and classes unless they were restored."""
        files = [read_ts(path) for path in self._files()]
        cases = self._divide(files)
        if self._fitted is None:
            self._fitted = Fitted.fit(cases["train"], files[0].classes, self.scaler)
        self._notes["constant_channels"] = [int(c) for c in np.flatnonzero(self._fitted.x.constant)]
        unused = [name for name in files[0].classes or () if name not in (self._fitted.classes or ())]
        self._notes["classes_without_cases"] = unused
        for split in SPLITS:
            self._notes[f"missing_values/{split}"] = sum(int(np.isnan(case.values).sum()) for case in cases[split])
        return {split: self._fitted.apply(cases[split], self.fill) for split in SPLITS}

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec; ``lookback`` where the training series are equally long."""
        assert self._fitted is not None
        assert train.y is not None
        classes = self._fitted.classes
        counts = () if classes is None else count_labels(train.y, len(classes))
        return self._fitted.spec(None if train.lengths is not None else int(train.offsets[1]), counts)

    def artifacts(self) -> Mapping[str, str]:
        """Return scalers and classes as JSON."""
        assert self._fitted is not None
        return {FITTED_FILE: self._fitted.to_json()}

    def restore(self, artifacts: Mapping[str, str]) -> None:
        """Use the scalers and classes of an earlier run."""
        self._fitted = Fitted.from_json(artifacts[FITTED_FILE])

    def _files(self) -> list[Path]:
        """Return the training file and, where there is one, the test file."""
        if not self.path:
            raise RequestError("data.path is needed: a .ts file, or a folder with <set>_TRAIN.ts and <set>_TEST.ts.")
        path = Path(self.path).expanduser()
        if path.is_file():
            train = path
        elif path.is_dir():
            train = self._choose({p.name.removesuffix(TRAIN): p for p in sorted(path.rglob(f"*{TRAIN}"))}, path)
        else:
            raise RequestError(f"data.path={self.path} does not exist.")
        test = train.with_name(train.name.replace(TRAIN, TEST))
        return [train, test] if test != train and test.is_file() else [train]

    def _choose(self, sets: Mapping[str, Path], folder: Path) -> Path:
        if not sets:
            raise RequestError(f"data.path={folder} holds no <set>{TRAIN} file.")
        if self.set is None and len(sets) > 1:
            raise RequestError(f"data.path={folder} holds {len(sets)} sets: choose data.set={'|'.join(sets)}.")
        name = self.set or next(iter(sets))
        if name not in sets:
            raise RequestError(f"data.set={name} is not in {folder}.{did_you_mean(name, sets)}")
        return sets[name]

    def _divide(self, files: Sequence[TsFile]) -> dict[Split, tuple[Case, ...]]:
        cases = files[0].cases
        absent: tuple[Split, ...] = ("val",) if len(files) > 1 else ("val", "test")
        names = {name: number for number, name in enumerate(files[0].classes or ())}
        strata = np.array([names.get(case.label, 0) for case in cases])
        parts = split_indices(strata, absent, fractions=self.fractions, seed=self.split_seed)
        divided = {split: tuple(cases[i] for i in part) for split, part in parts.items()}
        if len(files) > 1:
            divided["test"] = files[1].cases
        if empty := [split for split in SPLITS if not divided[split]]:
            raise RequestError(
                f"{len(cases)} cases leave none for {' and '.join(empty)}: raise data.fractions={list(self.fractions)}."
            )
        return divided


@dataclass(frozen=True)
class Fitted:
    """What is learned from the training cases.

    Attributes:
        x: the channels' scaler.
        y: the target's scaler; None for classes.
        classes: the names of those that occur; None for numbers.
        step: the usual distance of two time stamps.
    """

    x: Scaler
    y: Scaler | None
    classes: tuple[str, ...] | None
    step: float

    @classmethod
    def fit(cls, cases: Sequence[Case], classes: tuple[str, ...] | None, kind: ScalerKind) -> Fitted:
        """Fit to the training cases; missing values are left out.

        Raises:
            RequestError: a channel has no value, or fewer than two classes have cases.
        """
        stacked = np.concatenate([case.values for case in cases])
        if empty := [c for c in range(stacked.shape[1]) if np.isnan(stacked[:, c]).all()]:
            raise RequestError(f"Channel {empty[0]} has no value in the training cases: leave it out of the file.")
        channels = [Scaler.fit(kind, channel[~np.isnan(channel)][:, None]) for channel in stacked.T]
        x = Scaler(*(np.concatenate([getattr(c, part) for c in channels]) for part in ("center", "scale", "constant")))
        steps = np.concatenate([np.ones(1), *(np.diff(case.time) for case in cases if case.time is not None)])
        step = float(np.median(steps[1:])) if len(steps) > 1 else 1.0
        if classes is None:
            return cls(x, Scaler.fit("standard", _targets(cases)), None, step)
        present = {case.label for case in cases}
        if len(present) < 2:
            raise RequestError(f"Classification needs cases of two or more classes in training; there is {present}.")
        return cls(x, None, tuple(name for name in classes if name in present), step)

    def apply(self, cases: Sequence[Case], fill: Fill) -> Sequences:
        """Return cases scaled and filled, with their labels.

        Raises:
            RequestError: a case has another number of channels, or a class that training lacks.
        """
        for case in cases:
            if case.values.shape[1] != len(self.x.center):
                raise RequestError(
                    f"{case.where}: {case.values.shape[1]} channels; the training cases have {len(self.x.center)}."
                )
        values = self.x.apply(np.concatenate([case.values for case in cases]))
        offsets = np.concatenate([[0], np.cumsum([len(case.values) for case in cases])]).astype(np.int64)
        stamps = [np.arange(len(c.values)) if c.time is None else (c.time - c.time[0]) / self.step for c in cases]
        time = np.concatenate(stamps).astype(np.float64)
        even = all(case.time is None for case in cases)
        gaps = Gaps.of(values, offsets)
        whole = bool(gaps.observed.all())
        return Sequences(
            _filled(values, gaps, fill).astype(np.float32),
            offsets,
            self._labels(cases),
            mask=None if whole else gaps.observed.astype(np.float32),
            delta=None if whole and even else gaps.since_observed(time).astype(np.float32),
            time=None if even else time.astype(np.float32),
        )

    def _labels(self, cases: Sequence[Case]) -> Array:
        if self.classes is None:
            assert self.y is not None
            return self.y.apply(_targets(cases)).astype(np.float32)
        numbers = {name: number for number, name in enumerate(self.classes)}
        for case in cases:
            if case.label not in numbers:
                raise RequestError(f"{case.where}: the class {case.label!r} has no case in the training split.")
        return np.array([numbers[case.label] for case in cases], dtype=np.int64)

    def spec(self, lookback: int | None, counts: Sequence[int]) -> Spec:
        """Return the Spec."""
        if self.y is not None:
            return Spec(
                kind="regression",
                output_size=1,
                input_size=len(self.x.center),
                lookback=lookback,
                center=tuple(self.y.center.tolist()),
                scale=tuple(self.y.scale.tolist()),
                target_names=("target",),
            )
        names = self.classes or ()
        return Spec(
            kind="classification",
            output_size=len(names),
            input_size=len(self.x.center),
            lookback=lookback,
            class_names=names,
            class_counts=tuple(counts),
        )

    def to_json(self) -> str:
        """Return the text that ``from_json`` reads."""
        state: dict[str, Any] = {"classes": self.classes, "step": self.step}
        for name, scaler in (("x", self.x), ("y", self.y)):
            if scaler is not None:
                state[name] = {part: value.tolist() for part, value in vars(scaler).items()}
        return json.dumps(state)

    @classmethod
    def from_json(cls, text: str) -> Fitted:
        """Return what ``to_json`` wrote."""
        state = json.loads(text)
        x, y = (
            Scaler(**{part: np.array(value) for part, value in state[name].items()}) if name in state else None
            for name in ("x", "y")
        )
        assert x is not None
        return cls(x, y, None if state["classes"] is None else tuple(state["classes"]), state["step"])


def _filled(values: Floats, gaps: Gaps, fill: Fill) -> Floats:
    """Return scaled values without gaps; zero is the training mean (or what else the scaler puts there)."""
    start = np.zeros_like(values)
    if fill == "mean":
        return np.where(gaps.observed, values, start)
    return gaps.carry(values, start) if fill == "last" else gaps.interpolate(values, start)


def _targets(cases: Sequence[Case]) -> Floats:
    """Return (N, 1) the labels as numbers."""
    for case in cases:
        if not _is_finite(case.label):
            raise RequestError(f"{case.where}: the target must be a finite number; got {case.label!r}.")
    return np.array([[float(case.label)] for case in cases])


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
