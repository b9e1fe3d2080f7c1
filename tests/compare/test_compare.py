"""From run folders to tables: the numbers, the groups, and what is refused."""

import csv
import io
import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from seqlab.__main__ import main
from seqlab.compare import compare, statistics
from seqlab.errors import RequestError, RunError
from seqlab.runs import find_runs
from tests.fabricated_runs import record, write_predictions, write_run, write_runs

GRU, LSTM, RNN = [0.10, 0.11, 0.09, 0.12], [0.13, 0.12, 0.10, 0.13], [0.30, 0.33, 0.29, 0.35]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write_runs(tmp_path / "runs", {"gru": GRU, "lstm": LSTM, "rnn": RNN})


def folds(root: Path, scores: dict[str, list[list[float]]]) -> Path:
    """Write runs by cell, fold and seed."""
    for cell, by_fold in scores.items():
        for fold, values in enumerate(by_fold):
            for seed, score in enumerate(values):
                changes = {"data.fold": fold, "data.folds": len(by_fold)}
                write_run(root / cell / f"{fold}-{seed}", record(cell, seed, score, changes=changes))
    return root


# --- numbers ---


def test_rows_hold_the_numbers_best_first(runs):
    section = compare(runs).sections[0]
    assert [row.label for row in section.rows] == ["gru", "lstm", "rnn"]
    gru = section.rows[0]
    half = stats.t.ppf(0.975, 3) * np.std(GRU, ddof=1) / 2
    assert gru.estimate.n == 4
    assert gru.estimate.mean == pytest.approx(0.105, rel=1e-12)
    assert (gru.estimate.low, gru.estimate.high) == pytest.approx((0.105 - half, 0.105 + half), rel=1e-12)
    assert gru.costs == {
        "parameters": 13_056,
        "state_size": 64,
        "seconds_per_step": 0.0031,
        "seconds": 12.5,
        "peak_memory_mb": 512.4,
    }
    assert section.baselines == {"naive": 0.5, "seasonal_naive": 0.3}


def test_differences_are_paired_by_seed_and_adjusted_over_all_pairs(runs):
    section = compare(runs).sections[0]
    lstm, rnn = section.differences
    assert (section.reference, lstm.label, rnn.label) == ("gru", "lstm", "rnn")
    p = [stats.ttest_rel(a, b).pvalue for a, b in ((LSTM, GRU), (RNN, GRU), (RNN, LSTM))]
    assert lstm.test.t_p == pytest.approx(p[0], rel=1e-9)
    assert rnn.test.t_p == pytest.approx(p[1], rel=1e-9)
    assert rnn.t_holm == pytest.approx(3 * min(p[1:]) if p[1] == min(p) else 2 * p[1], rel=1e-9)
    assert lstm.t_holm == pytest.approx(p[0], rel=1e-9)  # the largest of the three
    assert (lstm.verdict, rnn.verdict) == ("open", "worse")
    assert lstm.test.flip_least == 0.125
    assert lstm.reason == "not enough seeds to tell apart"
    assert lstm.needed == f"about {statistics.replicates_needed(lstm.test.effect, 0.05 / 3)}"


def test_a_named_baseline_makes_a_smaller_family(runs):
    section = compare(runs, baseline="rnn").sections[0]
    assert section.reference == "rnn"
    assert [d.verdict for d in section.differences] == ["better", "better"]
    p = sorted(d.test.t_p for d in section.differences)
    assert sorted(d.t_holm for d in section.differences) == pytest.approx([2 * p[0], max(2 * p[0], p[1])])


def test_a_trivial_predictor_may_be_the_baseline(runs):
    section = compare(runs, baseline="seasonal_naive").sections[0]
    gru = section.differences[0]
    assert gru.test.t_p == pytest.approx(stats.ttest_1samp(GRU, 0.3).pvalue, rel=1e-9)
    assert gru.verdict == "better"
    assert section.differences[2].verdict == "open"


