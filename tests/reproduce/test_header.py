"""What the header of a reproduction says, and every way in which it can be wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seqlab.__main__ import main
from seqlab.errors import RequestError
from seqlab.reproduce.header import load, reproductions
from seqlab.reproduce.preset import plain
from seqlab.tasks.metrics import METRIC_INFO
from tests.reproduce.conftest import Write

GOOD = {
    "source": "Nobody 2026 (arXiv:2601.00001), Table 1",
    "protocol": '"segments of 24: ours has 256 units, not 512"',
    "file": "table.csv",
    "sha256": "ab" * 32,
    "metric": "[test/mse, test/mae]",
    "published": '{"data.horizon=96": [0.368, 0.395], "cell=gru,data.horizon=192": 0.408}',
    "floor": "seasonal_naive",
    "runs": "cell=gru data.horizon=96,192 optimizer.lr=1e-3 'seed=range(3)'",
}


@pytest.fixture
def written(write: Write) -> Write:
    """Write the good header with some keys changed."""
    return lambda **changes: write(**{**GOOD, **changes})


def test_a_header_becomes_rows_and_numbers(written: Write) -> None:
    mine = written()
    first = (("cell", "gru"), ("data.horizon", "96"), ("optimizer.lr", "0.001"))
    second = (("cell", "gru"), ("data.horizon", "192"), ("optimizer.lr", "0.001"))
    assert mine.rows == (first, second)
    assert mine.published == {first: (0.368, 0.395), second: (0.408, None)}
    assert mine.title == ("What", "expects", "1 min")
    assert (mine.metrics, mine.over, mine.replicates) == (("test/mse", "test/mae"), ("seed",), 3)
    assert (mine.files, mine.sha256, mine.tolerance, mine.miss) == (
        ("table.csv",),
        {"table.csv": "ab" * 32},
        0.03,
        0.05,
    )
    assert mine.protocol == "segments of 24: ours has 256 units, not 512"


def test_the_sweep_is_what_runs_says_but_for_what_is_given(written: Write) -> None:
    mine = written()
    assert mine.words() == [
        "experiment=mine",
        "name=reproduce_mine",
        "cell=gru",
        "data.horizon=96,192",
        "optimizer.lr=1e-3",
        "seed=range(3)",
    ]
    assert mine.words(["seed=0", "data.path=a b.csv"])[4:] == ["optimizer.lr=1e-3", "seed=0", "data.path=a b.csv"]
    with pytest.raises(RequestError, match="name= can't be given: the runs of mine are found by it"):
        mine.words(["name=other"])


def test_folds_with_seeds_are_averaged_within(written: Write) -> None:
    mine = written(over="data.fold", runs="cell=gru data.horizon=96,192 data.fold=0,1,2,3 seed=0,1")
    assert (mine.over, mine.replicates, mine.keys) == (("seed", "data.fold"), 4, ("cell", "data.horizon"))


def test_generated_data_has_no_file_and_a_floor_may_be_published(written: Write) -> None:
    mine = written(file="generated", sha256=None, floor='{"data.horizon=96": 0.5}', tolerance="0.1")
    assert mine.files == ()
    assert list(mine.floor.values()) == [0.5]
    assert mine.miss == 0.1


def test_a_header_of_several_lines_and_no_published_value(written: Write) -> None:
    mine = written(published="{}", note=">\n  one line\n  and another", floor=None)
    assert (mine.published, mine.note, mine.floor) == ({}, "one line and another", None)


def test_the_header_in_contributing_is_right(configs: Path) -> None:
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    (example,) = (block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "# source:" in block)
    (configs / "experiment" / "segments.yaml").write_text(example)
    segments = load("segments")
    assert len(segments.published) == len(segments.rows) == 2
    assert segments.words()[2:] == ["cell=gru", "data.horizon=96,192", "seed=0,1,2"]


WRONG = [
    ({"tolerence": "0.1"}, "header has no argument 'tolerence'. Did you mean 'tolerance'?"),
    ({"protocol": None, "runs": None}, "header lacks protocol, runs. A reproduction states source, protocol, file"),
    (
        {"protocol": "none: it is a test"},
        "is no YAML mapping: mapping values are not allowed here near 'protocol: none",
    ),
    ({"protocol": "[1, 2]"}, "header.protocol must be text; got [1, 2]."),
    ({"protocol": "a\nprotocol: b"}, "'protocol' occurs twice near"),
    ({"metric": "mse"}, "must be a full name such as test/mse; got 'mse'. Did you mean 'test/mse'?"),
    ({"metric": "tset/mse"}, "got 'tset/mse'. Did you mean 'test'?"),
    ({"metric": "[]"}, "header.metric names no metric."),
    ({"published": "0.3"}, "header.published must be a mapping; got 0.3."),
    ({"published": '{"cell=gru": 0.3}'}, "leaves data.horizon open in the row 'cell=gru'"),
    ({"published": '{"data.horison=96": 0.3}'}, "needs data.horison in runs. Did you mean 'data.horizon'?"),
    (
        {"published": '{"seed=1,data.horizon=96": 0.3}'},
        "needs seed in runs. Available: cell, data.horizon, optimizer.lr.",
    ),
    ({"published": "{gru: 0.3}"}, "has rows such as cell=gru,data.horizon=96; got 'gru'."),
    ({"published": '{"data.horizon=96": x}'}, "must give a number, or one for each of test/mse, test/mae for data.hor"),
    ({"published": '{"data.horizon=96": [1, 2, 3]}'}, "got [1, 2, 3]."),
    ({"published": '{"data.horizon=96": true}'}, "got True."),
    ({"published": '{"data.horizon=96": 0.0}'}, "is 0 for data.horizon=96, and distances are relative to it"),
    ({"floor": '{"data.horizon=96": low}'}, "must be the name of a trivial predictor, or row to number; got 'low'."),
    ({"floor": '{"cell=gru": 1}'}, "header.floor leaves data.horizon open"),
    ({"tolerance": "tight"}, "header.tolerance must be a number; got 'tight'."),
    ({"tolerance": "-0.1"}, "header.tolerance must be 0 or more and miss no less; got -0.1 and 0.05."),
    ({"tolerance": "0.1", "miss": "0.05"}, "got 0.1 and 0.05."),
    ({"over": "folds"}, "header.over must be one of seed, data.fold; got 'folds'."),
    ({"over": "data.fold"}, "header.over is data.fold, which runs does not list; add data.fold=0,1,...."),
    ({"runs": "gru"}, "header.runs takes overrides such as cell=gru,lstm, without experiment and name; got 'gru'."),
    ({"runs": "name=x"}, "got 'name=x'."),
    ({"runs": "cell=gru cell=lstm"}, "header.runs names cell twice."),
    ({"runs": "cell='gru"}, "header.runs can't be split into words: No closing quotation."),
    ({"runs": "cell=gru,"}, "'cell=gru,' is no override such as cell=gru,lstm: mismatched input"),
    ({"runs": "optimizer.lr=interval(0,1)"}, "optimizer.lr=interval(0,1) is an interval; list its values."),
    ({"runs": "'seed=range(0)'"}, "'seed=range(0)' gives no value."),
    ({"sha256": "abc"}, "header.sha256 must be 64 hexadecimal digits; got 'abc'."),
    ({"sha256": "{tabel.csv: abc}"}, "there is no file 'tabel.csv'. Did you mean 'table.csv'?"),
    ({"file": "[a.csv, b.csv]"}, "is one hash for 2 files; write a mapping from name to hash."),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=lambda of: str(of)[:40])
def test_what_is_wrong_is_named(changes: dict[str, str | None], message: str, written: Write) -> None:
    with pytest.raises(RequestError) as found:
        written(**changes)
    assert message in str(found.value)
    assert str(found.value).startswith("experiment/mine.yaml: header")


def test_only_reproductions_are_taken(written: Write, capsys: pytest.CaptureFixture[str]) -> None:
    written()
    assert "mine" in reproductions()
    assert main(["reproduce", "mnie", "--show"]) == 2
    assert "There is no reproduction 'mnie'. Did you mean 'mine'?" in capsys.readouterr().err
    assert main(["reproduce", "parity_of_mine"]) == 2
    assert main(["reproduce"]) == 2
    assert "`seqlab reproduce NAME` takes" in capsys.readouterr().err
    with pytest.raises(RequestError, match="Experiment 'source_lstm_3x50' reproduces nothing: its header has no line"):
        load("source_lstm_3x50")


def test_listing_marks_reproductions(written: Write, capsys: pytest.CaptureFixture[str]) -> None:
    written()
    assert main(["list", "experiments", "--format", "json"]) == 0
    marks = {row["name"]: row["published"] for row in json.loads(capsys.readouterr().out)}
    assert (marks["mine"], marks["source_lstm_3x50"]) == ("yes", "")


@pytest.mark.parametrize(("given", "same"), [("1e-3", "0.001"), ("96", "96.0"), ("[1, 2]", "[1,2]"), ("'gru'", "gru")])
def test_values_have_one_spelling(given: str, same: str) -> None:
    assert plain(given) == plain(same)
    assert plain(given) != plain("7")


@pytest.mark.parametrize("name", reproductions())
def test_every_reproduction_parses(name: str) -> None:
    """That its sweep composes is a test of every experiment's."""
    mine = load(name)
    for metric in mine.metrics:
        assert metric.partition("/")[2] in METRIC_INFO, metric
    assert all(mine.title), "what it is | what it expects | what it takes"
