"""What MkDocs calls while it builds the site: pages that lie outside docs/, and the links to them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).parents[1]
#: Files of the project that are pages of the site.
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changes.md"}
OUTSIDE |= {f"examples/{file.name}": f"examples/{file.stem}.md" for file in sorted((ROOT / "examples").glob("*.py"))}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation what is not written yet."""
    for part in config.nav or []:
        for title, below in part.items():
            if isinstance(below, list):
                part[title] = [entry for entry in below if all(map(_there, entry.values()))]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/; a program stands on its page as it is."""
    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".py"):
            text = f"# {source}\n\n```python\n{text}```\n"
        files.append(File.generated(config, page, content=text))
    colours = HtmlFormatter(style="tango").get_style_defs(".codehilite")
    files.append(File.generated(config, "code.css", content=colours))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Let links between files of the project lead to their pages, and tell commands from what they print."""
    here = page.file.src_uri
    source = next((file for file, place in OUTSIDE.items() if place == here), f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        there = OUTSIDE.get(place, place.removeprefix("docs/"))
        return f"]({posixpath.relpath(there, posixpath.dirname(here) or '.')}{link[2] or ''})"

    markdown = re.sub(r"\]\(([^)#\s:]+)(#[^)\s]*)?\)", moved, markdown)
    markdown = re.sub(r"(?<=^```console\n).*?(?=^```)", _prompted, markdown, flags=re.MULTILINE | re.DOTALL)
    return markdown.replace("```output\n", "```text\n")


def _prompted(commands: re.Match[str]) -> str:
    return re.sub(r"^(?=\S)", "$ ", commands[0], flags=re.MULTILINE)


def _there(page: str) -> bool:
    return page in OUTSIDE.values() or (ROOT / "docs" / page).exists()
