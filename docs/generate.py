"""Write docs/reference.md and docs/cells.md from conf/ and from the docstrings: `python -m docs.generate`.

What an option means stands once, in its class; what its default is, in its yaml. tests/docs holds the committed pages
to what this writes.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from docs.docstrings import arguments, meaning, named, sections

from seqlab.cells import make_cell
from seqlab.config import conf_dir, config_file, header, load, options, resolve_class
from seqlab.listing import cell_rows

HERE = Path(__file__).parent
GROUPS = ("data", "cell", "model", "task", "optimizer", "scheduler", "trainer", "logger", "experiment", "sweep")
INPUT, UNITS = 8, 64
REFERENCE = """# Reference

Every config group with its options, their keys, defaults and meaning. Written by `python -m docs.generate` from `conf/`
and from the docstrings of the classes; a test holds it to them.

`group=option` chooses an option, `group.key=value` sets one of its keys:

```text
seqlab train data=co2 cell=gru model=stack model.num_layers=2 optimizer.lr=1e-3 trainer.max_epochs=5
seqlab train data=co2 cell=gru --cfg job
```

The second prints the composed config and leaves. `seqlab list GROUP` prints a group's options. A key that nobody knows
is refused, also behind `+`. What is None in the descriptions is `null` in yaml and on the command line.
"""
CELLS = f"""# Cells

Every recurrent cell with its equations, paper, family and size. Written by `python -m docs.generate` from the cells'
own docstrings, where the equations stand; a test holds it to them. `seqlab list cells` prints the table.

In the equations x is the input of a step, h the state and the output, h' the state after the step (with time as an
index: h_t after h_{{t-1}}); s and sigmoid are the logistic function; W x is a matrix product and * a product of
elements, or a convolution where a cell says so. I is the number of input features and H the number of units. State and
parameters are those of {INPUT} features and {UNITS} units.

A family is a way of running over time: *native* cells have a kernel of torch's own, *gated* ones take one product with
the input for all steps and one with the state a step, *elementwise* ones mix no units over time, *linear* ones are a
scan, and the state of *matrix* ones is a matrix a head, run in chunks. All give the numbers of the plain loop.
"""
TRAINER = (
    "Other arguments of Lightning's [Trainer](https://lightning.ai/docs/pytorch/stable/common/trainer.html) are added"
    " behind `+`: `+trainer.limit_train_batches=10`."
)


# ------------------------------------------------------------------ Markdown


def prose(text: str) -> str:
    """Return docstring text as Markdown: ``code`` as `code`, and nothing else taken for a mark."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    return "".join(
        f"`{part.strip('`')}`" if part.startswith("`") else part.replace("*", "\\*").replace("<", "&lt;")
        for part in parts
    )


def body(text: str) -> str:
    """Return the part before Args as Markdown: what is indented, or no sentence, stands as it is written."""
    out = []
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.startswith("    ") or not re.search(r"[.:;]$|per head$", paragraph.rstrip()):
            out.append(f"```text\n{inspect.cleandoc('.' + chr(10) + paragraph)[2:].replace('``', '')}\n```")
        else:
            out.append(prose(paragraph))
    return "\n\n".join(out).replace("\n```\n\n```text\n", "\n\n")


def code(value: Any) -> str:
    """Return a value as one writes it in yaml, as code."""
    text = (
        value
        if isinstance(value, str)
        else yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).strip()
    )
    return f"`{text.removesuffix('...').strip()}`" if text else "`''`"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; "" without rows."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(titles) + " |", "|" + ":--|" * len(titles), *lines]) if lines else ""


def page(parts: Iterable[str]) -> str:
    """Return parts as one page."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


# --------------------------------------------------------------------- parts


@functools.cache
def keys(group: str, name: str) -> dict[str, Any]:
    """Return an option's keys."""
    return {k: v for k, v in load(group, name).items() if k != "_target_"}


@functools.cache
def remarks(group: str, name: str) -> dict[str, str]:
    """Return the remark behind each key of an option's yaml."""
    return comments(config_file(group, name).read_text(encoding="utf-8"))


def comments(text: str) -> dict[str, str]:
    """Return the remark behind each key of a yaml, of keys within a key as ``key.inner``."""
    found, outer = {}, ""
    for indent, key, remark in re.findall(r"^( *)(\w+):(?:.*? # (.+))?", text, re.MULTILINE):
        outer = outer if indent else key
        found[f"{outer}.{key}" if indent else key] = remark
    return {key: remark for key, remark in found.items() if remark}


def defaults_of(cls: type) -> dict[str, Any]:
    """Return the constructor's arguments that have a default, as plain values."""
    found = {n: p.default for n, p in inspect.signature(cls).parameters.items() if p.default is not p.empty}
    return {n: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v for n, v in found.items()}


