"""docs/reference.md and docs/cells.md are what conf/ and the docstrings say now, and leave nothing out."""

from __future__ import annotations

import re

import pytest

from docs import generate
from seqlab.config import options


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEQLAB_CONFIG_PATH", raising=False)  # conf/ alone
        return {name: write() for name, write in generate.PAGES.items()}


@pytest.mark.parametrize("name", generate.PAGES)
def test_the_page_is_the_generators(pages: dict[str, str], name: str) -> None:
    committed = (generate.HERE / name).read_text(encoding="utf-8")
    assert committed == pages[name], f"docs/{name} is out of date: run `python -m docs.generate`"


def test_every_cell_has_its_equations(pages: dict[str, str]) -> None:
    for names in generate.cell_sections():
        _, _, rest = pages["cells.md"].partition("\n## " + ", ".join(f"`{name}`" for name in names) + "\n")
        assert re.search(r"```text\n[^`]* = [^`]*\n```", rest.partition("\n## ")[0]), (
            f"{names}: no equation in its class"
        )
    assert {name for names in generate.cell_sections() for name in names} == set(options("cell"))


def test_every_key_says_what_it_means(pages: dict[str, str]) -> None:
    mute = re.findall(r"^\| `([\w.]+)` \| `[^|]*` \|  \|$", "".join(pages.values()), re.MULTILINE)
    assert mute == [], "say it in the Args section of the class, or behind the key in the yaml"
