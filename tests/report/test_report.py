"""The page: its sections, its escaping, its drawings, and what a browser makes of it."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from seqlab.__main__ import main
from seqlab.compare import compare
from seqlab.compare.examples import saved
from seqlab.errors import RequestError, RunError
from seqlab.report import outputs, report
from seqlab.report.curves import curve_plot, read_curve
from seqlab.report.gradients import gate_table, gradient_plots, read_flows
from seqlab.report.outputs import confusion_plot, forecast_plot
from seqlab.report.plots import rank_plot, score_plot
from seqlab.runs import Run
from tests.fabricated_runs import record, write_curves, write_full_runs, write_predictions, write_run, write_runs

EVIL = "<script>alert('$x$ & --> ]]>')</script>"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Reads a page, checking that its elements nest; collects ids, headings and drawings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.drawings: list[dict[str, str]] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "svg":
            self.drawings.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        if "id" in dict(attrs):
            self.ids.append(dict(attrs)["id"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_full_runs(root / "co2", {"gru": 0.2, "rnn": 0.4})
    confusion = {"test": [[8, 2], [1, 9]]}
    mr = {"data": "mr", "metric": "accuracy", "confusion": confusion, "class_names": ["bad", "good"]}
    write_runs(root / "mr", {"gru": [0.8, 0.85, 0.82], "rnn": [0.7, 0.75, 0.72]}, **mr)
    report(root, by=["data"])
    return root


def test_every_section_is_there(full):
    text = (full / "report.html").read_text()
    page = Page(text)
    headings = " | ".join(page.headings)
    for heading in (
        "Which is best on co2 and mr, and by how much?",
        "test/mse on co2",
        "Differences to gru (best) on the same seeds",
        "The same differences to gru over the test examples",
        "Scores",
        "Learning curves",
        "Training loss",
        "Forecasts against the truth",
        "Confusion matrix",
        "Score against seconds",
        "Score against parameters",
        "Gradient flow before training",
        "Gradient flow after 14 epochs",
        "Gates: shares of their values below 0.1 (closed) and above 0.9 (open)",
        "Over all data sets",
        "Ranks",
        "What differs in the settings",
        "Failures and notes",
        "How to repeat it",
    ):
        assert heading in headings
    assert "On co2, gru has the best test/mse" in text
    assert "RunError: the loss is nan at step 3" in text
    assert "seqlab train data=co2 cell=gru seed=2" in text
    assert "seqlab 0.1.0 at 0123456789" in text


def test_the_page_stands_alone_and_its_ids_are_its_own(full):
    text = (full / "report.html").read_text()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    outside = {url for url in re.findall(r"https?://[^\"'\s)]+", text) if not url.startswith("http://www.w3.org/")}
    assert outside == set()
    references = set(re.findall(r"(?:xlink:href=\"|url\()#([^\")]+)", text))
    assert references
    assert references <= set(page.ids)


def test_every_drawing_says_what_it_shows_and_takes_the_pages_colours(full):
    text = (full / "report.html").read_text()
    drawings = Page(text).drawings
    assert len(drawings) >= 11
    assert all(d["role"] == "img" and len(d["aria-label"]) > 40 for d in drawings)
    assert len({d["aria-label"] for d in drawings}) == len(drawings)
    svgs = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", "".join(svgs))
    variables = set(re.findall(r"var\((--[\w-]+)\)", text))
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    for palette in (light, dark):
        assert variables <= set(re.findall(r"(--[\w-]+):", palette))


def test_names_are_escaped_everywhere(tmp_path):
    runs = write_runs(tmp_path / "runs", {"gru": [0.1, 0.2]})
    for seed in range(2):
        odd = record("lstm", seed, 0.3, command=EVIL, changes={"model.dropout": EVIL})
        odd["choices"]["cell"] = EVIL
        odd["metric_info"] = {"mse": {"higher_is_better": False, "definition": EVIL}}
        write_curves(write_run(runs / "odd" / str(seed), odd), [0.5, 0.4, 0.3])
    for file in runs.glob("gru-*/*/run.json"):
        file.write_text(file.read_text().replace("mean squared error in scaled space", EVIL))
    write_run(runs / "failed", record("x", 0, None, status="failed", error=EVIL))
    text = report(runs).read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_page_of_ours_is_replaced_and_no_other_file_is(tmp_path, capsys):
    runs = write_runs(tmp_path / "runs", {"gru": [0.1, 0.2]})
    assert main(["report", str(runs)]) == 0
    assert capsys.readouterr().out == f"Report: {runs / 'report.html'}\n"
    first = (runs / "report.html").read_text()
    assert main(["report", str(runs)]) == 0
    assert (runs / "report.html").read_text() == first
    other = tmp_path / "index.html"
    other.write_text("mine")
    assert main(["report", str(runs), "--output", str(other)]) == 2
    assert "is no report of seqlab's" in capsys.readouterr().err
    assert other.read_text() == "mine"
    with pytest.raises(RequestError, match="a folder that exists"):
        report(runs, tmp_path / "nowhere" / "report.html")


def test_a_full_disk_leaves_the_old_page(tmp_path, monkeypatch):
    runs = write_runs(tmp_path / "runs", {"gru": [0.1, 0.2]})
    before = report(runs).read_text()

    def full_disk(file: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqlab.report.page.write_text", full_disk)
    with pytest.raises(RunError, match="No space left on device"):
        report(runs)
    assert (runs / "report.html").read_text() == before


def test_one_run_makes_a_page_too(tmp_path):
    folder = write_run(tmp_path / "seed-0", record("gru", 0, 0.1))
    text = report(folder).read_text()
    assert "How well does gru do on co2 by test/mse?" in text
    assert "One run: no interval." in text
    assert "Every run completed." in text


def test_scores_that_are_not_finite_make_a_page_too(tmp_path):
    text = report(write_runs(tmp_path, {"gru": [None, None]})).read_text()
    assert "On co2 no row has finite scores of test/mse." in text


def test_unknown_options_are_the_houses_errors(tmp_path, capsys):
    runs = write_runs(tmp_path, {"gru": [0.1, 0.2]})
    assert main(["report", str(runs), "--baseline", "grru"]) == 2
    assert "Did you mean 'gru'?" in capsys.readouterr().err


# --- drawings ---


def test_the_score_plot_tells_its_numbers(full):
    comparison = compare(full / "mr")
    plot = score_plot(comparison.sections[0], comparison, "p")
    assert plot.alt.startswith("test/accuracy on mr: gru 0.823 (")
    assert plot.caption.endswith("Beyond the axis: majority (0.400).")
    assert plot.svg.count("majority") == 0


def test_curves_are_read_by_epoch_whatever_their_rows_lack(tmp_path):
    folder = write_run(tmp_path / "run", record())
    rows = ["epoch,step,val/mse,train/loss", "0,5,0.5,", "0,9,0.4,0.6", "1,19,nan,0.5", "2,29,0.2,0.4"]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    assert read_curve(Run.load(folder), "val/mse") == {0: 0.4, 2: 0.2}
    assert read_curve(Run.load(folder), "val/mae") == {}


def test_learning_curves_average_over_runs(tmp_path):
    for seed, scores in enumerate(([0.4, 0.2], [0.6, 0.3])):
        write_curves(write_run(tmp_path / str(seed), record("gru", seed, 0.2)), scores)
    plot = curve_plot(compare(tmp_path).sections[0], "val/mse", "Learning curves", "p")
    assert plot.alt == "val/mse by epoch: gru from 0.5 to 0.25 after 2 epochs."
    assert curve_plot(compare(tmp_path).sections[0], "val/mae", "Learning curves", "p") is None


def test_forecasts_need_real_targets(full):
    section = compare(full / "co2").sections[0]
    assert forecast_plot(section, "p").alt.startswith(
        "Forecasts of 4 steps against the truth on co2: gru misses by 0.1"
    )
    assert forecast_plot(compare(full / "mr").sections[0], "p") is None


def forecasts(folder: Path, scaler: object, **notes: object) -> Run:
    """A run that is half a scaled unit too high in each of 60 daily windows of 4 steps."""
    folder = write_run(
        folder, record("gru", 0, 0.25, data_notes={"windows": {"test": 60}, **notes}, target_names=["ppm"])
    )
    target = (np.arange(60)[:, None] + np.arange(4.0))[..., None]
    write_predictions(folder, target + 0.5, target)
    if scaler is not None:
        (folder / "scaler.json").write_text(json.dumps(scaler))
    return Run.load(folder)


ONE = {"scalers": [{"center": [300.0, 1.0], "scale": [10.0, 2.0]}]}


@pytest.mark.parametrize(
    ("scaler", "label", "miss"),
    [(ONE, "ppm", "5"), (None, "ppm", "0.5"), ({"scalers": 2 * ONE["scalers"]}, "ppm, scaled by series", "0.5")],
)
def test_forecasts_are_in_the_datas_own_units_where_the_scaler_is_known(tmp_path, scaler, label, miss):
    forecasts(tmp_path / "0", scaler)
    plot = forecast_plot(compare(tmp_path).sections[0], "p")
    assert plot.alt.endswith(f"gru misses by {miss} on average.")
    assert f">{label}</text>" in plot.svg


def test_forecasts_stand_at_their_dates(tmp_path):
    own = saved(forecasts(tmp_path / "0", ONE, test_dates=["2000-01-01T00:00:00", "2000-03-03T00:00:00"]))
    times = outputs._times(own, np.array([0, 4, 56]))
    rows = [0, 1, 2, 3, 4, 5, 6, 7, 56, 57, 58, 59]
    assert times.tolist() == [datetime(2000, 1, 1) + timedelta(days=row) for row in rows]
    assert "steps of the last" not in forecast_plot(compare(tmp_path).sections[0], "p").svg
    assert times[-1] < np.datetime64("2000-03-03")


@pytest.mark.parametrize("notes", [{}, {"test_dates": ["2000-01-01", "2000-03-03"], "irregular_steps": 3}])
def test_forecasts_are_counted_where_dates_are_unknown_or_uneven(tmp_path, notes):
    own = saved(forecasts(tmp_path / "0", ONE, **notes))
    assert outputs._times(own, np.array([0, 4])).tolist() == list(range(8))
    assert "steps of the last" in forecast_plot(compare(tmp_path).sections[0], "p").svg


def test_a_scaler_that_is_none_is_named(tmp_path):
    forecasts(tmp_path / "0", {"scalers": [{}]})
    with pytest.raises(RunError, match=r"scaler.json is corrupt \(KeyError\('center'\)\)"):
        forecast_plot(compare(tmp_path).sections[0], "p")


def test_trivial_predictors_that_lie_close_share_a_label(tmp_path):
    write_runs(tmp_path, {"gru": [0.1, 0.2], "rnn": [0.3, 0.4]}, baselines={"a/test/mse": 0.5, "b/test/mse": 0.501})
    comparison = compare(tmp_path)
    assert ">a, b</text>" in score_plot(comparison.sections[0], comparison, "p").svg


def test_confusion_is_summed_over_runs(full):
    plot = confusion_plot(compare(full / "mr").sections[0], "p")
    assert plot.alt.endswith("share of each class that is found: bad 80 %; good 90 %.")
    assert all(f">{count}</text>" in plot.svg for count in (24, 6, 3, 27))
    assert confusion_plot(compare(full / "co2").sections[0], "p") is None


def test_ranks_name_what_is_not_told_apart(full):
    comparison = compare(full, by=["data"])
    plot = rank_plot(comparison.ranks)
    assert plot.alt == "Average ranks over 2 data sets: gru 1.00, rnn 2.00. Critical difference 1.39."


def test_gradient_flow_names_what_reaches_the_first_step(full, tmp_path):
    start, end = gradient_plots(read_flows(compare(full / "co2").sections[0]), "p")
    assert "gru: 0.000101 of the last step's norm reaches the first" in start.alt  # exp(-0.2 * 23 * 2)
    assert "gru: 0.0101 of the last step's norm reaches the first" in end.alt
    folder = write_run(tmp_path / "0", record())
    (folder / "gradient_flow.json").write_text('{"epochs": [0], "layers": [], "gradient_norm": [[1.0]]}')
    with pytest.raises(RunError, match=r"gradient_flow.json is corrupt \(gradient_norm has the shape \(1, 1\)\)"):
        report(tmp_path)


def flows(folder: Path, **changes):
    """The flow that a report reads of one run, all of whose table is in ``changes`` or made up."""
    table = {
        "epochs": [0, 3],
        "layers": ["layer 1", "layer 1, backward"],
        "gradient_norm": [[[1e-60, None, 0.0, 2.0], [1.0] * 4], [[8.0, 4.0, 2.0, 1.0], [1.0] * 4]],
        "memory_norm": [[[0.5, 1.0, 2.0, 4.0], None], [[1.0] * 4, None]],
        "gates": [[{"f": [0.0, 0.25]}, {}], [{"f": [0.01, None]}, {}]],
    }
    (write_run(folder / "0", record("lstm")) / "gradient_flow.json").write_text(json.dumps({**table, **changes}))
    return read_flows(compare(folder).sections[0])


def test_gradient_flow_reads_the_forward_direction_and_what_was_not_finite(tmp_path):
    found = flows(tmp_path)
    start, end = gradient_plots(found, "p")
    assert "lstm: 5.00e-61 of the last step's norm reaches the first (of c's 0.125)." in start.alt
    assert start.caption.endswith("What is below 1e-40 has left the axis.")
    assert "lstm: 8 of the last step's norm reaches the first (of c's 1)." in end.alt
    assert (start.title, end.title) == ("Gradient flow before training", "Gradient flow after 3 epochs")
    assert gate_table(found).columns[2:] == ["closed, epoch 0", "open, epoch 0", "closed, epoch 3", "open, epoch 3"]
    assert gate_table(found).rows == [["lstm", "f", "0.0 %", "25.0 %", "1.0 %", "-"]]


def test_cells_without_gates_have_no_table(tmp_path):
    assert gate_table(flows(tmp_path, gates=[[{}, {}], [{}, {}]])) is None


def test_figures_are_files_that_stand_alone(tmp_path, capsys):
    flows(tmp_path)
    page, folder = tmp_path / "report.html", str(tmp_path)
    assert main(["report", folder, "--figures", folder]) == 0
    drawings = sorted(tmp_path.glob("*.svg"))
    assert "co2-gradient-flow-before-training.svg" in [file.name for file in drawings]
    assert len(drawings) == len(Page(page.read_text()).drawings)
    for file in drawings:
        assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in file.read_text()
    assert main(["report", folder, "--figures", str(tmp_path / "none")]) == 2
    assert "--figures expects a folder that exists" in capsys.readouterr().err


# --- a browser ---


CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_opens_it_without_an_error(full, tmp_path):
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    arguments += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=390,2000"]
    page = (full / "report.html").as_uri()
    opened = subprocess.run(
        [CHROMIUM, *arguments, "--dump-dom", page], capture_output=True, text=True, timeout=60, check=True
    )
    complaints = [line for line in opened.stderr.splitlines() if "CONSOLE" in line or "Content Security" in line]
    assert complaints == []
    found = Page(opened.stdout)
    assert {"data0", "data1", "ranks", "settings", "failures", "repeat"} <= set(found.ids)
    assert len(found.drawings) == len(Page((full / "report.html").read_text()).drawings)