def differing(group: str, name: str, usual: Mapping[str, Any]) -> str:
    """Return an option's keys that are not as usual, each with its reason."""
    why = remarks(group, name)
    changed = {k: other(usual.get(k), v) for k, v in keys(group, name).items() if k not in usual or usual[k] != v}
    return "; ".join(f"`{k}: {code(v)[1:]}" + (f" ({prose(why[k])})" if k in why else "") for k, v in changed.items())


def other(usual: Any, value: Any) -> Any:
    """Return a value, of mappings the entries alone that are not as usual."""
    if isinstance(usual, Mapping) and isinstance(value, Mapping):
        return {k: v for k, v in value.items() if usual.get(k) != v}
    return value


def title(fields: Sequence[str]) -> str:
    """Return an option's first line as a sentence with its source."""
    source = ", ".join(field for field in fields[1:] if field)
    return prose(fields[0]) + (f" ({prose(source)})" if source else "")


def keys_of(group: str, name: str, cls: type | None = None) -> str:
    """Return the table of an option's keys: what the class says they mean, or else the remarks of the yaml."""
    rows = []
    for key, value in keys(group, name).items():
        if isinstance(value, Mapping) and "_target_" in value:  # a logger
            rows.append((f"`{key}`", code(value["_target_"]), "the class; more of its arguments may be added by `+`"))
            entries = {f"{key}.{k}": v for k, v in value.items() if k != "_target_"}
        else:
            entries = {key: value}
        for full, entry in entries.items():
            said = (meaning(cls, full) if cls else "") or remarks(group, name).get(full, "")
            rows.append((f"`{full}`", code(entry), prose(said)))
    return table(("key", "default", "meaning"), rows)


@functools.cache
def classes(group: str) -> dict[type[Any], list[str]]:
    """Return the classes of seqlab's own behind a group's options, each with the options' names."""
    found: dict[type[Any], list[str]] = {}
    for name in options(group):
        target = str(load(group, name).get("_target_", ""))
        if target.startswith("seqlab."):
            found.setdefault(resolve_class(target, object), []).append(name)
    return found


def mappings(cls: type) -> dict[str, type]:
    """Return the dataclasses whose fields an argument's mapping takes: "tokenizer: TokenizerOptions as a mapping."."""
    found = {key: re.fullmatch(r"(\w+) as a mapping\.", text) for key, text in arguments(cls).items()}
    return {key: named(match[1], cls) for key, match in found.items() if match}


# -------------------------------------------------------------- docs/reference.md


def reference() -> str:
    """Return docs/reference.md."""
    known = sorted(p.name for p in conf_dir().iterdir() if p.is_dir() and p.name != "hydra")
    groups = [*(g for g in GROUPS if g in known), *(g for g in known if g not in GROUPS)]
    return page([REFERENCE, top(), *(part for group in [*groups, "hydra/launcher"] for part in of_group(group))])


def top() -> str:
    """Return the part about the keys of no group."""
    text = (conf_dir() / "train.yaml").read_text(encoding="utf-8")
    node, why = yaml.safe_load(text), comments(text)
    chosen = {k: v for entry in node.pop("defaults") if isinstance(entry, dict) for k, v in entry.items()}
    rows = [(f"`{key}`", code(value), why.get(key, "")) for key, value in node.items() if not isinstance(value, dict)]
    rows.append(("`model.parameter_budget`", "`null`", why["model.parameter_budget"]))
    usual = ", ".join(f"`{group}={name}`" for group, name in chosen.items() if name and " " not in group)
    return page(["## Keys of no group", table(("key", "default", "meaning"), rows), f"Chosen by default: {usual}."])


def of_group(group: str) -> list[str]:
    """Return the parts about one group."""
    parts = [f"## {group}"]
    if group == "cell":
        rows = [(f"[`{n}`](cells.md#{anchor(of)})", title(header(group, n))) for of in cell_sections() for n in of]
        return [*parts, "Equations, sizes and keys of each: [Cells](cells.md).", table(("cell", "what it is"), rows)]
    by_class = classes(group)
    for cls, names in by_class.items():
        parts += of_class(group, cls, names)
    inner = {key: cls for owner in by_class for key, cls in mappings(owner).items()}
    for key, cls in inner.items():
        parts += [f"### {group}.{key}", prose(sections(cls)[""]), fields(cls)]
    rest = [name for name in options(group) if name not in {n for names in by_class.values() for n in names}]
    return [*parts, *(without_class(group, rest) if rest else [])]


