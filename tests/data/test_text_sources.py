"""Every layout of labelled text gives the same rows."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seqlab.data.text import TextData
from seqlab.errors import RequestError

ROWS = [(f'day {i}, "fine"' if i % 2 else f"day {i} is dull", ("negative", "positive")[i % 2]) for i in range(40)]
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]
FRAME = pd.DataFrame({"id": range(40), "text": TEXTS, "label": LABELS})


def data(path: Path, **options: Any) -> TextData:
    return TextData(str(path), cache=False, tokenizer={"min_frequency": 1}, **options)


def write_jsonl(path: Path) -> None:
    FRAME.to_json(path, orient="records", lines=True)


def write_parquet_gz(path: Path) -> None:
    buffer = io.BytesIO()
    FRAME.to_parquet(buffer)
    path.write_bytes(gzip.compress(buffer.getvalue()))


TABLES: dict[str, Callable[[Path], None]] = {
    "rows.csv": lambda p: FRAME.to_csv(p, index=False),
    "rows.csv.gz": lambda p: FRAME.to_csv(p, index=False),
    "rows.tsv": lambda p: p.write_text("".join(f"{t}\t{n}\n" for t, n in [("text", "label"), *ROWS])) and None,
    "rows.tsv.gz": lambda p: (
        p.write_bytes(gzip.compress("".join(f"{t}\t{n}\n" for t, n in [("text", "label"), *ROWS]).encode())) and None
    ),
    "rows.jsonl": write_jsonl,
    "rows.jsonl.gz": write_jsonl,
    "rows.parquet": lambda p: FRAME.to_parquet(p),
    "rows.parquet.gz": write_parquet_gz,
}


def rows_of(source: TextData) -> list[tuple[str, str]]:
    corpus = source.corpus()
    names = [corpus.class_names[number] for number in corpus.labels["train"]]
    return list(zip(corpus.texts["train"], names, strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str, tmp_path: Path) -> None:
    TABLES[name](tmp_path / name)
    assert rows_of(data(tmp_path / name)) == ROWS


def test_labelled_lines(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    file.write_text("".join(f"{label} {text}\n" for text, label in ROWS) + "\n")
    source = data(file, files={"format": "lines"})
    assert rows_of(source) == ROWS
    assert source.corpus().notes == {"blank_lines/train": 1}


def test_one_file_per_class(tmp_path: Path) -> None:
    for name in ("negative", "positive"):
        (tmp_path / f"{name}.txt").write_text("".join(f"{text}\n" for text, label in ROWS if label == name))
    assert sorted(rows_of(data(tmp_path, files={"format": "class_files"}))) == sorted(ROWS)


def test_files_listed_in_the_order_of_the_classes(tmp_path: Path) -> None:
    for name in ("negative", "positive"):
        (tmp_path / f"rt.{name[:3]}").write_text("".join(f"{text}\n" for text, label in ROWS if label == name))
    files = {"format": "class_files", "train": ["rt.pos", "rt.neg"]}
    source = data(tmp_path, files=files, class_names=["positive", "negative"])
    assert sorted(rows_of(source)) == sorted(ROWS)
    assert source.corpus().class_names == ("positive", "negative")
    with pytest.raises(RequestError, match="lists 2 files"):
        data(tmp_path, files=files).corpus()


def test_two_parallel_files(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n".join(TEXTS))
    (tmp_path / "y.txt").write_text("\n".join(LABELS) + "\n")
    files = {"format": "parallel", "train": ["x.txt", "y.txt"]}
    assert rows_of(data(tmp_path, files=files)) == ROWS


def make_documents(folder: Path, split: str = "") -> None:
    for i, (text, label) in enumerate(ROWS):
        file = folder / split / label / f"{i:02}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_one_file_per_document(tmp_path: Path) -> None:
    make_documents(tmp_path)
    (tmp_path / "README").write_text("left out")
    source = data(tmp_path)
    assert sorted(rows_of(source)) == sorted(ROWS)
    assert source.corpus().notes == {"files_left_out/train": 1}


def test_documents_by_split_and_class(tmp_path: Path) -> None:
    make_documents(tmp_path, "train")
    make_documents(tmp_path, "test")
    (tmp_path / "train" / "unsup").mkdir()
    (tmp_path / "train" / "unsup" / "0.txt").write_text("unlabelled")
    corpus = data(tmp_path, class_names=["negative", "positive"]).corpus()
    assert {split: len(texts) for split, texts in corpus.texts.items()} == {"train": 40, "test": 40}
    assert corpus.notes == {"files_left_out/train": 1}


def test_documents_inside_an_archive(tmp_path: Path) -> None:
    make_documents(tmp_path / "set", "train")
    make_documents(tmp_path / "set", "test")
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "set", "set")
    files = {"train": "train", "test": "test"}
    packed, unpacked = (data(tmp_path / name, files={**files, "format": "documents"}) for name in ("set.tar.gz", "set"))
    assert packed.corpus().texts == unpacked.corpus().texts
    assert len(packed.corpus().texts["test"]) == 40


@pytest.mark.parametrize("name", ["../outside/a.txt", "/etc/neg/a.txt", "set/../../neg/a.txt"])
def test_a_member_that_escapes_its_archive_is_refused(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 2
        archive.addfile(member, io.BytesIO(b"hi"))
    with pytest.raises(RequestError, match="outside itself"):
        data(tmp_path / "bad.tar").corpus()
    assert not (tmp_path.parent / "outside").exists()


def test_a_folder_of_splits_by_their_usual_names(tmp_path: Path) -> None:
    for name, rows in (("train.csv", 20), ("dev.csv", 8), ("test.csv", 12)):
        FRAME.head(rows).to_csv(tmp_path / name, index=False)
    source = data(tmp_path)
    source.setup()
    assert [len(source.examples(split)) for split in ("train", "val", "test")] == [20, 8, 12]


def test_fields_without_a_header_are_named_and_joined(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("".join(f'"{i % 2 + 1}","Title {i}","Body, {i}"\n' for i in range(10)))
    source = data(file, files={"columns": ["label", "text", "text"]}, class_names=["a", "b"])
    assert rows_of(source)[:2] == [("Title 0 Body, 0", "a"), ("Title 1 Body, 1", "b")]


def test_several_columns_are_joined(tmp_path: Path) -> None:
    frame = FRAME.assign(title="T")
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for name in ("a.csv", "a.jsonl"):
        assert rows_of(data(tmp_path / name, text=["title", "text"]))[0] == ("T day 0 is dull", "negative")


def test_latin_1(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    file.write_bytes("".join(f"{i % 2} café \x85 {i}\n" for i in range(6)).encode("latin-1"))
    options = {"format": "lines", "encoding": "latin-1"}
    assert rows_of(data(file, files=options))[0] == ("café \x85 0", "0")


def test_a_byte_order_mark_is_no_part_of_a_column_name(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    FRAME.to_csv(file, index=False, encoding="utf-8-sig", columns=["text", "label"])
    assert rows_of(data(file)) == ROWS


def test_utf_16(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    FRAME.to_csv(file, index=False, encoding="utf-16")
    assert rows_of(data(file, files={"encoding": "utf-16"})) == ROWS


def test_line_breaks_inside_quotes_and_crlf(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b'text,label\r\n"two\r\nlines",a\r\nplain,b\r\n"a ""quoted"" word",a\r\nlast,b')
    source = data(file)
    assert rows_of(source) == [("two\r\nlines", "a"), ("plain", "b"), ('a "quoted" word', "a"), ("last", "b")]
    assert source.corpus().notes == {"texts_of_several_lines/train": 1}


def test_quotation_marks_of_a_tsv_are_marks(tmp_path: Path) -> None:
    file = tmp_path / "rows.tsv"
    file.write_text('ham\t"open\nspam\tand so on\nham\tclosed" here\nspam\t5" nails\n')
    source = data(file, files={"columns": ["label", "text"]})
    assert [text for text, _ in rows_of(source)] == ['"open', "and so on", 'closed" here', '5" nails']


def test_backslashes_and_entities_are_kept_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('label,text\n1,"AP\\Reuters \\$5 &lt;b&gt; #39;s"\n2,"ends in a backslash\\"\n1,x\n2,y\n')
    assert [text for text, _ in rows_of(data(file))][:2] == [
        "AP\\Reuters \\$5 &lt;b&gt; #39;s",
        "ends in a backslash\\",
    ]


@pytest.mark.parametrize(
    ("labels", "expected"), [("1234", "abcd"), ("0123", "abcd"), ("0011", "aabb"), ("4411", "ddaa")]
)
def test_numbers_count_classes_from_0_or_from_1(labels: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": f"t {i}", "label": int(n)}) + "\n" for i, n in enumerate(labels)))
    assert [name for _, name in rows_of(data(file, class_names=list("abcd")))] == list(expected)


def test_splits_may_number_their_classes_differently(tmp_path: Path) -> None:
    pd.DataFrame({"text": list("abcd"), "label": [0, 1, 0, 1]}).to_csv(tmp_path / "train.csv", index=False)
    pd.DataFrame({"text": list("efgh"), "label": [1, 2, 1, 2]}).to_csv(tmp_path / "test.csv", index=False)
    corpus = data(tmp_path, class_names=["x", "y"]).corpus()
    assert corpus.labels["train"].tolist() == corpus.labels["test"].tolist() == [0, 1, 0, 1]


def test_names_are_mapped_by_name_whatever_their_order(tmp_path: Path) -> None:
    pd.DataFrame({"text": list("abcd"), "label": ["pos", "neg", "pos", "neg"]}).to_csv(tmp_path / "a.csv", index=False)
    assert data(tmp_path / "a.csv", class_names=["neg", "pos"]).corpus().labels["train"].tolist() == [1, 0, 1, 0]
    assert data(tmp_path / "a.csv").corpus().class_names == ("neg", "pos")


def test_numeric_classes_are_in_numeric_order(tmp_path: Path) -> None:
    labels = [10, 9, 2, 10, 9, 2]
    pd.DataFrame({"text": list("abcdef"), "label": labels}).to_csv(tmp_path / "a.csv", index=False)
    assert data(tmp_path / "a.csv").corpus().class_names == ("2", "9", "10")


def test_whole_floats_and_minus_one_can_be_classes(tmp_path: Path) -> None:
    pd.DataFrame({"text": list("abcd"), "label": [-1.0, 1.0, -1.0, 1.0]}).to_csv(tmp_path / "a.csv", index=False)
    assert data(tmp_path / "a.csv").corpus().class_names == ("-1", "1")


def test_the_fingerprint_follows_bytes_and_schema_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        FRAME.to_csv(folder / "a.csv", index=False)
    first = data(tmp_path / "a.csv").fingerprint()
    assert data(tmp_path / "other" / "a.csv").fingerprint() == first
    assert data(tmp_path / "a.csv", split_seed=3, fold=1, folds=4, batch_size=2).fingerprint() == first
    assert data(tmp_path / "a.csv", text="id").fingerprint() != first
    FRAME.head(39).to_csv(tmp_path / "a.csv", index=False)
    assert data(tmp_path / "a.csv").fingerprint() != first
