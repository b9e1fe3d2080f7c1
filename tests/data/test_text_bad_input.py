"""What a person may hand over by mistake, and what each mistake is told."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seqlab.data.text import TextData
from seqlab.errors import RequestError


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(RequestError) as caught:
        TextData(str(path), cache=False, **options).setup()
    return str(caught.value)


def table(path: Path, text: list[Any], label: list[Any], **more: Any) -> Path:
    pd.DataFrame({"text": text, "label": label, **more}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_an_empty_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert f"{name} is empty" in refusal(tmp_path / name)


@pytest.mark.parametrize("layout", ["lines", "class_files"])
def test_an_empty_text_file(layout: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n")
    assert "a.txt is empty" in refusal(tmp_path / "a.txt", files={"format": layout})


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_header_only(ending: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"text,label{ending}")
    assert "a header and no rows" in refusal(tmp_path / "a.csv")


def test_a_parquet_without_rows(tmp_path: Path) -> None:
    pd.DataFrame({"text": [], "label": []}).to_parquet(tmp_path / "a.parquet")
    assert "no rows" in refusal(tmp_path / "a.parquet")


def test_repeated_column_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,text\na,b,c\n")
    assert "several columns named 'text'" in refusal(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_an_unknown_column_is_answered_with_the_nearest(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"sentence": ["a", "b"], "label": ["x", "y"]})
    write = {"a.csv": frame.to_csv, "a.parquet": frame.to_parquet}.get(name)
    if write:
        write(tmp_path / name)
    else:
        frame.to_json(tmp_path / name, orient="records", lines=True)
    message = refusal(tmp_path / name, text="sentense")
    assert "no column 'sentense'. Did you mean 'sentence'?" in message
    assert "data.text=" in message


def test_a_class_that_only_the_test_split_has(tmp_path: Path) -> None:
    table(tmp_path / "train.csv", list("abcd"), ["x", "y", "x", "y"])
    table(tmp_path / "test.csv", list("ef"), ["x", "z"])
    assert "test.csv, row 2 (test): 'z' is not a class of the training split" in refusal(tmp_path)


def test_a_named_class_without_a_training_example(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", [f"t {i}" for i in range(20)], ["x", "y"] * 10)
    assert "no example of the class 'z'" in refusal(tmp_path / "a.csv", class_names=["x", "y", "z"])


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
def test_missing_labels(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a b", "c", "d", "e"], "label": ["x", None, "y", None]})
    if name == "a.jsonl":
        frame.to_json(tmp_path / name, orient="records", lines=True)
    else:
        {"a.csv": frame.to_csv, "a.parquet": frame.to_parquet}[name](tmp_path / name)
    assert f"{name}: 2 of 4 labels are missing (first in row 2)" in refusal(tmp_path / name)


def test_a_short_row_lacks_its_label(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,x\nb\nc,y\n")
    assert "1 of 3 labels are missing (first in row 2)" in refusal(tmp_path / "a.csv")


def test_a_long_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,x\nb, and c,y\n")
    assert "line 3, saw 3" in refusal(tmp_path / "a.csv")


def test_real_numbers_as_labels(tmp_path: Path) -> None:
    message = refusal(table(tmp_path / "a.csv", list("abcd"), [0.5, 1.0, 0.25, 2.0]))
    assert "real numbers (0.25, ...)" in message
    assert "data.label" in message


def test_every_label_different(tmp_path: Path) -> None:
    message = refusal(table(tmp_path / "a.csv", list("abcd"), list("wxyz")))
    assert "4 different labels in 4 rows. Is data.label the right column?" in message


def test_one_class(tmp_path: Path) -> None:
    assert "two or more different classes" in refusal(table(tmp_path / "a.csv", list("abcd"), ["x"] * 4))


def test_withheld_labels(tmp_path: Path) -> None:
    table(tmp_path / "train.csv", list("abcd"), [0, 1, 0, 1])
    table(tmp_path / "test.csv", list("ef"), [-1, -1])
    assert "test.csv: all 2 labels are -1" in refusal(tmp_path)
    assert "test.csv: all 2 labels are -1" in refusal(tmp_path, class_names=["no", "yes"])


def test_numbers_that_fit_two_ways_of_counting(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [f"w{i} v{i % 3}" for i in range(40)], [1, 2] * 20)
    message = refusal(path, class_names=["a", "b", "c"])
    assert "from 0 or from 1? Set data.files.first_label" in message
    assert "no example of the class 'c'" in refusal(path, class_names=["a", "b", "c"], files={"first_label": 1})


def test_mixed_encodings(tmp_path: Path) -> None:
    lines = [b"0 plain\n", "1 caf\xe9\n".encode(), "0 na\xefve\n".encode("latin-1"), b"1 end\n"]
    (tmp_path / "a.txt").write_bytes(b"".join(lines))
    message = refusal(tmp_path / "a.txt", files={"format": "lines"})
    assert "line 3, is not utf-8: byte 0xef" in message
    assert "mixes encodings" in message


def test_an_unknown_encoding(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", list("abcd"), list("xyxy"))
    assert "encoding=latin-99 is unknown" in refusal(path, files={"encoding": "latin-99"})


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.csv.gz", "a.parquet.gz"])
def test_a_binary_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xfe" * 9)
    assert any(words in refusal(tmp_path / name) for words in ("binary file", "not a whole"))


def test_a_cut_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text,label\n" + b"a b c,x\n" * 999)[:-20])
    assert "not a whole gzip file" in refusal(tmp_path / "a.csv.gz")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_cut_archive(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"not a tar at all" * 99)[:-9] if name.endswith("gz") else b"x" * 700)
    assert "not a whole tar archive" in refusal(tmp_path / name)


def test_quotation_marks_that_are_not_in_pairs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"open,x\nb,y\n')
    message = refusal(tmp_path / "a.csv")
    assert "data.files.quotes=false" in message
    rows = TextData(str(tmp_path / "a.csv"), files={"quotes": False}, class_names=["x", "y"]).corpus()
    assert list(rows.texts["train"]) == ['"open', "b"]


def test_lines_that_do_not_go_in_pairs(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a\nb\nc\n")
    (tmp_path / "y.txt").write_text("0\n1\n")
    message = refusal(tmp_path, files={"format": "parallel", "train": ["x.txt", "y.txt"]})
    assert "has 3 lines" in message
    assert "has 2" in message


@pytest.mark.parametrize(("line", "message"), [("{'a': 1}", "line 2, is not JSON"), ("[1]", "an object")])
def test_lines_that_are_no_objects(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "label": "x"}}\n{line}\n')
    assert message in refusal(tmp_path / "a.jsonl")


def test_a_vocabulary_of_one_word(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", ["same"] * 20, ["x", "y"] * 10)
    assert "give 'same'" in refusal(path)


def test_missing_texts_are_counted_and_kept(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", ["a b", None, "a b c", ""] * 10, ["x", "y"] * 20)
    data = TextData(str(tmp_path / "a.csv"), cache=False)
    data.setup()
    notes = data.notes()
    assert notes["missing_texts/train"] == 20
    assert sum(notes[f"empty/{split}"] for split in ("train", "val", "test")) == 20


def test_nothing_there(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "a.csv")
    assert "neither a table" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("hello\n")
    assert "data.files.format=table|lines" in refusal(tmp_path / "notes.txt")
    message = refusal(tmp_path, files={"train": "trian.csv"})
    assert "no file 'trian.csv'. It has: notes.txt" in message


def test_an_ambiguous_pattern(tmp_path: Path) -> None:
    for name in ("train1.csv", "train2.csv"):
        table(tmp_path / name, list("ab"), list("xy"))
    assert "fits train1.csv, train2.csv" in refusal(tmp_path, files={"train": "train*"})


def test_only_a_test_split(tmp_path: Path) -> None:
    table(tmp_path / "test.csv", list("ab"), list("xy"))
    assert "no training split" in refusal(tmp_path)


def test_too_few_rows_to_split(tmp_path: Path) -> None:
    assert "val split is empty" in refusal(table(tmp_path / "a.csv", list("abcd"), list("xyxy")))


def test_folds_of_a_source_with_a_test_split(tmp_path: Path) -> None:
    for name in ("train.csv", "test.csv"):
        table(tmp_path / name, list("abcd"), list("xyxy"))
    assert "data.folds=null" in refusal(tmp_path, folds=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "data.path=<file or folder>.*data=docstrings"),
        ({"path": "a.csv", "duplicates": "remove"}, "keep or drop"),
        ({"path": "a.csv", "fractions": [0.6, 0.4]}, "below 1 together"),
        ({"path": "a.csv", "fractions": [0.1]}, "shares of val and test"),
        ({"path": "a.csv", "freeze_vectors": True}, "needs data.vectors="),
        ({"path": "a.csv", "files": {"fromat": "lines"}}, "Did you mean 'format'"),
        ({"path": "a.csv", "files": {"format": "xml"}}, "one of auto, table"),
        ({"path": "a.csv", "hub": {"idd": "x"}}, "data.hub has no key 'idd'"),
        ({"path": "a.csv", "tokenizer": {"kind": "sentence"}}, "one of word, char, bpe"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        TextData(**options)
