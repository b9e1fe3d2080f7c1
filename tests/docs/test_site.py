"""The site builds without a complaint, every page is in it, and none loads anything from another host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-f", str(ROOT / "mkdocs.yml"), "-d", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.mark.process
def test_every_page_is_in_the_navigation(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    pages = {file.relative_to(site).as_posix() for file in site.rglob("*.html")} - {"404.html"}
    assert {"tutorial.html", "howto/own_cell.html", "contributing.html", "examples/library_use.html"} <= pages
    assert pages <= set(re.findall(r'href="([\w./]+\.html)', start))


@pytest.mark.process
def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    loaded = re.compile(
        r"""(?:<(?:script|img|iframe|source)\b[^>]*\bsrc|<link\b[^>]*\bhref)=["']?(?:https?:)?//[^"'\s>]+"""
    )
    for file in site.rglob("*.html"):
        assert not loaded.findall(file.read_text(encoding="utf-8")), file
    for file in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\s]+", file.read_text(encoding="utf-8")), (
            file
        )


@pytest.mark.process
def test_commands_are_told_from_what_they_print(site: Path) -> None:
    page = (site / "tutorial.html").read_text(encoding="utf-8")
    assert page.count('<span class="gp">$ </span>') >= 8
    assert "```" not in re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
