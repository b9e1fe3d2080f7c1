"""The commands and Python blocks of README and docs do what the pages say."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from seqlab.__main__ import COMMANDS, main
from seqlab.errors import SeqlabError
from tests.docs.composing import composes
from tests.docs.pages import FOLLOWED_ELSEWHERE, PAGES, ROOT, Block, blocks, commands, name, shown_commands

RUN = [p for p in PAGES if p.name not in FOLLOWED_ELSEWHERE and re.search("^```(console|python)", p.read_text(), re.M)]
#: What stands for something in a shown command.
PLACEHOLDERS = {"GROUP": "cells", "FOLDER": "outputs"}
#: Beginnings of words that this check leaves out, with the reason.
UNCHECKED = {
    "hydra/launcher=ray": "Ray's launcher wants older packages than the tests have",
    "hydra.launcher.ray.": "as above",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh folder to be in; what a command puts into the environment is taken out again."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    os.environ["PWD"] = str(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.process
@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_page_runs_from_top_to_bottom(page: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    printed = ""
    for block in blocks(page):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        elif block.language == "console":
            printed = "".join(run(command, block, capfd) for command in commands(block.text))
        elif block.language == "python":
            said = io.StringIO()
            with redirect_stdout(said):
                exec(compile(block.text, block.where, "exec"), namespace)
            printed = said.getvalue()
        elif block.language == "output":
            missing = unprinted(block.text, printed.replace(str(folder), "/home/me"))
            assert not missing, f"{block.where} shows what is not printed: {missing}\n\n{printed}"


def run(command: str, block: Block, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command and return what it wrote; seqlab in this process, where torch is imported once."""
    words = [
        w
        for word in shlex.split(command)
        for w in (sorted(map(str, Path().glob(word))) if "*" in word else []) or [word]
    ]
    capfd.readouterr()
    if words[0] == "export":
        os.environ.update(os.path.expandvars(word).split("=", 1) for word in words[1:])
        return ""
    if words[0] == "seqlab":
        code = main(words[1:])
        written = "".join(capfd.readouterr())
    else:
        ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        code, written = ended.returncode, ended.stdout + ended.stderr
    assert code == 0, f"{block.where}: {command}\n{written}"
    return written


def unprinted(shown: str, printed: str) -> list[str]:
    """Return the lines that are shown and were not printed, numbers, hashes, spaces and line breaks aside."""
    there = form(printed)
    return [line for line in shown.splitlines() if line.strip() not in ("", "...") and form(line) not in there]


def form(text: str) -> str:
    text = re.sub(r"-[0-9a-f]{8}\b", "-hash", text)
    text = re.sub(r"(?<![\w.])-?[\d.,]*\d(e-?\d+)?", "#", text)
    return " ".join(re.sub(r"─+", "─", text).split())


@pytest.mark.process
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_shown_and_not_run_composes(page: Path, folder: Path) -> None:
    for where, shown in shown_commands(page):
        words = [PLACEHOLDERS.get(w, w) for w in shown if not w.lstrip("+").startswith(tuple(UNCHECKED))]
        assert words[1] in COMMANDS or words[1].startswith("-"), f"{where}: {shlex.join(words)}"
        try:
            assert len(words) == 2 or composes(words)  # a command alone is its name in a sentence
        except (SeqlabError, SystemExit, AssertionError) as error:
            pytest.fail(f"{where}: {shlex.join(words)}: {error}")


@pytest.mark.process
@pytest.mark.parametrize(
    "wrong",
    [
        "seqlab train data=co2 cell=lstm model.hiden_size=3",
        "seqlab train -m data=co2 cell=lstm,gruu",
        "seqlab train -m hydra/launcher=slurm hydra.launcher.que=long data=co2",
        "seqlab compare outputs --splot val",
    ],
)
def test_what_is_wrong_does_not_compose(wrong: str, folder: Path) -> None:
    with pytest.raises((SeqlabError, SystemExit)):
        composes(shlex.split(wrong))


def test_a_number_is_all_that_may_differ() -> None:
    printed = "lstm  4  0.00515  <.001  -0.1 to 1e-3\nRun: /home/me/outputs/co2/gru-6013d240/seed-0\n"
    assert unprinted("...\nlstm 3 0.1 <.050 0.2 to 7\nRun: /home/me/outputs/co2/gru-0a0a0a0a/seed-0\n", printed) == []
    assert unprinted("gru 4 0.00515 <.001 -0.1 to 1e-3", printed) == ["gru 4 0.00515 <.001 -0.1 to 1e-3"]


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://")):
                assert (page.parent / target).exists(), f"{name(page)}: {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page not in reached:
            reached.add(page)
            todo += [page.parent / target for target in re.findall(r"\]\(([^):#\s]+\.md)", page.read_text("utf-8"))]
    assert {page.resolve() for page in PAGES} <= reached