def test_only_shared_seeds_are_paired(tmp_path):
    root = write_runs(tmp_path, {"gru": [0.1, 0.2, 0.3], "lstm": [0.2, 0.25]})
    section = compare(root).sections[0]
    assert section.rows[0].estimate.n == 3
    assert section.differences[0].test.difference.n == 2
    assert section.differences[0].test.difference.mean == pytest.approx(0.075)
    assert "don't have the same seed" in section.notes[0]


def test_higher_is_better_turns_order_and_verdict(tmp_path):
    root = write_runs(tmp_path, {"gru": [0.8, 0.81, 0.82], "lstm": [0.7, 0.72, 0.71]}, data="mr", metric="accuracy")
    section = compare(root).sections[0]
    assert [row.label for row in section.rows] == ["gru", "lstm"]
    assert section.differences[0].verdict == "worse"


def test_seeds_are_averaged_within_folds_and_folds_overlap(tmp_path):
    rng = np.random.default_rng(0)
    gru, lstm = rng.normal(0.1, 0.01, (2, 5, 2))
    comparison = compare(folds(tmp_path, {"gru": gru.tolist(), "lstm": lstm.tolist()}), over=("seed", "data.fold"))
    section = comparison.sections[0]
    row = next(row for row in section.rows if row.label == "gru")
    means = gru.mean(axis=1)
    half = stats.t.ppf(0.975, 4) * means.std(ddof=1) * math.sqrt(1 / 5 + 1 / 4)
    assert row.estimate.n == 5
    assert (row.estimate.low, row.estimate.high) == pytest.approx((means.mean() - half, means.mean() + half), rel=1e-9)
    d = (lstm - gru).mean(axis=1)
    t = abs(d.mean()) / (d.std(ddof=1) * math.sqrt(1 / 5 + 1 / 4))
    assert section.differences[0].test.t_p == pytest.approx(2 * stats.t.sf(t, 4), rel=1e-9)
    assert "5 folds" in str(comparison)


def test_bootstrap_by_option_says_what_it_is_worth(runs):
    t, bootstrap = compare(runs), compare(runs, interval="bootstrap")
    widths = [c.sections[0].rows[0].estimate.high - c.sections[0].rows[0].estimate.low for c in (t, bootstrap)]
    assert 0 < widths[1] < widths[0]
    assert "too narrow" in bootstrap.notes[0]


def test_identical_scores_are_called_equal(tmp_path):
    root = write_runs(tmp_path, {"gru": GRU, "lstm": GRU})
    (difference,) = compare(root).sections[0].differences
    assert (difference.verdict, difference.reason) == ("open", "equal")


# --- groups ---


def test_settings_that_differ_name_the_groups(tmp_path):
    for size in (32, 64):
        write_runs(tmp_path / str(size), {"gru": [0.1, 0.2]}, changes={"model.hidden_size": size})
    write_runs(tmp_path / "lstm", {"lstm": [0.1, 0.2]})
    labels = {row.label for row in compare(tmp_path).sections[0].rows}
    assert labels == {"gru, hidden_size=32", "gru, hidden_size=64", "lstm, hidden_size=64"}


def test_only_as_many_settings_as_tell_groups_apart(tmp_path):
    for layers, lr in ((1, 0.001), (2, 0.01)):
        changes = {"model.num_layers": layers, "optimizer.lr": lr, "model.dropout": layers / 10}
        write_runs(tmp_path / str(layers), {"gru": [0.1]}, changes=changes)
    labels = {row.label for row in compare(tmp_path).sections[0].rows}
    assert len(labels) == 2
    assert all(label.count("=") == 1 for label in labels)


def test_by_names_the_groups(tmp_path):
    for layers in (1, 2):
        write_runs(tmp_path / str(layers), {"gru": [0.1, 0.2], "rnn": [0.3]}, changes={"model.num_layers": layers})
    rows = compare(tmp_path, by=["cell", "model.num_layers"]).sections[0].rows
    assert {row.label for row in rows} == {
        "gru, num_layers=1",
        "gru, num_layers=2",
        "rnn, num_layers=1",
        "rnn, num_layers=2",
    }


