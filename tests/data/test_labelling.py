"""Token and tag files: what is read, where the splits come from, and what each bad file says; the synthetic set."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from seqlab.config import build, load
from seqlab.data import SPLITS, Batch, SequenceData, Split
from seqlab.data.labelling import TokenTags
from seqlab.data.synthetic.tagging import NAMES, PERSON_CUES, PLACE_CUES, TAGS, WORDS, Tagging
from seqlab.errors import RequestError

COLUMNS = "EU\tNNP\tB-ORG\nrejects\tVBZ\tO\nGerman\tJJ\tB-MISC\n\n\nPeter\tNNP\tB-PER\nsaw\tVBD\tO\n\nEU\tNNP\tB-ORG\n"


def whole(data: SequenceData, split: Split) -> Batch:
    examples = data.examples(split)
    return examples.__getitems__(range(len(examples)))


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return tmp_path


def prepared(data: TokenTags) -> TokenTags:
    data.setup()
    return data


def test_columns_become_padded_tokens_and_tags(tmp_path: Path) -> None:
    data = prepared(TokenTags(str(folder(tmp_path, train=COLUMNS, dev="EU\tB-ORG\n", test="Paul\tB-PER\nsaw\tO\n"))))
    train, test = whole(data, "train"), whole(data, "test")
    assert data.spec.class_names == ("B-MISC", "B-ORG", "B-PER", "O")
    assert data.spec.class_counts == (1, 2, 1, 2)
    # By frequency, then by the alphabet: EU 2, German 3, Peter 4, rejects 5, saw 6; Paul is unknown.
    assert train.x.tolist() == [[2, 5, 3], [4, 6, 0], [2, 0, 0]]
    assert train.y is not None
    assert train.y.tolist() == [[1, 3, 0], [2, 3, -100], [1, -100, -100]]
    assert train.lengths is not None
    assert train.lengths.tolist() == [3, 2, 1]
    assert test.x.tolist() == [[1, 6]]
    assert data.notes()["unknown_share/test"] == 0.5
    assert data.notes()["sequences/train"] == 3


def test_columns_are_chosen_folded_and_split_at_blanks(tmp_path: Path) -> None:
    text = "1 The DET x\n2 end NOUN x\n\n1 the DET x\n"
    path = folder(tmp_path, train=text, val="1 THE DET x\n", test="1 the DET x\n")
    data = prepared(TokenTags(str(path), token=1, tag=2, lowercase=True, min_frequency=1))
    assert data.spec.class_names == ("DET", "NOUN")
    assert whole(data, "val").x.tolist() == [[2]]
    with pytest.raises(RequestError, match="two or more different tokens"):
        prepared(TokenTags(str(path), token=1, tag=2, lowercase=True, min_frequency=2))


def test_parallel_files_say_the_same(tmp_path: Path) -> None:
    files = {"train.words": "EU rejects German\nPeter saw\n\nEU\n", "train.tags": "B-ORG O B-MISC\nB-PER O\n\nB-ORG\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    columns = tmp_path / "columns"
    columns.mkdir()
    for split in ("train", "val", "test"):
        (columns / f"{split}.tsv").write_text(COLUMNS)
        for kind in ("words", "tags"):
            (tmp_path / f"{split}.{kind}").write_text(files[f"train.{kind}"])
    parallel = prepared(TokenTags(str(tmp_path), "parallel", **{s: [f"{s}.words", f"{s}.tags"] for s in SPLITS}))  # type: ignore[arg-type]
    same = prepared(TokenTags(str(columns)))
    assert torch.equal(whole(parallel, "train").x, whole(same, "train").x)
    assert torch.equal(whole(parallel, "train").y, whole(same, "train").y)  # type: ignore[arg-type]


def test_missing_splits_are_drawn_from_the_sentences(tmp_path: Path) -> None:
    path = tmp_path / "all.conll.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(f"word{i}\tA\nx\tB\n\n" for i in range(50))
    data = prepared(TokenTags(str(path), fractions=(0.2, 0.1)))
    assert [len(data.examples(split)) for split in SPLITS] == [35, 10, 5]
    again, other = prepared(TokenTags(str(path), fractions=(0.2, 0.1))), prepared(TokenTags(str(path), split_seed=1))
    assert torch.equal(whole(data, "train").x, whole(again, "train").x)
    assert data.fingerprint() == other.fingerprint()
    # The vocabulary holds the 35 training words and x: no word of the other splits.
    assert data.spec.vocabulary_size == 2 + 36
    assert (whole(data, "val").x[:, 0] == 1).all()


def test_the_fingerprint_covers_the_bytes(tmp_path: Path) -> None:
    path = folder(tmp_path, train=COLUMNS)
    before = TokenTags(str(path)).fingerprint()
    folder(tmp_path, train=COLUMNS.replace("Peter", "Pavel"))
    assert TokenTags(str(path)).fingerprint() != before


def test_a_run_takes_its_vocabulary_along(tmp_path: Path) -> None:
    fitted = prepared(TokenTags(str(folder(tmp_path, train=COLUMNS, val=COLUMNS, test=COLUMNS)), lowercase=True))
    restored = TokenTags()
    restored.restore(fitted.artifacts())
    assert restored.spec == fitted.spec
    batch = restored.encode(["Peter rejects Paris", "saw", ""])
    assert batch.x.tolist() == [[4, 5, 1], [6, 0, 0], [1, 0, 0]]
    assert batch.y is None


def test_the_baseline_knows_the_shares_of_each_token(tmp_path: Path) -> None:
    text = "a\tX\na\tX\na\tX\na\tY\nb\tY\n\nc\tX\n"
    data = prepared(TokenTags(str(folder(tmp_path, train=text, val="a\tX\n", test="b\tX\nnew\tX\n"))))
    predict = data.baselines("test")["memoryless"]
    assert predict(whole(data, "val")).exp()[0, 0].tolist() == pytest.approx([3 / 4, 1 / 4], abs=1e-5)
    assert predict(whole(data, "test")).exp()[0].flatten().tolist() == pytest.approx([0, 1, 4 / 6, 2 / 6], abs=1e-5)


BAD = {
    "lone_token": ({"train": "EU\tB-ORG\nrejects\n"}, "line 2: expected a token in column 0 and its tag in column -1"),
    "missing_tag": ({"train": "EU\tB-ORG\nrejects\t\n"}, "line 2: expected a token"),
    "empty": ({"train": ""}, "holds no sentence"),
    "blank": ({"train": "\n\n \n"}, "holds no sentence"),
    "binary": ({"train": "EU\tB\0"}, "binary file"),
    "one_tag": ({"train": "a\tO\nb\tO\n\nc\tO\n", "val": "a\tO\n", "test": "a\tO\n"}, r"tags \['O'\]"),
    "unseen_tag": (
        {"train": COLUMNS, "val": COLUMNS, "test": "x\tO\n\nEU\tB-LOC\n"},
        "line 3 ff.: the tag 'B-LOC' does not",
    ),
    "two_sentences": ({"train": "a\tX\n\nb\tY\n"}, "2 sentences are too few for three splits"),
    "no_train": ({"valid": COLUMNS}, "The train split takes 1 file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_say_what_is_wrong_and_where(name: str, tmp_path: Path) -> None:
    files, message = BAD[name]
    with pytest.raises(RequestError, match=message):
        TokenTags(str(folder(tmp_path, **files))).setup()


def test_mixed_encodings_name_the_line(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes("Köln\tB\n".encode() + "Köln\tB\n".encode("latin-1"))
    with pytest.raises(RequestError, match="line 2, is not utf-8"):
        TokenTags(str(tmp_path)).setup()


def test_parallel_files_must_go_in_pairs(tmp_path: Path) -> None:
    for tags, message in (
        ("X Y\n", "2 lines and .* has 1"),
        ("X Y\nX Y\n", "Line 2: train.words has 1 tokens"),
    ):
        (tmp_path / "train.words").write_text("a b\nc\n")
        (tmp_path / "train.tags").write_text(tags)
        with pytest.raises(RequestError, match=message):
            TokenTags(str(tmp_path), "parallel", train=["train.words", "train.tags"]).setup()


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Did you mean 'columns'"):
        TokenTags(format="column")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"data.path is needed"):
        TokenTags().fingerprint()
    with pytest.raises(RequestError, match="does not exist"):
        TokenTags(str(tmp_path / "nothing")).setup()
    with pytest.raises(RequestError, match="below 1 together"):
        TokenTags(fractions=(0.5, 0.5))
    with pytest.raises(RequestError, match="needs a folder"):
        (tmp_path / "x.txt").write_text(COLUMNS)
        TokenTags(str(tmp_path / "x.txt"), "parallel").setup()


# --- the synthetic set ---


def test_an_oracle_tags_every_sentence() -> None:
    data = build({**load("data", "tagging"), "sizes": [200, 50, 50]}, SequenceData)
    data.setup()
    spelled: dict[Split, set[str]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        batch = whole(data, split)
        assert batch.y is not None
        assert batch.lengths is not None
        for x, y, n in zip(batch.x, batch.y, batch.lengths, strict=True):
            words = [WORDS[token - 3] for token in x[:n].tolist()]
            kind, tags = "", []
            for word in words:
                kind = "PER" if word in PERSON_CUES else "LOC" if word in PLACE_CUES else kind
                tags.append(kind if word in NAMES else "O")
            assert [TAGS[t] for t in y[:n].tolist()] == tags
            spelled[split].add(" ".join(words))
    assert not spelled["train"] & spelled["test"]


def test_single_words_leave_a_name_to_chance() -> None:
    data = Tagging()
    data.setup()
    batch = whole(data, "test")
    assert batch.y is not None
    right = data.baselines("test")["memoryless"](batch).argmax(-1) == batch.y
    real = batch.y >= 0
    assert right[real].float().mean().item() == pytest.approx(0.899, abs=0.001)
    assert (right | ~real).all(1).float().mean().item() == pytest.approx(0.23, abs=0.01)
    assert right[batch.y == 0].all()
