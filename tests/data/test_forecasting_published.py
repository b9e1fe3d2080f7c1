"""Figures that are known from outside: counts of windows, and the scores of the forecasts that need no training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqlab.config import config_file, load
from seqlab.data import SPLITS, Split
from seqlab.data.forecasting import ForecastingData

FILES = {
    "co2": None,
    "sunspots": None,
    "etth1": "ett/ETTh1.csv",
    "exchange_rate": "exchange_rate/exchange_rate.csv",
    "air_passengers": "small_ts/airline-passengers.csv",
    "min_temperatures": "small_ts/daily-min-temperatures.csv",
    "beijing_pm25": "beijing_pm25/pollution.csv",
}
ETTH1, EXCHANGE, M4 = "ett/ETTh1.csv", "exchange_rate/exchange_rate.csv", "m4"


def preset(name: str, path: Path | None = None, **arguments: Any) -> ForecastingData:
    node = {key: value for key, value in load("data", name).items() if key != "_target_"}
    data = ForecastingData(**(node | ({"path": str(path)} if path else {}) | arguments))
    data.setup()
    return data


def errors(data: ForecastingData, baseline: str, split: Split = "test") -> tuple[float, float]:
    """Return MSE and MAE in scaled units over every window of a split."""
    examples, predictor = data.examples(split), data.baselines(split)[baseline]
    squared = absolute = count = 0.0
    for start in range(0, len(examples), 512):
        batch = examples.__getitems__(range(start, min(start + 512, len(examples))))
        assert batch.y is not None
        observed = torch.ones_like(batch.y) if batch.y_mask is None else batch.y_mask
        miss = ((predictor(batch) - batch.y) * observed).double()
        squared, absolute = squared + float(miss.square().sum()), absolute + float(miss.abs().sum())
        count += float(observed.sum())
    return squared / count, absolute / count


@pytest.mark.parametrize("name", FILES)
def test_a_preset_scores_what_its_second_line_says(name: str, request: pytest.FixtureRequest) -> None:
    file = FILES[name]
    data = preset(name, request.getfixturevalue("shared_data") / file if file else None)
    line = config_file("data", name).read_text().splitlines()[1]
    told = dict(re.findall(r"(\w+) (\d+\.\d{4})", line))
    assert told == {baseline: f"{errors(data, baseline)[0]:.4f}" for baseline in data.baselines("test")}


def test_co2() -> None:
    data = preset("co2")
    assert data.notes()["rows"] == 2284
    assert data.notes()["filled_values"] == {"co2": 59}
    assert data.spec.season == 52
    assert f"{errors(data, 'naive')[0]:.4f}" == "0.0891"
    assert f"{errors(data, 'seasonal_naive')[0]:.4f}" == "0.0301"


def test_yearly_sunspots() -> None:
    data = preset("sunspots")
    assert data.notes()["rows"] == 309
    assert data.spec.season == 11
    assert errors(data, "seasonal_naive")[0] < errors(data, "naive")[0] / 3


@pytest.mark.parametrize(
    ("horizon", "windows", "naive", "seasonal"),
    [
        (24, 2857, "1.222/0.671", "0.424/0.389"),
        (96, 2785, "1.294/0.713", "0.512/0.433"),
        (192, 2689, "1.325/0.733", "0.581/0.469"),
        (336, 2545, "1.330/0.746", "0.650/0.501"),
        (720, 2161, "1.335/0.755", "0.655/0.514"),
    ],
)
def test_etth1(shared_data: Path, horizon: int, windows: int, naive: str, seasonal: str) -> None:
    data = preset("etth1", shared_data / ETTH1, horizon=horizon)
    assert len(data.examples("test")) == windows
    assert data.notes()["rows_after_the_split"] == 3020
    assert [int(data.examples(split).ends[0]) for split in SPLITS] == [96, 8640, 11520]
    assert int(data.examples("test").ends[-1]) + horizon == 14400
    for baseline, expected in (("naive", naive), ("seasonal_naive", seasonal)):
        assert "{:.3f}/{:.3f}".format(*errors(data, baseline)) == expected


def test_etth1_is_scaled_by_its_first_8640_rows(shared_data: Path) -> None:
    data = preset("etth1", shared_data / ETTH1)
    rows = np.genfromtxt(shared_data / ETTH1, delimiter=",", skip_header=1, usecols=range(1, 8))[:8640]
    np.testing.assert_allclose(data.spec.center, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(data.spec.scale, rows.std(0), rtol=1e-12)


@pytest.mark.parametrize(
    ("horizon", "mse", "mae"),
    [(96, ".0811", "0.196"), (192, "0.167", "0.289"), (336, "0.306", "0.398"), (720, "0.810", "0.676")],
)
def test_exchange_rate(shared_data: Path, horizon: int, mse: str, mae: str) -> None:
    data = preset("exchange_rate", shared_data / EXCHANGE, horizon=horizon)
    found = errors(data, "naive")
    assert f"{found[0]:.4f}"[1:] == mse if horizon == 96 else f"{found[0]:.3f}" == mse
    assert f"{found[1]:.3f}" == mae


def test_the_two_files_of_exchange_rates_differ_in_the_order_of_two_columns(shared_data: Path) -> None:
    dated = preset("exchange_rate", shared_data / EXCHANGE)
    matrix = preset("exchange_rate", shared_data / "exchange_rate/exchange_rate.txt.gz", layout="matrix")
    first, second = (d.examples("test").__getitems__([0, 700]).x for d in (dated, matrix))
    assert dated.spec.target_names[-1] == "OT"
    np.testing.assert_allclose(first[..., [0, 1, 2, 3, 4, 5, 7, 6]], second, atol=1e-6)


def test_m4_weekly(shared_data: Path) -> None:
    data = preset("m4_weekly", shared_data / M4)
    windows = data.examples("test")
    assert len(windows) == len(data.examples("val")) == 359
    batch = windows.__getitems__(range(359))
    assert batch.y is not None
    assert batch.center is not None
    assert batch.scale is not None
    assert batch.naive_scale is not None
    center, scale = batch.center[:, None].double(), batch.scale[:, None].double()
    truth, forecast = batch.y * scale + center, data.baselines("test")["naive"](batch) * scale + center
    smape = 200 * ((truth - forecast).abs() / (truth.abs() + forecast.abs())).mean()
    assert f"{float(smape):.3f}" == "9.161"
    mase = ((truth - forecast).abs().mean((1, 2)) / (batch.naive_scale[:, 0] * batch.scale[:, 0])).mean()
    assert f"{float(mase):.3f}" == "2.777"


def test_m4_validation_is_the_horizon_before_the_test_file(shared_data: Path) -> None:
    data = preset("m4_weekly", shared_data / M4)
    val, test = data.examples("val"), data.examples("test")
    assert (test.ends - val.ends == 13).all()
    lines = (shared_data / M4 / "Weekly-train.csv").read_text().splitlines()[1:]
    for at in (0, 358):
        values = [float(cell) for cell in lines[at].replace('"', "").split(",")[1:] if cell]
        batch = val.__getitems__([at])
        assert batch.y is not None
        assert batch.center is not None
        assert batch.scale is not None
        np.testing.assert_allclose(batch.y[0, :, 0] * batch.scale[0] + batch.center[0], values[-13:], rtol=1e-4)


def test_air_passengers(shared_data: Path) -> None:
    data = preset("air_passengers", shared_data / "small_ts/airline-passengers.csv")
    assert (data.notes()["rows"], data.spec.season, data.spec.target_names) == (144, 12, ("Passengers",))
    batch = data.examples("train").__getitems__([0])
    np.testing.assert_allclose(batch.x[0, :3, 0] * data.spec.scale[0] + data.spec.center[0], [112, 118, 132], rtol=1e-5)


def test_monthly_sunspots(shared_data: Path) -> None:
    data = preset("csv", shared_data / "small_ts/monthly-sunspots.csv", target="Sunspots")
    assert (data.notes()["rows"], data.spec.season) == (2820, 12)
    assert "irregular_steps" not in data.notes()


def test_min_temperatures_miss_the_last_day_of_leap_years(shared_data: Path) -> None:
    path = shared_data / "small_ts/daily-min-temperatures.csv"
    data = preset("min_temperatures", path)
    assert data.notes()["rows"] == 3650
    assert data.notes()["irregular_steps"] == 1  # 1984-12-31; 1988-12-31 comes right before the test rows
    time = [data.examples(split).__getitems__(range(len(data.examples(split)))).time for split in SPLITS]
    assert [t is None for t in time] == [False, True, False]


def test_beijing_has_its_gaps_masked_and_its_wind_in_columns(shared_data: Path) -> None:
    data = preset("beijing_pm25", shared_data / "beijing_pm25/pollution.csv")
    assert data.notes()["rows"] == 43824
    assert data.notes()["filled_values"] == {"pm2.5": 2067}
    assert data.spec.target_names == ("pm2.5",)
    assert data.spec.season == 24
    first = data.examples("train").__getitems__([0])
    assert first.mask is not None
    assert first.mask[0, :, 0].tolist() == [0.0] * 24 + [1.0] * 48
    # The target, 3 + 3 of the weather, 4 directions of the wind, sine and cosine of hour and month.
    assert data.spec.input_size == 1 + 6 + 4 + 4
    assert data.spec.future_size == 4
    np.testing.assert_array_equal(first.x[0, :, 4:8].sum(-1), 1)
