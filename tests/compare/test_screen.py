"""Tables on screens of several widths: nothing is cut, and what is left out is said."""

from __future__ import annotations

import pytest

from seqlab.compare import compare
from seqlab.compare.render import as_text
from seqlab.table import Table
from seqlab.table import as_text as table_text
from tests.fabricated_runs import write_runs

SCORES = {cell: [0.0031 + k / 1e4, 0.0032 + k / 2e4, 0.0037] for k, cell in enumerate(("gru", "lstm", "uncoupled_gru"))}


@pytest.fixture
def comparison(tmp_path):
    return compare(write_runs(tmp_path, SCORES))


def columns(line: str) -> list[str]:
    return [word for word in line.split("  ") if word]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_line_is_wider_than_the_screen_and_no_column_goes_unsaid(comparison, width):
    whole, shown = as_text(comparison).splitlines(), as_text(comparison, True, width).splitlines()
    assert max(map(len, shown)) <= width
    (headings,) = [line for line in whole if "parameters" in line]
    said = " ".join(line for line in shown if "seeds" in line or "Not shown" in line)
    assert [name for name in headings.split() if name not in said] == []
    for e in (row.estimate for row in comparison.sections[0].rows):
        assert any(f"{e.low:.5f} to {e.high:.5f}" in line for line in shown), "numbers stay whole"


def test_long_labels_wrap(tmp_path):
    for size in (32, 64):
        write_runs(tmp_path / str(size), SCORES, changes={"model.hidden_size": size})
    text = as_text(compare(tmp_path), width=80)
    assert max(map(len, text.splitlines())) <= 80
    starts = [line.split()[0] for line in text.splitlines() if line.startswith(" ")]
    assert {"uncoupled_gru,", "hidden_size=32"} <= set(starts)


def test_the_least_important_go_first(comparison):
    assert "Not shown at this width: MB, sd, state, ms/step.\n" in as_text(comparison, width=80)
    assert "Not shown" not in as_text(comparison, width=120)


def test_sentences_are_wrapped_between_words(comparison):
    words = " ".join(as_text(comparison).split("\n\n")[-1].split())
    for width in range(40, 80):
        lines = as_text(comparison, width=width).split("\n\n")[-1].splitlines()
        assert " ".join(" ".join(lines).split()) == words
        assert not any(line.startswith("%") for line in lines), "a number keeps its unit"


def test_long_cells_wrap_and_words_stay_whole():
    table = Table("", ["", "verdict"], [["gru", "not enough seeds to tell apart (about 105 needed)"]])
    lines = table_text(table, 30).splitlines()
    wrapped = [" ".join(line.split()) for line in lines[2:]]
    assert wrapped == ["gru not enough seeds to", "tell apart (about 105", "needed)"]


def test_many_single_scores_go_on_beneath():
    names = [f"cell_{k:02}" for k in range(20)]
    table = Table("scores", ["seed", *names], [["0", *(f"0.0{k:02}" for k in range(20))]], fold=True)
    text = table_text(table, 60)
    assert max(map(len, text.splitlines())) <= 60
    assert [word for word in text.split() if word.startswith("cell")] == names
    assert [word for word in text.split() if word.startswith("0.0")] == [f"0.0{k:02}" for k in range(20)]
    assert text.count("seed") == len([line for line in text.splitlines() if line.strip().startswith("0 ")])