def test_by_does_not_average_over_other_settings(tmp_path):
    write_runs(tmp_path / "a", {"gru": [0.1, 0.2]}, changes={"model.hidden_size": 32})
    write_run(tmp_path / "b", record("gru", 7, 0.3, changes={"model.hidden_size": 64}))
    with pytest.raises(
        RequestError, match=r"mixes runs that differ in model.hidden_size .*: 32, 64.*Add model.hidden_size"
    ):
        compare(tmp_path, by=["cell"])


def test_what_cannot_change_a_result_does_not_separate(tmp_path):
    write_run(tmp_path / "a", record("gru", 0, 0.1))
    changes = {
        "trainer.enable_progress_bar": False,
        "data.num_workers": 2,
        "output_dir": "elsewhere",
        "data.path": "/x",
    }
    write_run(tmp_path / "b", record("gru", 1, 0.2, changes=changes))
    (row,) = compare(tmp_path).sections[0].rows
    assert row.estimate.n == 2


def test_by_data_makes_a_part_each_and_ranks(tmp_path):
    write_runs(tmp_path / "a", {"gru": GRU, "lstm": LSTM, "rnn": RNN})
    write_runs(
        tmp_path / "b", {"gru": [0.8, 0.82], "lstm": [0.7, 0.71], "rnn": [0.9, 0.91]}, data="mr", metric="accuracy"
    )
    comparison = compare(tmp_path, by=["data"])
    assert [(s.name, s.metric.name) for s in comparison.sections] == [("co2", "test/mse"), ("mr", "test/accuracy")]
    assert dict(zip(comparison.ranks.labels, comparison.ranks.ranks, strict=True)) == {
        "gru": 1.5,
        "rnn": 2.0,
        "lstm": 2.5,
    }
    assert comparison.ranks.friedman_p == pytest.approx(stats.chi2.sf(1.0, 2))
    assert compare(tmp_path, by=["data", "cell"]).ranks == comparison.ranks


def test_a_row_that_some_data_set_lacks_has_no_rank(tmp_path):
    write_runs(tmp_path / "a", {"gru": GRU, "lstm": LSTM, "rnn": RNN})
    write_runs(tmp_path / "b", {"gru": GRU, "lstm": LSTM}, data="sunspots")
    comparison = compare(tmp_path, by=["data"])
    assert comparison.ranks.labels == ("gru", "lstm")
    assert comparison.ranks.friedman_p is None
    assert "Without a rank, for want of a score in every data set: rnn." in str(comparison)


def test_horizons_of_one_data_set_are_parts_too(tmp_path):
    for horizon in (2, 4):
        write_runs(tmp_path / str(horizon), {"gru": [0.1, 0.2]}, changes={"data.horizon": horizon})
    names = [section.name for section in compare(tmp_path, by=["data", "data.horizon"]).sections]
    assert names == ["co2, horizon=2", "co2, horizon=4"]


# --- refused, left out, noted ---


def test_runs_that_did_not_complete_are_left_out_and_counted(runs):
    write_run(runs / "x" / "0", record("elman", 0, None, status="failed", error="RunError: the loss is nan\nmore"))
    write_run(runs / "x" / "1", record("elman", 1, None, status="running"))
    comparison = compare(runs)
    assert len(comparison.left_out) == 2
    text = str(comparison)
    assert "Left out: 1 failed, 1 running." in text
    assert "failed: RunError: the loss is nan\n" in text
    with pytest.raises(RequestError, match=r"None of the runs has completed: 1 failed, 1 running.*the loss is nan"):
        compare(runs / "x")


def test_a_score_that_is_not_finite_is_declared_and_never_dropped(tmp_path):
    root = write_runs(tmp_path, {"gru": [0.1, None, 0.1], "lstm": [0.2, 0.21, 0.22], "rnn": [0.3, 0.31, 0.3]})
    section = compare(root).sections[0]
    assert [row.label for row in section.rows] == ["lstm", "rnn", "gru"]
    assert math.isnan(section.rows[2].estimate.mean)
    assert section.rows[2].estimate.n == 3
    assert "1 of 3 scores are not finite (seed-1)" in section.notes[0]
    assert section.differences[1].reason == "a score is not finite"
    assert section.reference == "lstm"


