"""The README's commands and Python blocks do what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from seqlab.__main__ import main

README = (Path(__file__).parents[1] / "README.md").read_text()
CONTRIBUTING = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.process
def test_the_commands_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [line.partition("  #")[0] for block in blocks(README, "console") for line in block.splitlines() if line]
    assert len(commands) >= 5
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command


@pytest.mark.process
def test_the_python_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), {})
    assert "test/mse" in capsys.readouterr().out


def test_the_worked_cell_is_the_one_that_is_tested() -> None:
    import tests.test_own_cell as own

    (module,) = (b for b in blocks(CONTRIBUTING, "python") if "class Leaky" in b)
    without_comments = re.sub(r"  # .*", "", module)
    body = without_comments[without_comments.index("class Leaky") :].strip()
    assert body in re.sub(r"  # .*", "", own.MODULE)


def test_links_lead_somewhere() -> None:
    root = Path(__file__).parents[1]
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").glob("*.md"))]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
