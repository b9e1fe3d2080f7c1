"""Files that people have, and what is said about the broken ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data import SPLITS
from seqlab.data.calendar import Step, calendar_covariates, read_dates, uneven
from seqlab.data.forecasting import ForecastingData
from seqlab.data.series import read_series
from seqlab.data.tables import find_files, fingerprint, numbers, read_table
from seqlab.errors import RequestError

WEIRD = (",", ";", "\n", "\r", '"', "NA", "inf", "-", "1e308", "-1e308", "2020-01-05", "\ufeff", "\0", "\t", " ")
DAYS = "date,a\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n"


def write(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


# --- finding files ---


def test_a_file_in_an_installed_package_is_found_without_importing_it() -> None:
    [file] = find_files("statsmodels:datasets/co2/co2.csv")
    assert file.read_text().splitlines()[0] == "date,co2"


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, DAYS, "prices.csv")
    with pytest.raises(RequestError, match=r"no such file. Did you mean 'prices\.csv'\?"):
        find_files(str(tmp_path / "price.csv"))


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"folder .*nowhere' does not exist"):
        find_files(str(tmp_path / "nowhere" / "a.csv"))


def test_a_missing_file_among_many_names_none(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path, DAYS, f"{number}.csv")
    with pytest.raises(RequestError, match=r"elsewhere\.txt: there is no such file\.$"):
        find_files(str(tmp_path / "elsewhere.txt"))


@pytest.mark.parametrize("path", [None, ""])
def test_no_path_is_asked_for(path: str | None) -> None:
    with pytest.raises(RequestError, match=r"data\.path is needed"):
        find_files(path)


def test_a_folder_stands_for_its_only_data_file(tmp_path: Path) -> None:
    write(tmp_path, "notes", "README.md")
    file = write(tmp_path, DAYS)
    assert read_series(find_files(str(tmp_path)), "table").where == file.name
    write(tmp_path, DAYS, "other.csv")
    with pytest.raises(RequestError, match=r"2 data files; name one of file\.csv, other\.csv"):
        read_series(find_files(str(tmp_path)), "table")


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no"):
        find_files(str(tmp_path))


def test_the_fingerprint_follows_the_bytes_and_the_schema_not_the_place(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    here, there = write(tmp_path, DAYS), write(tmp_path / "elsewhere", DAYS, "renamed.csv")
    other = write(tmp_path, DAYS.replace("3\n", "4\n"), "other.csv")
    assert fingerprint([here], ["a"]) == fingerprint([there], ["a"])
    assert len({fingerprint([here], ["a"]), fingerprint([other], ["a"]), fingerprint([here], ["b"])}) == 3


# --- reading tables ---


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "x,y\n1,2\n3,4\n"),
        ("a.csv", "x;y\n1;2\n3;4\n"),
        ("a.tsv", "x\ty\n1\t2\n3\t4\n"),
        ("a.txt", "x y\n1 2\n3 4\n"),
        ("a.csv", '"x", "y"\r\n1, 2\r\n3, 4'),
        ("a.csv", "\ufeffx,y\n1,2\n3,4\n"),
        ("a.csv", "\n x ,y \n1,2\n3,4\n\n"),
    ],
)
def test_the_spellings_of_a_table_read_alike(tmp_path: Path, name: str, content: str) -> None:
    for file in (write(tmp_path, content, name), write(tmp_path, gzip.compress(content.encode()), name + ".gz")):
        frame = read_table(file)
        assert list(frame.columns) == ["x", "y"]
        np.testing.assert_array_equal(frame.to_numpy(), [[1, 2], [3, 4]])


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, DAYS))
    frame.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.parquet"), frame)
    frame.set_index("date").to_parquet(tmp_path / "c.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "c.parquet"), frame)
    dated = frame.assign(date=pd.to_datetime(frame["date"]))
    dated.to_parquet(tmp_path / "b.parquet")
    np.testing.assert_array_equal(
        read_series([tmp_path / "b.parquet"], "table").dates, read_series([tmp_path / "a.parquet"], "table").dates
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"file\.csv is empty"),
        (b" \n\n", r"file\.csv is empty"),
        (b"date,a\n", r"file\.csv holds a header and no rows"),
        (b"date,a,b,a\n2020-01-01,1,2,3\n", "several columns named 'a'"),
        (b"date,a, a\n2020-01-01,1,2\n", "several columns named 'a'"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is a binary file"),
        (b"date,a\n2020-01-01,1\n2020-01-02,caf\xe9\n", r"line 3 is not UTF-8 \(byte 0xe9\)"),
        (b"\xe9t\xe9,a\n1,2\n", r"line 1 is not UTF-8"),
        (b"date,caf\xc3\xa9\n2020-01-01,caf\xe9\n", r"line 2 is not UTF-8"),
        (b"1,2\n3,4\n", r"has no header.*data\.layout=matrix"),
        (b"date,a\n2020-01-01,1\n2020-01-02,2,3\n", "not a table with 2 columns.*line 3"),
        (b"date,a\n2020-01-01,1,9\n2020-01-02,2,9\n", "not a table with 2 columns"),
        (b"\x1f\x8b\x08broken", "can't be unpacked"),
    ],
)
def test_a_broken_file_is_refused_by_name_and_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_table(write(tmp_path, content))


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="can't be read as parquet"):
        read_table(write(tmp_path, b"no parquet", "a.parquet"))


@pytest.mark.parametrize("cell", ["?", "1,5", "inf", "-inf", "1e999", "-1e19", "12 kg"])
def test_a_cell_that_is_no_finite_number_is_named(tmp_path: Path, cell: str) -> None:
    frame = read_table(write(tmp_path, f'date,a\n2020-01-01,1\n2020-01-02,"{cell}"\n'))
    with pytest.raises(RequestError, match=r"here: .* in row 2, column 'a', is not a finite number"):
        numbers(frame, "a", "here")


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "null", "N/A"])
def test_a_blank_cell_is_missing(tmp_path: Path, cell: str) -> None:
    frame = read_table(write(tmp_path, f"date,a\n2020-01-01,1\n2020-01-02,{cell}\n"))
    np.testing.assert_array_equal(numbers(frame, "a", "here"), [1, np.nan])


# --- dates ---


@pytest.mark.parametrize(
    "texts",
    [
        ["2020-01-30", "2020-01-31", "2020-02-01"],
        ["2020-01-30T00:00:00Z", "2020-01-31T00:00:00Z", "2020-02-01T00:00:00Z"],
        ["2020-01-30T01:00:00+01:00", "2020-01-31T01:00:00+01:00", "2020-02-01T01:00:00+01:00"],
        ["2020/1/30 0:00", "2020/1/31 0:00", "2020/2/1 0:00"],
        ["30.01.2020", "31.01.2020", "01.02.2020"],
        ["30/01/2020", "31/01/2020", "01/02/2020"],
        ["01/30/2020", "01/31/2020", "02/01/2020"],
        ["30 Jan 2020", "31 Jan 2020", "01 Feb 2020"],
        ["20200130", "20200131", "20200201"],
    ],
)
def test_dates_are_read_in_the_usual_spellings(texts: list[str]) -> None:
    dates = read_dates(pd.DataFrame({"d": texts}), ["d"], "here")
    np.testing.assert_array_equal(dates, np.arange("2020-01-30", "2020-02-02", dtype="datetime64[D]"))


def test_days_before_months_are_told_by_their_order() -> None:
    # Read month first, these would run from January to March; read day first, they are three days in turn.
    days = read_dates(pd.DataFrame({"d": ["11/01/2020", "12/01/2020", "13/01/2020"]}), ["d"], "here")
    np.testing.assert_array_equal(np.diff(days).astype("timedelta64[D]").astype(int), [1, 1])


def test_dates_are_read_from_numbers_and_from_several_columns() -> None:
    numbers_ = read_dates(pd.DataFrame({"d": [19580329, 19580405]}), ["d"], "here")
    np.testing.assert_array_equal(numbers_, np.array(["1958-03-29", "1958-04-05"], dtype="datetime64[us]"))
    months = read_dates(pd.DataFrame({"d": [202001, 202002]}), ["d"], "here")
    np.testing.assert_array_equal(months, np.array(["2020-01-01", "2020-02-01"], dtype="datetime64[us]"))
    for factor in (1, 10**3, 10**6, 10**9):
        epoch = read_dates(pd.DataFrame({"d": [1577836800 * factor, 1577840400 * factor]}), ["d"], "here")
        np.testing.assert_array_equal(epoch, np.array(["2020-01-01T00", "2020-01-01T01"], dtype="datetime64[us]"))
    years = read_dates(pd.DataFrame({"d": [1700.0, 1701.0]}), ["d"], "here")
    np.testing.assert_array_equal(years, np.array(["1700-01-01", "1701-01-01"], dtype="datetime64[us]"))
    parts = pd.DataFrame({"year": [2010, 2010], "month": [1, 12], "day": [1, 31], "hour": [0, 23]})
    np.testing.assert_array_equal(
        read_dates(parts, list(parts), "here"), np.array(["2010-01-01T00", "2010-12-31T23"], dtype="datetime64[us]")
    )
    pair = pd.DataFrame({"Date": ["2020-01-01", "2020-01-01"], "Time": ["08:00", "09:30"]})
    np.testing.assert_array_equal(
        read_dates(pair, list(pair), "here"),
        np.array(["2020-01-01T08:00", "2020-01-01T09:30"], dtype="datetime64[us]"),
    )


@pytest.mark.parametrize("bad", ["2020-02-30", "yesterday", ""])
def test_an_unreadable_date_is_named(tmp_path: Path, bad: str) -> None:
    file = write(tmp_path, f"date,a\n2020-02-01,1\n2020-02-02,2\n{bad},3\n")
    with pytest.raises(RequestError, match=rf"the date '{bad}' in row 3, column date, can't be read \(1 such rows\)"):
        read_series([file], "table")


def test_the_date_column_is_found_by_name_or_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, "a,When,Month\n1,x,2020-01\n2,y,2020-02\n")
    assert list(read_series([file], "table").frame.columns) == ["a", "When"]
    with pytest.raises(RequestError, match=r"no column 'month'. Did you mean 'Month'\?"):
        read_series([file], "table", date="month")
    with pytest.raises(RequestError, match=r"No date column was found among x, y: name it with data\.date"):
        read_series([write(tmp_path, "x,y\n1,2\n")], "table")


def test_a_date_out_of_order_or_repeated_is_refused_by_row(tmp_path: Path) -> None:
    late = write(tmp_path, "date,a\n2020-01-01,1\n2020-01-03,3\n2020-01-02,2\n")
    with pytest.raises(
        RequestError, match=r"row 3 has the date 2020-01-02 after 2020-01-03 \(1 such rows\).*data\.sort"
    ):
        read_series([late], "table")
    twice = write(tmp_path, "date,a\n2020-01-01,1\n2020-01-01,3\n2020-01-02,2\n")
    with pytest.raises(RequestError, match="row 2 repeats the date 2020-01-01"):
        read_series([twice], "table")


def test_sorting_is_counted_and_keeps_the_last_of_a_repeated_date(tmp_path: Path) -> None:
    file = write(tmp_path, "date,a\n2020-01-02,2\n2020-01-01,1\n2020-01-03,3\n2020-01-02,9\n")
    series = read_series([file], "table", sort=True)
    assert series.frame["a"].tolist() == [1, 9, 3]
    assert series.counts == {"sorted_rows": 4, "repeated_dates": 1}


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        ("h", 24),
        ("30min", 48),
        ("D", 7),
        ("B", 5),
        ("W", 52),
        ("MS", 12),
        ("ME", 12),
        ("QS", 4),
        ("YS", None),
        ("7h", None),
    ],
)
def test_season_evenness_and_the_next_dates_follow_from_the_step(freq: str, season: int | None) -> None:
    dates = pd.date_range("2019-03-29 00:00", periods=60, freq=freq).to_numpy().astype("datetime64[us]")
    step = Step.of(dates[:50])
    assert (step.season, step.irregular) == (season, 0)
    np.testing.assert_allclose(step.count(dates), np.arange(60))
    np.testing.assert_array_equal(step.after(dates[49], 10), dates[50:])


def test_missing_days_make_a_step_uneven() -> None:
    days = np.delete(np.arange("2020-01-01", "2020-02-01", dtype="datetime64[D]"), [5, 6, 20])
    step = Step.of(days.astype("datetime64[us]"))
    time = step.count(days.astype("datetime64[us]"))
    assert (step.days, step.season, step.irregular) == (1, 7, 2)
    assert np.flatnonzero(uneven(time)).tolist() == [4, 17]
    assert time[[4, 5, 17, 18]].tolist() == [4, 7, 19, 21]


def test_calendar_covariates_lie_on_the_circle_and_repeat() -> None:
    dates = np.array(["2020-01-06T06:00", "2020-01-13T06:00", "2020-01-06T18:00"], dtype="datetime64[us]")
    hour = calendar_covariates(dates, ["date.hour"])
    np.testing.assert_allclose(hour, [[1, 0], [1, 0], [-1, 0]], atol=1e-12)
    weekday = calendar_covariates(dates, ["date.weekday"])
    np.testing.assert_allclose(weekday, [[0, 1]] * 3, atol=1e-12)  # Mondays


# --- anything ---

TABLE = "date,a,b\n" + "".join(f"2020-01-{day:02d},{day / 2},{day % 7}\n" for day in range(1, 31))


@settings(deadline=None, max_examples=40)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, len(TABLE)), st.integers(0, 9), st.one_of(st.text(max_size=4), st.sampled_from(WEIRD))
        ),
        min_size=1,
        max_size=4,
    ),
    sort=st.booleans(),
)
def test_a_table_edited_anyhow_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, str]], sort: bool
) -> None:
    text = TABLE
    for place, length, new in edits:
        text = text[:place] + new + text[place + length :]
    file = write(tmp_path_factory.mktemp("fuzz"), text.encode("utf-8", "surrogatepass"))
    data = ForecastingData(str(file), sort=sort, lookback=3, horizon=1)
    try:
        data.setup()
    except RequestError:
        return
    for split in SPLITS:
        batch = data.examples(split).__getitems__([0, len(data.examples(split)) - 1])
        assert batch.y is not None
        assert torch.isfinite(batch.x).all()
        assert torch.isfinite(batch.y).all()


# --- layouts ---


def test_a_matrix_has_neither_names_nor_dates(tmp_path: Path) -> None:
    series = read_series([write(tmp_path, gzip.compress(b"1,2\n3,4\n5,6\n"), "m.txt.gz")], "matrix")
    assert series.dates is None
    np.testing.assert_array_equal(series.frame[["0", "1"]].to_numpy(), [[1, 2], [3, 4], [5, 6]])


def test_a_long_table_is_stacked_series_by_series(tmp_path: Path) -> None:
    rows = "id,date,v\nb,2020-01-01,1\na,2020-01-01,10\nb,2020-01-02,2\na,2020-01-02,20\nb,2020-01-03,3\n"
    series = read_series([write(tmp_path, rows)], "table", series="id")
    assert series.names == ("b", "a")
    assert series.bounds.tolist() == [0, 3, 5]
    assert series.frame["v"].tolist() == [1, 2, 3, 10, 20]
    with pytest.raises(RequestError, match=r"row 2 repeats the date 2020-01-01.*data\.series=COLUMN"):
        read_series([write(tmp_path, rows)], "table")
    with pytest.raises(RequestError, match="row 2 has no name of a series"):
        read_series([write(tmp_path, rows.replace("\na,", "\n,", 1))], "table", series="id")
    with pytest.raises(RequestError, match=r"data\.series: there is no column 'ID'"):
        read_series([write(tmp_path, rows)], "table", series="ID")


def test_ragged_rows_are_series_and_a_test_file_continues_them(tmp_path: Path) -> None:
    write(tmp_path, '"V1","V2","V3","V4"\n"W1","1","2","3"\n"W2","4","5",""\n', "x-train.csv")
    write(tmp_path, '"V1","V2"\n"W1","9"\n"W2","8"\n', "x-test.csv")
    series = read_series(find_files(str(tmp_path)), "ragged")
    assert series.names == ("W1", "W2")
    assert series.frame["value"].tolist() == [1, 2, 3, 9, 4, 5, 8]
    assert series.bounds.tolist() == [0, 4, 7]
    assert series.official is not None
    assert series.official.tolist() == [3, 6]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("V1,V2\nW1,1\n", "V1,V2\nW2,1\n", "must hold the same series"),
        ("V1,V2\nW1,x\n", "V1,V2\nW1,1\n", r"line 2 \(series 'W1'\)"),
        ("V1,V2\nW1,inf\n", "V1,V2\nW1,1\n", "a value beyond 1e"),
        ("V1,V2\nW1,,\n", "V1,V2\nW1,1\n", "no value"),
        ("V1,V2\n", "V1,V2\n", "header and no rows"),
    ],
)
def test_broken_ragged_rows_are_refused(tmp_path: Path, train: str, test: str, message: str) -> None:
    write(tmp_path, train, "train.csv")
    write(tmp_path, test, "test.csv")
    with pytest.raises(RequestError, match=message):
        read_series(find_files(str(tmp_path)), "ragged")