def test_one_run_is_shown_without_an_interval(tmp_path):
    text = str(compare(write_run(tmp_path / "seed-0", record("gru", 0, 0.1))))
    assert "One run: no interval." in text
    assert re.search(r"gru +1 +0.1000 +- +-", text)


def test_a_seed_counts_once(runs, tmp_path):
    write_run(tmp_path / "again", record("gru", 2, 0.2))
    with pytest.raises(RequestError, match=r"The group gru has two runs with seed=2: .*again"):
        compare([runs, tmp_path / "again"])


def test_the_same_run_named_twice_is_one_run(runs):
    assert compare([runs, runs / "gru-co2", *find_runs(runs)]).sections[0].rows[0].estimate.n == 4


def test_other_data_is_refused_unless_grouped_by_it(runs, tmp_path):
    write_runs(tmp_path / "b", {"gru": [0.1]}, data="sunspots")
    with pytest.raises(RequestError, match=r"different data \(co2, sunspots\).*--by data"):
        compare([runs, tmp_path / "b"])
    write_run(tmp_path / "c", record("gru", 9, 0.1, data_fingerprint="changed"))
    with pytest.raises(RequestError, match="data co2 changed between the runs"):
        compare([runs, tmp_path / "c"], by=["data"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.split_seed": 1}, "data.split_seed is 0 or 1. Use --by data.split_seed"),
        ({"data.horizon": 4}, "data.horizon is 2 or 4. Use --by data.horizon"),
        ({"data.fold": 1}, "Use --over seed,data.fold"),
    ],
)
def test_another_split_is_refused(runs, tmp_path, changes, message):
    write_run(tmp_path / "c", record("gru", 9, 0.1, changes=changes))
    with pytest.raises(RequestError, match=re.escape(message)):
        compare([runs, tmp_path / "c"])


def test_another_metric_definition_is_refused(runs, tmp_path):
    info = {"mse": {"higher_is_better": False, "definition": "mean squared error times two"}}
    write_run(tmp_path / "c", record("gru", 9, 0.1, metric_info=info))
    with pytest.raises(RequestError, match="test/mse has different definitions"):
        compare([runs, tmp_path / "c"])


def test_an_unfitted_predictor_gives_other_examples_away(runs, tmp_path):
    write_run(tmp_path / "c", record("gru", 9, 0.1, baselines={"naive/test/mse": 0.6}))
    with pytest.raises(RequestError, match=r"naive scores a test/mse of 0.5 in one and 0.6 in another"):
        compare([runs, tmp_path / "c"])


def test_mixed_code_needs_the_option(runs, tmp_path):
    environment = {"versions": {"seqlab": "0.2.0", "torch": "2.12.0"}, "hardware": {"processor": "B", "cores": 2}}
    write_run(tmp_path / "c", record("gru", 9, 0.1, environment=environment))
    with pytest.raises(RequestError, match=r"12 by seqlab 0.1.0 at 0123456789; 1 by seqlab 0.2.0.*--allow-mixed-code"):
        compare([runs, tmp_path / "c"])
    notes = compare([runs, tmp_path / "c"], allow_mixed_code=True).notes
    assert [note.split(" made")[0] for note in notes[:1]] == ["Different code"]
    assert "different versions of torch" in notes[1]
    assert "different hardware" in notes[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "test/mze"}, "No run of co2 has the metric 'test/mze'. Did you mean 'test/mse'?"),
        ({"metric": "test/mse", "split": "val"}, "contradict each other"),
        ({"split": "tst"}, "--split tst is unknown. Did you mean 'test'?"),
        ({"by": ["model.hiden_size"]}, "--by: no run has a key 'model.hiden_size'. Did you mean 'model.hidden_size'?"),
        ({"by": ["cel"]}, "--by: no run has a key 'cel'. Did you mean 'cell'?"),
        ({"over": ["sed"]}, "--over: no run has a key 'sed'. Did you mean 'seed'?"),
        ({"over": []}, "--over needs at least one key"),
        ({"over": ["seed", "data.fold"]}, "--over: no run has a key 'data.fold'"),
        ({"by": ["seed"]}, "seed is named in --by and in --over"),
        ({"baseline": "lstn"}, "--baseline 'lstn' is no row of the table. Did you mean 'lstm'?"),
        ({"interval": "bootstrp"}, "--interval bootstrp is unknown. Did you mean 'bootstrap'?"),
        ({"level": 95}, "must lie between 0 and 1; got 95"),
    ],
)
def test_wrong_requests_say_what_would_be_right(runs, options, message):
    with pytest.raises(RequestError, match=re.escape(message)):
        compare(runs, **options)


