"""Docstrings of the standard library: where they come from, what is taken out, what the trivial predictors score."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from seqlab.data import SPLITS, Split
from seqlab.data.stdlib_docs import AREAS, StdlibDocs
from seqlab.errors import RequestError

AREA_NAMES = list(AREAS)


@pytest.fixture(scope="module")
def data() -> StdlibDocs:
    found = StdlibDocs(cache=False)
    found.setup()
    return found


def labels_of(data: StdlibDocs, split: Split) -> list[int]:
    found = data.examples(split).labels
    assert found is not None
    return found.tolist()


def test_every_area_has_texts_in_every_split(data: StdlibDocs) -> None:
    assert data.spec.class_names == tuple(AREAS)
    assert len(AREAS) == 8
    for split in SPLITS:
        assert set(labels_of(data, split)) == set(range(8))
    assert sum(len(data.examples(split)) for split in SPLITS) > 4000


def test_no_text_is_in_two_splits(data: StdlibDocs) -> None:
    parts = [list(data.texts(split)) for split in SPLITS]
    assert len({text for part in parts for text in part}) == sum(map(len, parts)) - data.notes().get(
        "contradictions/train", 0
    )


def test_texts_are_folded_and_names_that_tell_are_gone(data: StdlibDocs) -> None:
    texts = [text for split in SPLITS for text in data.texts(split)]
    assert all(text == " ".join(text.split()) for text in texts)
    assert not any(">>>" in text for text in texts)
    words = {word.lower() for text in texts for word in re.findall(r"\w+", text)}
    assert not words & {"asyncio", "tkinter", "smtplib", "tarfile", "logging", "urllib"}
    assert {"the", "and", "is", "return", "list", "time", "name", "read"} <= words


def test_trivial_scores_are_near_those_of_the_docstring(data: StdlibDocs) -> None:
    documented = re.search(
        r"majority ([\d.]+) %, naive Bayes[^%]*?([\d.]+) %", " ".join((StdlibDocs.__doc__ or "").split())
    )
    assert documented
    examples = data.examples("val")
    batch = examples.__getitems__(range(len(examples)))
    assert batch.y is not None
    for number, (_, predict) in enumerate(data.baselines("val").items(), 1):
        score = 100 * float((predict(batch).argmax(1) == batch.y).float().mean())
        # Another Python version has other docstrings: about 800 texts, a deviation of 1.6 points.
        assert score == pytest.approx(float(documented[number]), abs=5)


def test_the_docstrings_examples_are_real(data: StdlibDocs) -> None:
    examples = re.findall(r'"(.*?)" +-> (.*)', StdlibDocs.__doc__ or "")
    assert len(examples) == 2
    labelled = {
        (text, AREA_NAMES[number])
        for split in SPLITS
        for text, number in zip(data.texts(split), labels_of(data, split), strict=True)
    }
    assert set(examples) <= labelled


def test_the_fingerprint_needs_no_parsing_and_follows_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = {"ast.py": '"""Trees of source code, and how one walks them."""', "json/__init__.py": "broken ("}
    for name, content in library.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    first = StdlibDocs().fingerprint()
    assert StdlibDocs().fingerprint() == first
    assert StdlibDocs(min_words=9).fingerprint() != first
    (tmp_path / "ast.py").write_text('"""Other."""')
    assert StdlibDocs().fingerprint() != first


def test_modules_are_parsed_and_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = '''"""A module that ends the process of whoever imports it."""\nraise SystemExit("imported")'''
    for name in ("ast.py", "json.py", "heapq.py"):
        (tmp_path / name).write_text(source)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    corpus = StdlibDocs().corpus()
    assert list(corpus.texts["train"]) == ["A module that ends the process of whoever imports it."] * 3
    assert [AREA_NAMES[i] for i in corpus.labels["train"]] == ["text", "data structures", "development tools"]


def test_a_python_without_sources_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(RequestError, match="keeps no source"):
        StdlibDocs().fingerprint()


def test_areas_name_modules_of_the_library_and_none_twice() -> None:
    modules = [module for names in AREAS.values() for module in names.split()]
    assert len(modules) == len(set(modules))
    assert set(modules) - {"_pydatetime"} <= sys.stdlib_module_names  # that one is datetime's source from 3.12 on
