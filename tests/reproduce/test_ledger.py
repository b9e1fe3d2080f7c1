"""Ours beside the published: verdicts, intervals and the page, on made-up runs with numbers worked out by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from seqlab.__main__ import main
from seqlab.errors import RequestError, RunError
from seqlab.reproduce import recorded
from seqlab.reproduce.header import load, reproductions
from seqlab.reproduce.judge import Line, lines_of, verdict
from seqlab.reproduce.page import render
from seqlab.reproduce.recorded import entries_below, merged, read
from seqlab.reproduce.table import figure, notes_of, shown
from tests.fabricated_runs import record, write_run
from tests.reproduce.conftest import Write

DOCS = Path(__file__).parents[2] / "docs"
KEYS: dict[str, str | None] = {
    "source": "Nobody 2026, Table 1",
    "protocol": "the paper's, with half the units",
    "file": "co2.csv",
    "metric": "test/mse",
    "published": '{"cell=gru": 0.1, "cell=lstm": 0.2}',
    "floor": "seasonal_naive",
    "runs": "cell=gru,lstm,indrnn data.horizon=2 seed=0,1,2",
    "note": "three seeds are few",
}


def run(root: Path, cell: str, seed: int, score: float | None, *overrides: str, **entries: Any) -> None:
    """Write a run of the experiment ``mine``; ``overrides`` were typed beside cell and seed."""
    typed = ["experiment=mine", "name=reproduce_mine", f"cell={cell}", f"seed={seed}", "data.horizon=2", *overrides]
    entries = {"name": "reproduce_mine", "overrides": typed, "hash": f"hash of {cell}", **entries}
    folder = root / f"{cell}-{entries['hash']}-{'-'.join(overrides).replace('/', '_')}" / f"seed-{seed}"
    write_run(folder, with_settings(record(cell, seed, score, **entries)))


def with_settings(content: dict[str, Any]) -> dict[str, Any]:
    """Give a record the settings that the experiment's yaml has."""
    content["choices"] |= {"data": "sunspots", "trainer": "debug"}
    content["config"]["model"] = content["config"].get("model", {}) | {"hidden_size": 4}
    content["config"]["data"] = content["config"].get("data", {}) | {"lookback": 12, "batch_size": 16}
    return content


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """GRU on three seeds, LSTM on two, and a tanh RNN and a wider GRU that nobody asked for."""
    root = tmp_path / "outputs" / "reproduce_mine"
    for cell, scores in {"gru": [0.10, 0.11, 0.09], "lstm": [0.20, 0.22], "rnn": [0.15]}.items():
        for seed, score in enumerate(scores):
            run(root, cell, seed, score, f"data.path={tmp_path}/co2.csv", "trainer=cpu", "logger=csv")
    run(root, "gru", 0, 0.08, "model.hidden_size=128", hash="wide")
    run(root, "lstm", 2, None, status="failed")
    write_run(root / "other", record("gru", 0, 0.01))
    return root.parent


def by_row(lines: list[Line]) -> dict[tuple[str, ...], Line]:
    return {tuple(value for _, value in line.row): line for line in lines}


@pytest.mark.parametrize(
    ("mean", "published", "higher", "expected"),
    [
        (0.412, 0.4, False, "reproduced"),
        (0.4121, 0.4, False, "near"),
        (0.388, 0.4, False, "reproduced"),
        (0.3879, 0.4, False, "better"),
        (0.42, 0.4, False, "near"),
        (0.4201, 0.4, False, "missed"),
        (0.84, 0.8, True, "better"),
        (0.776, 0.8, True, "reproduced"),
        (0.7759, 0.8, True, "near"),
        (0.76, 0.8, True, "near"),
        (0.7599, 0.8, True, "missed"),
        (-2.0, -1.0, True, "missed"),
        (-2.0, -1.0, False, "better"),
        (float("nan"), 0.4, False, "missed"),
        (0.4, None, False, "no published value"),
    ],
)
def test_the_verdict_is_arithmetic(mean: float, published: float | None, higher: bool, expected: str) -> None:
    assert verdict(mean, published, higher, tolerance=0.03, miss=0.05) == expected