def test_runs_with_different_monitors_need_a_metric(runs, tmp_path):
    write_run(tmp_path / "c", record("gru", 9, 0.1, monitor="val/loss"))
    with pytest.raises(RequestError, match=r"monitored val/loss and val/mse; say which.*--metric"):
        compare([runs, tmp_path / "c"])


def test_a_metric_that_one_run_lacks_is_refused(runs, tmp_path):
    write_run(tmp_path / "c", record("gru", 9, 0.1, metrics={"test/loss": 0.1}))
    with pytest.raises(RequestError, match=r"c has no test/mse; the others have. It offers: test/loss"):
        compare([runs, tmp_path / "c"], metric="mse")


def test_no_runs_and_corrupt_runs(tmp_path):
    with pytest.raises(RequestError, match="found no run in"):
        compare(tmp_path)
    with pytest.raises(RequestError, match="does not exist"):
        compare(tmp_path / "nowhere")
    write_run(tmp_path / "a", record())
    (tmp_path / "a" / "run.json").write_text("{")
    with pytest.raises(RunError, match="corrupt"):
        compare(tmp_path)


def test_validation_scores_are_marked_as_flattering(runs):
    section = compare(runs, split="val").sections[0]
    assert section.metric.name == "val/mse"
    assert section.rows[0].estimate.mean == pytest.approx(0.095)
    assert "flatter" in section.notes[0]


# --- test examples ---


def test_examples_are_resampled_apart_from_seeds(tmp_path):
    rng = np.random.default_rng(0)
    target = rng.normal(size=(300, 2, 1))
    for cell, spread in (("gru", 0.3), ("lstm", 0.5)):
        for seed in range(2):
            prediction = target + spread * rng.normal(size=target.shape)
            score = float(((prediction - target) ** 2).mean())
            write_predictions(write_run(tmp_path / cell / str(seed), record(cell, seed, score)), prediction, target)
    section = compare(tmp_path, examples=True).sections[0]
    (found,) = section.examples
    assert (found.examples, found.seeds, found.block) == (300, 2, 7)  # the cube root of 300 exceeds the horizon of 2
    assert found.mean == pytest.approx(section.differences[0].test.difference.mean, rel=1e-9)
    assert 0 < found.low < found.mean < found.high
    assert "over the test examples" in str(compare(tmp_path, examples=True))


def test_mcnemar_compares_the_runs_of_each_seed(tmp_path):
    target = np.repeat([0, 1], 20)
    logits = np.eye(2)[target]
    wrong = logits.copy()
    wrong[:10] = wrong[:10, ::-1]
    for cell, prediction, score in (("gru", logits, 1.0), ("lstm", wrong, 0.75)):
        run = record(cell, 0, score, data="mr", metric="accuracy", changes={"data.horizon": None})
        write_predictions(write_run(tmp_path / cell, run), prediction, target)
    (found,) = compare(tmp_path, examples=True).sections[0].examples
    assert found.mcnemar == pytest.approx((2 * 0.5**10,))
    assert (found.mean, found.block) == (-0.25, 1)


@pytest.mark.parametrize("off", [0.0, 0.1])
def test_original_units_are_a_constant_multiple_or_nothing(tmp_path, off):
    rng = np.random.default_rng(0)
    target = rng.normal(size=(50, 2, 1))
    for number, cell in enumerate(("gru", "lstm")):
        for seed in range(2):
            prediction = target + rng.normal(size=target.shape)
            score = 9 * float(((prediction - target) ** 2).mean()) * (1 + off * (seed + number))
            run = record(cell, seed, score, metric="mse_original", monitor="val/mse_original")
            write_predictions(write_run(tmp_path / cell / str(seed), run), prediction, target)
    section = compare(tmp_path, examples=True).sections[0]
    (found,) = section.examples
    if off:
        assert found.reason == "the saved predictions do not give the mse_original that is recorded"
    else:
        assert found.mean == pytest.approx(section.differences[0].test.difference.mean, rel=1e-9)


