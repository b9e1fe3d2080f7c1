"""Windows, splits, what is fitted, and what travels, on small tables whose every value is known."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data import SPLITS, Batch, Split
from seqlab.data.forecasting import ForecastingData
from seqlab.data.series import Series
from seqlab.data.windows import window_ends
from seqlab.errors import RequestError

ROWS = 100


def table(tmp_path: Path, columns: dict[str, Any] | None = None, freq: str = "D", name: str = "file.csv") -> str:
    columns = {"a": np.arange(ROWS, dtype=float)} if columns is None else columns
    dates = pd.date_range("2020-01-01", periods=len(next(iter(columns.values()))), freq=freq)
    pd.DataFrame({"date": dates, **columns}).to_csv(tmp_path / name, index=False)
    return str(tmp_path / name)


def data(path: str, **arguments: Any) -> ForecastingData:
    found = ForecastingData(path, **({"lookback": 6, "horizon": 3, "scaler": "none"} | arguments))
    found.setup()
    return found


def whole(source: ForecastingData, split: Split) -> Batch:
    examples = source.examples(split)
    return examples.__getitems__(range(len(examples)))


# --- windows and splits ---


def test_windows_hold_the_rows_they_should(tmp_path: Path) -> None:
    source = data(table(tmp_path))
    for split, first, count in (("train", 6, 62), ("val", 70, 8), ("test", 80, 18)):
        batch = whole(source, split)
        assert batch.y is not None
        start = torch.arange(first, first + count, dtype=torch.float32)[:, None]
        torch.testing.assert_close(batch.x[..., 0], start + torch.arange(-6, 0))
        torch.testing.assert_close(batch.y[..., 0], start + torch.arange(3))


def test_the_dates_of_the_test_split_are_noted(tmp_path: Path) -> None:
    assert data(table(tmp_path)).notes()["test_dates"] == ["2020-03-21T00:00:00", "2020-04-09T00:00:00"]
    numbers = [["a", 1], ["b", 2]] * 60
    pd.DataFrame(numbers, columns=["name", "x"]).assign(date=np.repeat(np.arange(1900, 1960), 2)).to_csv(
        tmp_path / "two.csv", index=False
    )
    assert "test_dates" not in data(str(tmp_path / "two.csv"), series="name", target="x", date="date").notes()


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(12, 40), min_size=1, max_size=3),
    lookback=st.integers(1, 6),
    horizon=st.integers(1, 4),
    ends=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_every_window_that_fits_is_there_once(
    sizes: list[int], lookback: int, horizon: int, ends: tuple[int, int]
) -> None:
    bounds = np.cumsum([0, *sizes])
    low = bounds[:-1] + np.minimum(min(ends), sizes)
    high = bounds[:-1] + np.minimum(max(ends), sizes)
    expected = [
        row
        for start, a, b in zip(bounds[:-1], low, high, strict=True)
        for row in range(a, b)
        if row - lookback >= start and row + horizon <= b
    ]
    assert window_ends(low, high, bounds[:-1], lookback, horizon).tolist() == expected


def test_windows_are_views_of_one_copy_of_the_rows(tmp_path: Path) -> None:
    windows = data(table(tmp_path), lookback=20).examples("train")
    assert windows._x.view.shape == (81, 20)
    assert np.shares_memory(windows._x.view, windows.rows.inputs)
    assert windows.rows.inputs.nbytes == 4 * ROWS
    again = pickle.loads(pickle.dumps(windows))
    assert torch.equal(again.__getitems__([7]).x, windows.__getitems__([7]).x)
    assert len(pickle.dumps(windows)) < 81 * 20 * 4


def test_an_empty_index_list_gives_an_empty_batch(tmp_path: Path) -> None:
    source = data(table(tmp_path, {"a": [np.nan, *range(99)]}), season=2)
    batch = source.examples("train").__getitems__([])
    assert len(batch) == 0
    assert batch.x.shape == (0, 6, 1)
    for predictor in source.baselines("val").values():
        assert predictor(batch).shape == (0, 3, 1)


@pytest.mark.parametrize(
    "split",
    [(0.7, 0.1, 0.2), (70, 10, 20), ("2020-03-11", "2020-03-21"), ("2020-03-11", "2020-03-21", "2020-04-10")],
)
def test_shares_rows_and_dates_cut_alike(tmp_path: Path, split: Sequence[float | str]) -> None:
    source = data(table(tmp_path), split=list(split))
    assert [len(source.examples(s)) for s in SPLITS] == [62, 8, 18]
    assert source.examples("test").ends[0] == 80


def test_rows_after_the_split_are_left_out_and_counted(tmp_path: Path) -> None:
    source = data(table(tmp_path), split=[50, 20, 20])
    assert [len(source.examples(s)) for s in SPLITS] == [42, 18, 18]
    assert source.notes()["rows_after_the_split"] == 10


@pytest.mark.parametrize("rows", [10, 100, 1000, 9999])
def test_shares_lose_no_row_to_rounding(rows: int) -> None:
    from seqlab.data.chronology import cut

    series = Series(pd.DataFrame(index=range(rows)), np.array([0, rows]), ("",), None, "")
    cuts = cut(series, [0.7, 0.1, 0.2], 1)
    assert (cuts.val[0], cuts.test[0], cuts.stop[0]) == (rows * 7 // 10, rows * 8 // 10, rows)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ([0.7, 0.2, 0.2], "sum to at most 1"),
        ([0.7, 0.0, 0.3], "shares above 0"),
        ([90, 10, 10], "asks for 110 rows.*there are 100"),
        ([0, 50, 50], "each part at least 1"),
        ([0.5, 0.5], "is not a split; expected"),
        ("half", "is not a split; expected"),
        ("official", "no test part of its own"),
        (["2019-01-01", "2020-02-01"], "rising dates after 2020-01-01"),
        (["2020-02-01", "2021-02-01"], "up to 2020-04-09"),
        (["2020-03-01", "2020-02-01"], "rising dates"),
        (["2020-02-01", "2020-03-01", "2020-02-15"], "rising dates"),
        (["soon", "later"], "soon"),
        ([0.5, True, 0.2], "is not a split; expected"),
    ],
)
def test_a_wrong_split_is_refused(tmp_path: Path, split: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        data(table(tmp_path), split=split)


def test_dates_can_not_cut_a_source_without_dates(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("\n".join(f"{i},{i}" for i in range(ROWS)))
    with pytest.raises(RequestError, match="names dates, and the source has none"):
        data(str(tmp_path / "m.txt"), layout="matrix", split=["2020-01-01", "2020-02-01"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 15}, "val split has 10 rows, too few for data.horizon=15"),
        ({"horizon": 25, "split": [0.5, 0.3, 0.2]}, "test split has 20 rows, too few for data.horizon=25"),
        ({"lookback": 80}, "train split has 70 rows, too few for data.lookback=80 and data.horizon=3 together"),
        ({"lookback": 68}, "train split has 70 rows, too few for data.lookback=68 and data.horizon=3 together"),
    ],
)
def test_too_short_a_series_is_said_in_numbers(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        data(table(tmp_path), **arguments)


# --- what is fitted on the training rows ---


def test_the_scaler_knows_the_training_rows_only(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(5, 3, ROWS)
    source = data(table(tmp_path, {"a": values}), scaler="standard")
    assert source.spec.center == pytest.approx((values[:70].mean(),), rel=1e-12)
    assert source.spec.scale == pytest.approx((values[:70].std(),), rel=1e-12)
    batch = whole(source, "test")
    np.testing.assert_allclose(batch.x[:, -1, 0], (values[79:97] - values[:70].mean()) / values[:70].std(), rtol=1e-5)


@pytest.mark.parametrize("fill", ["last", "mean", "linear"])
def test_what_comes_later_changes_no_training_batch(tmp_path: Path, fill: Any) -> None:
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=ROWS), "b": rng.normal(size=ROWS), "c": rng.choice(["x", "y"], ROWS)}
    columns["a"][[0, 5, 6, 68, 69, 70]] = np.nan
    columns["b"][[30, 69, 70, 71, 72]] = np.nan
    arguments: dict[str, Any] = {"target": "a", "covariates": ["b", "c"], "known": ["date.month"], "fill": fill}
    before = whole(data(table(tmp_path, columns), scaler="standard", **arguments), "train")
    columns["a"][70:] = np.where(np.arange(30) % 3 == 0, np.nan, 1e6)
    columns["b"][70:] = -1e6
    columns["c"][70:] = "z"
    after = whole(data(table(tmp_path, columns), scaler="standard", **arguments), "train")
    assert before.mask is not None
    for name in ("x", "y", "mask", "delta", "future", "y_mask", "naive_scale", "index"):
        assert torch.equal(getattr(before, name), getattr(after, name)), name


@pytest.mark.parametrize("fill", ["last", "mean", "linear"])
def test_no_window_sees_what_comes_after_its_end(tmp_path: Path, fill: Any) -> None:
    values = np.random.default_rng(0).normal(size=ROWS)
    values[np.random.default_rng(1).random(ROWS) < 0.4] = np.nan
    values[:70][~np.isnan(values[:70])] -= np.nanmean(values[:70])
    end = 80
    before = whole(data(table(tmp_path, {"a": values}), fill=fill, split=[70, 10, 20]), "test").x[0]
    changed = values.copy()
    changed[end:] = 50.0
    after = whole(data(table(tmp_path, {"a": changed}), fill=fill, split=[70, 10, 20]), "test").x[0]
    assert torch.equal(before, after)


def test_a_constant_column_divides_nothing_by_zero_and_is_counted(tmp_path: Path) -> None:
    source = data(table(tmp_path, {"a": np.arange(ROWS), "b": np.full(ROWS, 0.1)}), scaler="standard")
    assert source.notes()["constant_columns"] == {"b": 1}
    batch = whole(source, "train")
    assert batch.naive_scale is not None
    assert torch.isfinite(batch.x).all()
    assert batch.x[..., 1].abs().max() < 1e-6


def test_a_category_unknown_to_training_is_zeros_and_counted(tmp_path: Path) -> None:
    wind = np.array(["N", "S"] * 50)
    wind[90:95] = "E"
    source = data(table(tmp_path, {"a": np.arange(ROWS), "wind": wind}), target="a", covariates=["wind"])
    assert source.spec.input_size == 3
    batch = whole(source, "test")
    torch.testing.assert_close(
        batch.x[..., 1:].sum(-1), (batch.x[..., 0] < 90).float() + (batch.x[..., 0] >= 95).float()
    )
    assert source.notes()["unknown_categories"] == 5


# --- missing values and uneven dates ---


def test_gaps_are_masked_and_timed_and_filled(tmp_path: Path) -> None:
    values = np.arange(ROWS, dtype=float)
    values[[3, 4, 83]] = np.nan
    source = data(table(tmp_path, {"a": values}))
    train, val, test = (whole(source, split) for split in SPLITS)
    assert source.notes()["filled_values"] == {"a": 3}
    assert train.mask is not None
    assert train.delta is not None
    assert train.x[0, :, 0].tolist() == [0, 1, 2, 2, 2, 5]
    assert train.mask[0, :, 0].tolist() == [1, 1, 1, 0, 0, 1]
    assert train.delta[0, :, 0].tolist() == [0, 1, 1, 1, 2, 3]
    assert train.y_mask is None
    assert (val.mask, val.delta, val.y_mask, val.time) == (None, None, None, None)
    assert test.y_mask is not None
    assert test.y_mask[:4, :, 0].tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]
    assert test.x[4, :, 0].tolist() == [78, 79, 80, 81, 82, 82]


def test_fillings_differ_as_they_say(tmp_path: Path) -> None:
    values = np.arange(ROWS, dtype=float)
    values[[3, 4, 7, 8]] = np.nan
    path = table(tmp_path, {"a": values})
    mean = float(np.nanmean(values[:70]))
    first = {fill: whole(data(path, fill=fill), "train").x[:3, :, 0] for fill in ("last", "mean", "linear")}
    assert first["last"][2].tolist() == [2, 2, 2, 5, 6, 6]
    torch.testing.assert_close(first["mean"][2], torch.tensor([2, mean, mean, 5, 6, mean]))
    # Rows 7 and 8 lie between 6 and 9, but row 9 comes after this window's end.
    assert first["linear"][2].tolist() == [2, 3, 4, 5, 6, 6]


def test_before_the_first_observation_stands_the_training_mean(tmp_path: Path) -> None:
    values = np.arange(ROWS, dtype=float)
    values[:4] = np.nan
    batch = whole(data(table(tmp_path, {"a": values}), scaler="standard"), "train")
    assert batch.mask is not None
    mean, low = values[4:70].mean(), np.r_[[values[4:70].mean()] * 4, values[4:70]]
    np.testing.assert_allclose(batch.x[0, :4, 0], (mean - low.mean()) / low.std(), atol=1e-6)
    assert batch.mask[0, :, 0].tolist() == [0, 0, 0, 0, 1, 1]


def test_a_column_without_training_values_is_refused(tmp_path: Path) -> None:
    values = np.where(np.arange(ROWS) < 70, np.nan, 1.0)
    with pytest.raises(RequestError, match="column 'a' has no value in the 70 training rows"):
        data(table(tmp_path, {"a": values}))


def test_uneven_dates_give_time_stamps_in_steps(tmp_path: Path) -> None:
    days = np.delete(np.arange(ROWS + 2), [3, 90])
    frame = pd.DataFrame({"date": pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D"), "a": days})
    frame.to_csv(tmp_path / "file.csv", index=False)
    source = data(str(tmp_path / "file.csv"))
    train, val, test = (whole(source, split) for split in SPLITS)
    assert train.time is not None
    assert train.delta is not None
    assert train.time[0].tolist() == [0, 1, 2, 4, 5, 6]
    assert train.delta[0, :, 0].tolist() == [0, 1, 1, 2, 1, 1]
    assert train.mask is None
    assert val.time is None
    assert test.time is not None
    torch.testing.assert_close(test.time, test.x[..., 0])
    assert source.notes()["irregular_steps"] == 1  # of the training rows


# --- covariates ---


def test_targets_come_first_and_known_columns_last(tmp_path: Path) -> None:
    rows = np.arange(ROWS, dtype=float)
    path = table(tmp_path, {"p": rows + 1000, "k": rows + 2000, "b": rows + 100, "a": rows})
    source = data(path, target=["a", "b"], covariates="p", known=["k", "date.weekday"])
    spec, batch = source.spec, whole(source, "val")
    assert (spec.input_size, spec.output_size, spec.future_size) == (6, 2, 3)
    assert (spec.target_names, spec.target_index) == (("a", "b"), (0, 1))
    assert batch.x[0, -1, :4].tolist() == [69, 169, 1069, 2069]
    assert batch.future is not None
    assert batch.y is not None
    assert batch.future[0, :, 0].tolist() == [2070, 2071, 2072]
    assert batch.y[0].tolist() == [[70, 170], [71, 171], [72, 172]]
    wednesday = 2 * np.pi * np.array([2, 3, 4]) / 7  # row 70 is 2020-03-11
    torch.testing.assert_close(
        batch.future[0, :, 1:], torch.tensor(np.stack([np.sin(wednesday), np.cos(wednesday)], 1), dtype=torch.float32)
    )


def test_all_targets_are_the_columns_of_numbers_and_the_rest_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, {"a": np.arange(ROWS), "who": ["x"] * ROWS, "b": np.arange(ROWS)})
    source = data(path)
    assert source.spec.target_names == ("a", "b")
    assert source.notes()["columns_left_out"] == ["who"]


def test_all_covariates_are_the_other_columns_of_numbers_also_in_a_restored_run(tmp_path: Path) -> None:
    rows = np.arange(ROWS)
    columns = {"b": rows + 1, "who": ["x"] * ROWS, "a": rows, "k": rows + 3}
    arguments: dict[str, Any] = {"target": "a", "covariates": "all", "known": ["k"]}
    source = data(table(tmp_path, columns), **arguments)
    assert whole(source, "val").x[0, -1].tolist() == [69, 70, 72]
    again = ForecastingData(table(tmp_path, {**columns, "new": rows}), lookback=6, horizon=3, **arguments)
    again.restore(source.artifacts())
    again.setup()
    assert whole(again, "val").x[0, -1].tolist() == [69, 70, 72]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "b"}, r"has no column 'b'.*Available: a, who"),
        ({"target": []}, "names no column"),
        ({"target": "who"}, "row 1, column 'who', is not a finite number"),
        ({"target": "a", "covariates": ["a"]}, "'a' is named twice"),
        ({"target": "a", "covariates": ["whom"]}, "has no column 'whom'. Did you mean 'who'"),
        ({"target": "a", "known": ["date.weekdays"]}, "no part of a date. Did you mean 'date.weekday'"),
        ({"lookback": 0}, "data.lookback must be a whole number of at least 1; got 0"),
        ({"horizon": 2.5}, "data.horizon must be a whole number of at least 1; got 2.5"),
        ({"season": 0}, "data.season must be"),
        ({"batch_size": -1}, "data.batch_size must be"),
        ({"num_workers": -1}, "data.num_workers must be"),
        ({"scaler": "standart"}, "data.scaler='standart' is not one of .* Did you mean 'standard'"),
        ({"fill": "zero"}, "data.fill='zero' is not one of"),
        ({"window_norm": "first"}, "data.window_norm='first'"),
        ({"layout": "wide"}, "data.layout='wide'"),
    ],
)
def test_a_wrong_argument_is_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    path = table(tmp_path, {"a": np.arange(ROWS), "who": ["x"] * ROWS})
    with pytest.raises(RequestError, match=message):
        data(path, **arguments)


def test_the_constructor_reads_nothing() -> None:
    assert ForecastingData("nowhere.csv").path == "nowhere.csv"
    with pytest.raises(RequestError, match="no such file"):
        ForecastingData("nowhere.csv").fingerprint()


def test_the_fingerprint_is_of_bytes_and_columns_not_of_the_split(tmp_path: Path) -> None:
    path = table(tmp_path, {"a": np.arange(ROWS), "b": np.arange(ROWS)})
    same = [{}, {"split": [0.5, 0.2, 0.3]}, {"batch_size": 7}, {"lookback": 9}, {"scaler": "minmax"}, {"target": "all"}]
    prints = {ForecastingData(path, **arguments).fingerprint() for arguments in same}
    assert len(prints) == 1
    assert ForecastingData(path, target="a").fingerprint() not in prints
    assert ForecastingData(table(tmp_path, name="other.csv")).fingerprint() not in prints


# --- the forecasts that need no training ---


def test_trivial_forecasts_follow_their_formulas(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=ROWS)
    source = data(table(tmp_path, {"a": values}), season=4, horizon=6, lookback=5, split=[70, 15, 15])
    batch = whole(source, "test")
    found = {name: predictor(batch)[..., 0].numpy() for name, predictor in source.baselines("test").items()}
    for row, end in enumerate(range(85, 95)):
        np.testing.assert_allclose(found["naive"][row], np.full(6, values[end - 1]), rtol=1e-6)
        slope = (values[end - 1] - values[end - 5]) / 4
        np.testing.assert_allclose(found["drift"][row], values[end - 1] + slope * np.arange(1, 7), rtol=1e-4, atol=1e-6)
        season = [values[end - 4 + k % 4] for k in range(6)]
        np.testing.assert_allclose(found["seasonal_naive"][row], season, rtol=1e-6)


def test_a_season_may_reach_back_further_than_a_window(tmp_path: Path) -> None:
    source = data(table(tmp_path, {"a": np.arange(ROWS) % 30}), season=30)
    batch = whole(source, "test")
    assert batch.y is not None
    torch.testing.assert_close(source.baselines("test")["seasonal_naive"](batch), batch.y)
    assert "seasonal_naive" not in source.baselines("train")
    assert source.notes()["seasonal_naive_left_out"] == {"train": "24 of 62 windows have no row a season (30) back."}


@pytest.mark.parametrize(
    ("freq", "season", "reason"),
    [
        ("YS", None, "No season is usual for a step of 365 days"),
        ("D", 1, "With a season of 1 it is the naive forecast"),
    ],
)
def test_without_a_season_the_reason_is_given(tmp_path: Path, freq: str, season: int | None, reason: str) -> None:
    source = data(table(tmp_path, freq=freq), season=season)
    assert set(source.baselines("test")) == {"naive", "drift"}
    assert source.notes()["seasonal_naive_left_out"]["test"].startswith(reason)


def test_the_naive_scale_is_the_seasonal_error_before_the_split(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=ROWS)
    values[40] = np.nan
    source = data(table(tmp_path, {"a": values}), season=4, scaler="standard")
    scale = source.spec.scale[0]
    for split, rows in (("train", 70), ("val", 70), ("test", 80)):
        past = values[:rows]
        batch = whole(source, split)
        assert batch.naive_scale is not None
        np.testing.assert_allclose(batch.naive_scale * scale, np.nanmean(np.abs(past[4:] - past[:-4])), rtol=1e-5)


# --- several series ---


def long_table(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    parts = []
    for name, size, level in (("low", 60, 0.0), ("high", 90, 1000.0)):
        dates = pd.date_range("2020-01-01", periods=size, freq="MS")
        parts.append(pd.DataFrame({"id": name, "date": dates, "v": level + rng.normal(0, 1 + level, size)}))
    pd.concat(parts).sort_values("date", kind="stable").to_csv(tmp_path / "long.csv", index=False)
    return str(tmp_path / "long.csv")


def test_each_series_has_its_own_scaler_and_windows(tmp_path: Path) -> None:
    path = long_table(tmp_path)
    source = data(path, series="id", scaler="standard")
    assert (source.spec.center, source.spec.scale) == ((), ())
    frame = pd.read_csv(path)
    batch = whole(source, "test")
    assert batch.center is not None
    assert batch.scale is not None
    assert batch.y is not None
    original = batch.y * batch.scale[:, None] + batch.center[:, None]
    row = 0
    for name in ("low", "high"):
        values = frame[frame["id"] == name]["v"].to_numpy()
        train, test = len(values) * 7 // 10, len(values) * 8 // 10
        for end in range(test, len(values) - 2):
            np.testing.assert_allclose(original[row, :, 0], values[end : end + 3], rtol=1e-4, atol=1e-3)
            np.testing.assert_allclose(batch.center[row], values[:train].mean(), rtol=1e-5)
            row += 1
    assert row == len(batch)


# --- bringing a run back, and forecasting past the end ---


def test_what_was_fitted_survives_as_text_to_the_last_digit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(7, 3, ROWS), "c": rng.choice(["x", "y"], ROWS)}
    columns["a"][:3] = np.nan
    arguments: dict[str, Any] = {"target": "all", "covariates": ["c"], "scaler": "robust", "fill": "mean"}
    fitted = data(table(tmp_path, columns), **arguments)
    # Another file, with another level and another order of categories.
    columns["a"] = columns["a"] * 10
    columns["c"][:] = "y"
    path = table(tmp_path, columns, name="other.csv")
    again = ForecastingData(path, lookback=6, horizon=3, **arguments)
    again.restore(fitted.artifacts())
    assert again.spec == fitted.spec
    again.setup()
    assert again.artifacts() == fitted.artifacts()
    batch = whole(again, "test")
    expected = (columns["a"][79] - fitted.spec.center[0]) / fitted.spec.scale[0]
    assert batch.x[0, -1].tolist() == pytest.approx([expected, 0, 1])


def test_a_file_of_other_columns_is_refused_for_a_restored_run(tmp_path: Path) -> None:
    fitted = data(table(tmp_path))
    again = ForecastingData(table(tmp_path, {"b": np.arange(ROWS)}, name="other.csv"), lookback=6, horizon=3)
    again.restore(fitted.artifacts())
    with pytest.raises(RequestError, match="no column 'a'"):
        again.setup()


def test_inputs_tile_a_file_and_end_past_it(tmp_path: Path) -> None:
    source = data(table(tmp_path), scaler="standard")
    short = table(tmp_path, {"a": np.arange(20.0)}, name="short.csv")
    inputs = source.inputs(short)
    batch = inputs.examples.__getitems__(range(len(inputs.examples)))
    assert inputs.dates[:, 0].astype("datetime64[D]").astype(str).tolist() == [
        *("2020-01-09", "2020-01-12", "2020-01-15", "2020-01-18", "2020-01-21")
    ]
    np.testing.assert_array_equal(inputs.truth[:, 0, 0], [8, 11, 14, 17, np.nan])
    assert batch.y_mask is not None
    assert batch.y_mask[-1].sum() == 0
    last = batch.x[-1, :, 0] * source.spec.scale[0] + source.spec.center[0]
    np.testing.assert_allclose(last, np.arange(14, 20), rtol=1e-5)


def test_inputs_start_after_the_last_target_where_it_is_blank(tmp_path: Path) -> None:
    rows = np.arange(ROWS, dtype=float)
    source = data(table(tmp_path, {"a": rows, "k": rows}), target="a", known=["k"])
    ahead = np.where(np.arange(13) < 10, np.arange(13.0), np.nan)
    inputs = source.inputs(table(tmp_path, {"a": ahead, "k": np.arange(13) * 2}, name="ahead.csv"))
    batch = inputs.examples.__getitems__([len(inputs.examples) - 1])
    assert batch.future is not None
    assert batch.future[0, :, 0].tolist() == [20, 22, 24]
    assert batch.x[0, -1].tolist() == [9, 18]
    with pytest.raises(RequestError, match=r"0 rows after the last target.*data\.known"):
        source.inputs(table(tmp_path, {"a": rows, "k": rows}, name="full.csv"))


def test_inputs_need_a_look_back(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"4 rows up to the last target; data\.lookback=6"):
        data(table(tmp_path)).inputs(table(tmp_path, {"a": np.arange(4)}, name="tiny.csv"))


def test_inputs_of_several_series_keep_their_scalers_and_fit_new_ones(tmp_path: Path) -> None:
    source = data(long_table(tmp_path), series="id", scaler="standard")
    dates = pd.date_range("2030-01-01", periods=9, freq="MS")
    frames = [pd.DataFrame({"id": name, "date": dates, "v": np.arange(9.0)}) for name in ("new", "high")]
    pd.concat(frames).to_csv(tmp_path / "next.csv", index=False)
    inputs = source.inputs(str(tmp_path / "next.csv"))
    batch = inputs.examples.__getitems__(range(len(inputs.examples)))
    assert inputs.series == ("new", "new", "high", "high")
    assert batch.center is not None
    assert batch.scale is not None
    known = whole(source, "test")
    assert known.center is not None
    assert batch.center[2] == known.center[-1]
    assert batch.center[0] == pytest.approx(4)
    original = batch.x[:, -1] * batch.scale + batch.center
    np.testing.assert_allclose(original[:, 0], [5, 8, 5, 8], rtol=1e-3, atol=1e-3)


def test_a_second_setup_does_nothing(tmp_path: Path) -> None:
    source = data(table(tmp_path))
    windows = source.examples("train")
    Path(str(source.path)).unlink()
    source.setup()
    assert source.examples("train") is windows