@pytest.mark.parametrize(
    ("mean", "expected"), [(0.515, "reproduced"), (0.52, "near"), (0.526, "missed"), (0.47, "missed")]
)
def test_above_published_chance_is_no_gain(mean: float, expected: str) -> None:
    assert verdict(mean, 0.5, True, tolerance=0.03, miss=0.05, two_sided=True) == expected


def test_lines_hold_mean_interval_and_verdict(write: Write, runs: Path) -> None:
    mine = write(**KEYS)
    lines = by_row(lines_of(mine, entries_below({"mine": mine}, [runs])))
    assert list(lines) == [("gru", "2", "128"), ("gru", "2"), ("rnn", "2"), ("lstm", "2"), ("indrnn", "2")]
    gru, lstm = lines["gru", "2"], lines["lstm", "2"]
    # t(.975, 2) = 4.302653, sd = .01: half = 4.302653 * .01 / sqrt(3)
    (estimate,) = gru.estimates
    assert (estimate.n, estimate.mean) == (3, pytest.approx(0.1, rel=1e-12))
    assert (estimate.low, estimate.high) == pytest.approx((0.0751586, 0.1248414), abs=1e-7)
    # t(.975, 1) = 12.706205, sd = .02 / sqrt(2): half = .1270620
    assert (lstm.estimates[0].low, lstm.estimates[0].high) == pytest.approx((0.0829380, 0.3370620), abs=1e-7)
    assert [gru.verdict, lstm.verdict] == ["reproduced", "near"]  # .21 is 5 % above .2
    assert lines["rnn", "2"].verdict == lines["gru", "2", "128"].verdict == "no published value"
    assert (lines["indrnn", "2"].verdict, lines["indrnn", "2"].estimates) == ("not run", ())
    assert (gru.floor, gru.seconds, gru.parameters, gru.seeds) == (0.3, 12.5, 13_056, (0, 1, 2))


def test_folds_are_the_replicates_and_share_training_data(write: Write, tmp_path: Path) -> None:
    """Seeds are averaged in each of 4 folds; the variance of the mean is sd^2 (1/4 + 1/3)."""
    keys = {"metric": "test/accuracy", "published": '{"cell=gru": 0.75}', "floor": "majority", "over": "data.fold"}
    mine = write(**{**KEYS, **keys, "runs": "cell=gru data.horizon=2 data.fold=0,1,2,3 seed=0,1"})
    for fold, scores in enumerate([(0.6, 0.8), (0.8, 0.8), (0.7, 0.8), (0.75, 0.75)]):
        for seed, score in enumerate(scores):
            changes = {"data.fold": fold, "data.folds": 4}
            given = {"metric": "accuracy", "changes": changes, "hash": f"hash of {fold}"}
            run(tmp_path / "outputs", "gru", seed, score, f"data.fold={fold}", **given)
    (line,) = lines_of(mine, entries_below({"mine": mine}, [tmp_path / "outputs"]))
    (estimate,) = line.estimates
    assert (estimate.n, estimate.mean, line.verdict) == (4, pytest.approx(0.75, rel=1e-12), "reproduced")
    assert estimate.high - estimate.mean == pytest.approx(3.182446 * 0.0408248 * 0.7637626, abs=1e-6)
    assert line.floor == 0.4


def test_rows_stand_by_data_and_best_first(write: Write, tmp_path: Path) -> None:
    mine = write(**{**KEYS, "published": "{}", "runs": "cell=gru,lstm data.horizon=96,24"})
    for cell, score in (("gru", 0.5), ("lstm", 0.4), ("rnn", None)):
        for horizon in (24, 96):
            run(tmp_path / "outputs", cell, 0, score, changes={"data.horizon": horizon}, hash=f"{cell} {horizon}")
    lines = lines_of(mine, entries_below({"mine": mine}, [tmp_path / "outputs"]))
    assert [tuple(value for _, value in line.row) for line in lines] == [
        (cell, horizon) for horizon in ("96", "24") for cell in ("lstm", "gru", "rnn")
    ]
    assert {line.verdict for line in lines} == {"no published value"}
    assert shown(mine, tmp_path / "outputs", 200).splitlines()[-2] == "Interval: Student's t over seeds."