def of_class(group: str, cls: type, names: Sequence[str]) -> list[str]:
    """Return the parts about the options that one class of seqlab's is behind."""
    heading = f"### {group}={names[0]}" if len(names) == 1 else f"### {cls.__name__}"
    if len(names) == 1:
        said = header(group, names[0])
        source = title(said) + "." if len(said) > 1 else ""
        return [heading, source, body(sections(cls)[""]), keys_of(group, names[0], cls)]
    usual = defaults_of(cls)
    rows = [(f"`{group}={n}`", title(header(group, n)), differing(group, n, usual)) for n in names]
    return [
        heading,
        body(sections(cls)[""]),
        fields(cls),
        table(("option", "what it is", "other defaults"), rows),
    ]


def fields(cls: type) -> str:
    """Return the table of a dataclass's fields."""
    usual = defaults_of(cls)
    return table(("key", "default", "meaning"), [(f"`{k}`", code(v), prose(meaning(cls, k))) for k, v in usual.items()])


def without_class(group: str, names: Sequence[str]) -> list[str]:
    """Return the parts about options that no class of seqlab's explains: their yaml does."""
    if group == "experiment":
        rows = [(f"`{n}`", *map(prose, [*header(group, n), "", ""][:3])) for n in names]
        return [table(("experiment", "what it is", "expects", "takes"), rows)]
    usual: dict[str, Any] = {}
    if group == "trainer":  # the same keys, with other values
        usual = keys(group, names[0])
        parts = [f"Keys, with the values of `trainer={names[0]}`. {TRAINER}", keys_of(group, names[0])]
        rows = [(f"`trainer={n}`", title(header(group, n)), differing(group, n, usual)) for n in names]
        return [*parts, table(("option", "what it is", "other defaults"), rows)]
    parts = []
    for name in names:
        target = load(group, name).get("_target_")
        what = f"{title(header(group, name))}." + (f" Class: `{target}`." if target else "")
        parts += [f"### {group}={name}", what, keys_of(group, name)]
    return parts


# ------------------------------------------------------------------ docs/cells.md


def cell_sections() -> list[list[str]]:
    """Return the cells' names, those of one class together, in the order of the families."""
    families = ("native", "gated", "elementwise", "linear", "matrix")
    found = classes("cell")
    order = sorted(found, key=lambda cls: ([*families, cls.family].index(cls.family), found[cls][0]))
    return [sorted(found[cls], key=lambda name: keys("cell", name) != defaults_of(cls)) for cls in order]


def anchor(names: Sequence[str]) -> str:
    """Return the anchor of the section about some cells."""
    return "-".join(names)


def cells() -> str:
    """Return docs/cells.md."""
    sizes = {row["name"]: row for row in cell_rows(INPUT, UNITS)}
    rows = []
    for names in cell_sections():
        for name in names:
            row = sizes[name]
            count = next(v for k, v in row.items() if k.startswith("parameters"))
            link = f"[`{name}`](#{anchor(names)})"
            rows.append(
                (link, row["what it is"], str(row["year"] or ""), row["family"], f"{row['state']:,}", f"{count:,}")
            )
    overview = table(("cell", "what it is", "year", "family", "state", "parameters"), rows)
    return page([CELLS, overview, *(part for names in cell_sections() for part in of_cell(names))])


def of_cell(names: Sequence[str]) -> list[str]:
    """Return the parts about the cells of one class."""
    cls = resolve_class(load("cell", names[0])["_target_"], object)
    module, said = sections(sys.modules[cls.__module__])[""], sections(cls)[""]
    if re.search(r"\d{4}", said.split("\n\n")[0]):  # the class names the paper itself
        module = re.sub(r" \([^()]*\d{4}[^()]*\)", "", module)
    usual = keys("cell", names[0])
    parts = ["## " + ", ".join(f"`{name}`" for name in names), prose(module), body(said)]
    if len(names) > 1:
        rows = [(f"`cell={n}`", title(header("cell", n)), differing("cell", n, usual)) for n in names]
        parts.append(table(("option", "what it is", f"other than `{names[0]}`"), rows))
    parts.append(keys_of("cell", names[0], cls))
    refused = make_cell(names[0], INPUT, UNITS).refuses
    if refused:
        parts.append("It can't take " + "; ".join(f"`{name}`: {prose(why)}" for name, why in refused.items()) + ".")
    recipes = [e for e in options("experiment") if chosen_cell(e) in names]
    return [*parts, "Experiments with it: " + ", ".join(f"`experiment={e}`" for e in recipes) + "." if recipes else ""]


def chosen_cell(experiment: str) -> str | None:
    """Return the cell that an experiment chooses."""
    defaults = yaml.safe_load(config_file("experiment", experiment).read_text(encoding="utf-8")).get("defaults", [])
    return next(
        (entry["override /cell"] for entry in defaults if isinstance(entry, dict) and "override /cell" in entry), None
    )


PAGES = {"reference.md": reference, "cells.md": cells}


def main() -> None:
    """Write the pages, from conf/ alone."""
    os.environ.pop("SEQLAB_CONFIG_PATH", None)
    for name, written in PAGES.items():
        (HERE / name).write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()