def test_without_predictions_the_reason_is_given(runs):
    assert {d.reason for d in compare(runs, examples=True).sections[0].examples} == {"seed-0 saved no predictions"}


# --- formats and the command ---


def test_formats_hold_full_precision(runs, capsys):
    assert main(["compare", str(runs), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["group"] for row in rows] == ["gru", "lstm", "rnn", "naive", "seasonal_naive"]
    assert float(rows[1]["mean"]) == np.mean(LSTM)
    assert rows[3]["n"] == ""
    assert main(["compare", str(runs), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [s["score"] for s in found["data_sets"][0]["groups"][0]["scores"]] == GRU
    assert found["data_sets"][0]["differences"][0]["p_signs_least"] == 0.125
    assert main(["compare", str(runs), "--format", "csv", "--per-seed"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["score"]) for row in rows if row["group"] == "rnn"] == RNN


def test_frames_for_notebooks(runs):
    comparison = compare(find_runs(runs))
    frame = comparison.to_frame().set_index("group")
    assert frame.loc["gru", "mean"] == pytest.approx(0.105)
    assert frame.loc["rnn", "verdict"] == "worse"
    per_seed = comparison.to_frame(per_seed=True)
    assert per_seed.groupby("group")["score"].mean()["lstm"] == pytest.approx(0.12)
    assert list(per_seed[per_seed.group == "gru"].seed) == [0, 1, 2, 3]


def test_the_package_is_called_like_its_function(runs):
    """Importing a submodule binds the package to seqlab.compare; the call must work before and after."""
    code = (
        "import seqlab\n"
        f"before = str(seqlab.compare({str(runs)!r}))\n"
        "import importlib, sys\n"
        "seqlab.compare = sys.modules['seqlab.compare']\n"
        f"assert str(seqlab.compare({str(runs)!r})) == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_markdown_escapes_what_would_be_markup(tmp_path):
    text = compare(write_runs(tmp_path, {"a|b<script>": [0.1, 0.2], "gru": [0.3, 0.4]})).to_markdown()
    assert "a\\|b\\<script\\>" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows[:6]}) == 1


def test_the_table_answers_the_question(runs, capsys):
    assert main(["compare", str(runs), "--per-seed"]) == 0
    text = capsys.readouterr().out
    assert "On co2, gru has the best test/mse: 0.105 (95 %" in text
    assert "It is better than rnn (by 0.212, 67 %, p" in text
    assert re.search(r"There are not enough seeds to tell gru from lstm \(about \d+ needed\)\.", text)
    assert "The best trivial predictor, seasonal naive (0.300), is beaten." in text
    assert re.search(r"^ 2 +0.090 +0.100 +0.290$", text, re.MULTILINE)


def test_nothing_beats_the_trivial_predictor(tmp_path):
    assert "Nothing beats the trivial predictor seasonal naive (0.3000)" in str(
        compare(write_runs(tmp_path, {"gru": [0.4]}))
    )


def test_a_wrong_request_exits_with_2(runs, capsys):
    assert main(["compare", str(runs), "--metric", "test/mze"]) == 2
    assert capsys.readouterr().err == ("seqlab: No run of co2 has the metric 'test/mze'. Did you mean 'test/mse'?\n")
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(runs), "--format", "xml"])


@pytest.mark.process
def test_a_hundred_runs_are_compared_without_torch(tmp_path):
    rng = np.random.default_rng(0)
    diff = "+ a changed line\n" * 2_000
    root = write_runs(tmp_path, {f"cell{i}": rng.normal(0.1, 0.01, 5).tolist() for i in range(20)}, diff=diff)
    code = (
        "import sys; from seqlab.__main__ import main\n"
        f"code = main(['compare', {str(root)!r}])\n"
        "heavy = {'torch', 'lightning', 'hydra', 'pandas', 'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    before = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - before < 6  # 1.5 s on a quiet machine; this only catches a change of kind