def test_published_floors_stand_beside(write: Write, runs: Path) -> None:
    mine = write(**{**KEYS, "floor": '{"cell=gru": 0.12}'})
    lines = by_row(lines_of(mine, entries_below({"mine": mine}, [runs])))
    assert (lines["gru", "2"].floor, lines["lstm", "2"].floor) == (0.12, None)


def test_a_score_that_is_not_finite_has_no_mean_and_is_missed(write: Write, tmp_path: Path) -> None:
    mine = write(**KEYS)
    for seed, score in enumerate([0.1, None, 0.1]):
        run(tmp_path / "outputs", "gru", seed, score)
    line = by_row(lines_of(mine, entries_below({"mine": mine}, [tmp_path / "outputs"])))["gru", "2"]
    assert line.verdict == "missed"
    assert " -  " in shown(mine, tmp_path / "outputs", 200)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.44, 3, "0.440"),
        (0.36812, 4, "0.3681"),
        (8.4512, 4, "8.451"),
        (5.312e-5, 3, "5.31e-05"),
        (15.22, 4, "15.22"),
        (0.0, 3, "0.00"),
        (None, 3, "-"),
    ],
)
def test_figures_keep_their_digits(value: float | None, digits: int, text: str) -> None:
    assert figure(value, digits) == text


PAGE = """## mine

What. Expected: expects. Takes 1 min.

| cell | hidden_size | seeds | test/mse | 95 % interval | published | seasonal naive | verdict | parameters | seconds |
| :-- | :-- | --: | --: | --: | --: | --: | --: | --: | --: |
| gru | 128 | 1 | 0.0800 | - | - | 0.300 | no published value | 13,056 | 12.5 |
| gru | - | 3 | 0.100 | 0.075 to 0.125 | 0.10 | 0.300 | reproduced | 13,056 | 12.5 |
| rnn | - | 1 | 0.150 | - | - | 0.300 | no published value | 4,352 | 12.5 |
| lstm | - | 2 of 3 | 0.210 | 0.083 to 0.337 | 0.20 | 0.300 | near | 17,408 | 12.5 |
| indrnn | - | - | - | - | - | - | not run | - | - |

- Source: Nobody 2026, Table 1
- Protocol: the paper's, with half the units
- Data: co2.csv, SHA-256 `{sha}`
- Reproduced is within 3 % of the published test/mse, missed is worse by more than 5 %, near lies between. \
Interval: Student's t over seeds.
- Machine: A, 2 cores (7 runs)
- Code: seqlab 0.1.0 at 0123456789 (7 runs)
- Versions: torch 2.13.0 (7 runs)
- Command: `seqlab reproduce mine data.path=co2.csv`
- Further rows: `seqlab reproduce mine data.path=co2.csv cell=rnn seed=0`
- Further rows: `seqlab reproduce mine data.path=co2.csv cell=gru model.hidden_size=128 seed=0`
- Note: three seeds are few
"""
UNRUN = """## yours

What. Expected: expects. Takes 1 min.

- Source: Nobody 2026, Table 1
- Protocol: the paper's, with half the units
- Data: co2.csv
- Not run.
- Command: `seqlab reproduce yours data.path=co2.csv`
- Note: three seeds are few
"""


def test_the_ledger_is_this_text(
    write: Write, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("mine", **KEYS), write("yours", **KEYS)
    monkeypatch.setattr("seqlab.reproduce.header.is_reproduction", {"mine", "yours"}.__contains__)
    (tmp_path / "co2.csv").write_text("month,co2\n")
    sha = hashlib.sha256(b"month,co2\n").hexdigest()
    for content in runs.rglob("run.json"):
        changed = json.loads(content.read_text().replace("co2.csv", str(tmp_path / "co2.csv")))
        content.write_text(json.dumps(changed))
    page = tmp_path / "ledger.md"
    assert main(["reproduce", "--ledger", str(page), str(runs)]) == 0
    assert capsys.readouterr().out == f"Ledger: {page}, 7 runs of 1 of 2 reproductions\n"
    text = page.read_text()
    assert text.startswith(
        "# Reproductions\n\nThis page is generated by `seqlab reproduce --ledger docs/reproductions.md`"
    )
    assert "| mine | test/mse | 1 reproduced, 1 near, 1 not run, 2 no published value |\n" in text
    assert "| yours | test/mse | 3 not run |\n" in text
    assert text[text.index("## mine") :] == PAGE.replace("{sha}", sha) + "\n" + UNRUN
    kept = page.with_suffix(".json").read_text()
    assert str(tmp_path) not in text + kept
    assert main(["reproduce", "--ledger", str(page), str(runs)]) == 0
    assert (page.read_text(), page.with_suffix(".json").read_text()) == (text, kept), "the same runs, the same page"


def test_the_page_needs_no_run_folders_and_older_runs_stay(
    write: Write, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(**KEYS)
    monkeypatch.setattr("seqlab.reproduce.header.is_reproduction", "mine".__eq__)
    page, empty, later = tmp_path / "ledger.md", tmp_path / "empty", tmp_path / "later"
    empty.mkdir()
    assert main(["reproduce", "--ledger", str(page), str(runs)]) == 0
    before = page.read_text()
    assert main(["reproduce", "--ledger", str(page), str(empty)]) == 0
    assert page.read_text() == before
    run(later, "lstm", 2, 0.21)
    assert main(["reproduce", "--ledger", str(page), str(later)]) == 0
    assert "| lstm | - | 3 | 0.210 |" in page.read_text(), "two older seeds and a new one"


def test_runs_made_before_a_setting_changed_leave_the_ledger(
    write: Write, runs: Path, tmp_path: Path, configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(**KEYS)
    page = tmp_path / "page.md"
    assert main(["reproduce", "--ledger", str(page), str(runs)]) == 0
    kept = sum(entry["experiment"] == "mine" for entry in read(page.with_suffix(".json")))
    assert kept == 7
    file = configs / "experiment" / "mine.yaml"
    file.write_text(file.read_text().replace("lookback: 12", "lookback: 24"))
    capsys.readouterr()
    assert main(["reproduce", "--ledger", str(page), str(runs)]) == 0
    assert "Of the kept runs 7 were made with settings" in capsys.readouterr().out
    assert read(page.with_suffix(".json")) == []


def entry(cell: str, seed: int, settings: str, finished: str, mse: float = 0.1) -> dict[str, Any]:
    place = {"experiment": "mine", "row": {"cell": cell}, "seed": seed, "fold": None}
    return {**place, "hash": settings, "finished": finished, "metrics": {"test/mse": mse}}


def test_new_runs_go_before_older_ones_of_the_same_place() -> None:
    kept = [entry("gru", 0, "a", "2026-01-01"), entry("gru", 1, "a", "2026-01-01"), entry("rnn", 0, "b", "2026-01-01")]
    assert merged(kept, []) == kept
    assert merged([], reversed(kept)) == kept, "in an order of their own"
    again = entry("gru", 0, "a", "2026-01-02", 0.2)
    assert merged(kept, [again]) == [again, *kept[1:]]
    older = entry("gru", 0, "c", "2025-12-31", 0.3)
    assert merged(kept, [older]) == kept
    changed = entry("gru", 0, "c", "2026-01-03", 0.3)
    assert merged(kept, [changed]) == [changed, kept[2]], "seed 1 was made with other settings"


def test_the_kept_file_reads_back(write: Write, runs: Path, tmp_path: Path) -> None:
    mine, file = write(**KEYS), tmp_path / "kept.json"
    entries = entries_below({"mine": mine}, [runs])
    assert read(file) == []
    recorded.write(file, entries)
    assert read(file) == entries
    file.write_text('{"format": 1}')
    with pytest.raises(RunError, match="is no record of reproductions"):
        read(file)
    file.write_text('{"format": 2}')
    with pytest.raises(RunError, match="has format 2; this seqlab reads up to 1"):
        read(file)


def test_another_file_and_another_floor_are_noted(write: Write, tmp_path: Path) -> None:
    wanted = hashlib.sha256(b"right").hexdigest()
    mine = write(**{**KEYS, "sha256": wanted, "floor": "seasonal_naiv"})
    (tmp_path / "co2.csv").write_text("wrong")
    run(tmp_path / "outputs", "gru", 0, 0.1, changes={"data.path": str(tmp_path)})
    notes = notes_of(mine, entries_below({"mine": mine}, [tmp_path / "outputs"]))
    found = hashlib.sha256(b"wrong").hexdigest()
    assert notes == [
        f"co2.csv is not the public file: its SHA-256 is {found}, expected {wanted}.",
        "The runs have no trivial predictor 'seasonal_naiv'. Did you mean 'seasonal_naive'?",
    ]


def test_a_metric_that_no_run_has_is_named(write: Write, runs: Path) -> None:
    mine = write(**{**KEYS, "metric": "test/msee"})
    with pytest.raises(
        RequestError, match=r"have no metric 'test/msee', which its header names. Did you mean 'test/mse'"
    ):
        entries_below({"mine": mine}, [runs])
    entries = entries_below({"mine": write(**KEYS)}, [runs])
    with pytest.raises(RequestError, match="A recorded run of mine lacks test/msee; record it from its folder again"):
        lines_of(mine, entries)


def test_failed_runs_end_with_1_and_the_others_are_shown(
    write: Write, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is asked of the sweep is what the header says."""
    write(**KEYS)
    asked: list[list[str]] = []

    def fails(arguments: list[str]) -> int:
        asked.append(arguments)
        raise RunError("1 of 3 runs did not complete.")

    monkeypatch.setattr("seqlab.sweep.early.prepare", lambda arguments: None)
    monkeypatch.setattr("seqlab.training.app.main", fails)
    assert main(["reproduce", "mine", "seed=0", f"output_dir={runs}"]) == 1
    said = capsys.readouterr()
    assert "1 of 3 runs did not complete." in said.err
    assert "reproduced" in said.out
    sweep = ["cell=gru,lstm,indrnn", "data.horizon=2", "seed=0", f"output_dir={runs}"]
    assert asked == [["-m", "experiment=mine", "name=reproduce_mine", *sweep]]


def test_show_runs_nothing(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(**KEYS)
    assert main(["reproduce", "mine", "--show", f"output_dir={tmp_path}"]) == 0
    out = capsys.readouterr().out
    assert out.count("not run") == 3
    assert "Source: Nobody 2026, Table 1\n" in out
    assert not (tmp_path / "reproduce_mine").exists()


def test_a_page_that_can_not_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--ledger", str(tmp_path / "ledger.json")]) == 2
    assert "--ledger takes a Markdown file (.md)" in capsys.readouterr().err
    assert main(["reproduce", "--ledger", str(tmp_path / "page.md"), str(tmp_path / "nowhere")]) == 2


def test_the_page_in_the_docs_is_what_is_kept() -> None:
    page = DOCS / "reproductions.md"
    if not page.exists():
        pytest.skip("needs docs/reproductions.md")
    known = {name: load(name) for name in reproductions()}
    assert page.read_text() == render(known, read(page.with_suffix(".json"))), (
        "seqlab reproduce --ledger docs/reproductions.md"
    )


@pytest.mark.process
def test_a_reproduction_trains_and_is_not_trained_twice(
    write: Write, configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = {"file": "generated", "published": '{"cell=gru": 1e-9, "cell=rnn": 1.0e+9}', "floor": "naive"}
    write(**{**KEYS, **keys, "runs": "cell=gru,rnn data.horizon=2 seed=0,1"})
    monkeypatch.delenv("SEQLAB_CONFIG_PATH")
    monkeypatch.chdir(tmp_path)
    words = ["reproduce", "mine", "--config-dir", str(configs), "seed=1"]
    assert main(words) == 0
    said = capfd.readouterr().out
    assert "Sweep of 2 runs: 2 to run." in said
    rows = {line.split()[0]: line for line in said[said.index("mine: What") :].splitlines() if line.strip()}
    assert "missed" in rows["gru"]
    assert "better" in rows["rnn"]
    assert "1 of 2" in rows["gru"]
    assert main(words) == 0
    again = capfd.readouterr().out
    assert "Sweep of 2 runs: 2 completed." in again
    assert again[again.index("mine: What") :] == said[said.index("mine: What") :]
