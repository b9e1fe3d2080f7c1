"""``seqlab doctor``: what this machine has that seqlab needs, and what is known to be bad."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from rich.console import Console

from seqlab.config import conf_dir, search_path, trusted_packages
from seqlab.data.cache import cache_dir
from seqlab.runs.environment import hardware, versions

#: Releases that must not be used, and why.
KNOWN_BAD = {
    (package, version): "a malicious release (GHSA-w37p-236h-pfx3): remove it and change the secrets of this machine"
    for package in ("lightning", "pytorch-lightning")
    for version in ("2.6.2", "2.6.3")
}
#: Extra of the project: the module that it brings.
EXTRAS = {
    "hub": "datasets",
    "slurm": "hydra_plugins.hydra_submitit_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
    "mlflow": "mlflow",
    "wandb": "wandb",
    "parity": "torchrecurrent",
}
State = Literal["ok", "note", "bad"]
COLOURS: dict[State, str] = {"ok": "green", "note": "yellow", "bad": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: what was looked at, what was found, and whether it is well."""

    what: str
    found: str
    state: State = "ok"


def main(arguments: Sequence[str]) -> int:
    """Run ``seqlab doctor``: 0 if all that is needed is there and nothing is known to be bad, 1 otherwise."""
    parser = argparse.ArgumentParser("seqlab doctor", description=__doc__)
    parser.add_argument("--output-dir", default="outputs", help="where runs go")
    chosen = parser.parse_args(list(arguments))
    found = examine(Path(chosen.output_dir))
    console = Console(highlight=False, soft_wrap=True)
    for finding in found:
        console.print(f"[{COLOURS[finding.state]}]{finding.state:<5}[/]", f"{finding.what:<20}", end=" ")
        console.print(finding.found, markup=False)
    return 1 if any(finding.state == "bad" for finding in found) else 0


def examine(output_dir: Path) -> list[Finding]:
    """Return all findings about this machine.

    Args:
        output_dir: where runs go; it need not exist.
    """
    return [
        _python(),
        *check_versions({**versions(), **_installed("pytorch-lightning")}),
        *_devices(),
        _writable("runs", output_dir),
        _writable("cache", cache_dir()),
        Finding("configs", ", ".join(map(str, search_path())), "ok" if conf_dir().is_dir() else "bad"),
        Finding("trusted packages", ", ".join(sorted(trusted_packages()))),
        *(_extra(name, module) for name, module in EXTRAS.items()),
    ]


def check_versions(installed: dict[str, str]) -> list[Finding]:
    """Return one finding a package; releases that are known to be bad are called out."""
    found = []
    for package, version in installed.items():
        reason = KNOWN_BAD.get((package, version))
        found.append(Finding(package, f"{version}: {reason}" if reason else version, "bad" if reason else "ok"))
    return found


def _python() -> Finding:
    fits = (3, 11) <= sys.version_info < (3, 14)
    return Finding("python", platform.python_version() + ("" if fits else ": 3.11 to 3.13 is supported"), _well(fits))


def _well(good: bool) -> State:
    return "ok" if good else "bad"


def _installed(package: str) -> dict[str, str]:
    try:
        return {package: metadata.version(package)}
    except metadata.PackageNotFoundError:
        return {}


def _devices() -> list[Finding]:
    import torch

    here = hardware()
    threads, cores = torch.get_num_threads(), here["cores"]
    gpus = ", ".join(here["gpus"]) if here["gpus"] else "none: trainer=cpu (the default) is what runs here"
    return [
        Finding("processor", f"{here['processor']}, {cores} cores, {here['memory_gib']} GiB of memory"),
        Finding("gpus", gpus, "ok" if here["gpus"] else "note"),
        Finding(
            "threads",
            f"{threads} of torch on {cores} cores"
            + (f" (OMP_NUM_THREADS={omp})" if (omp := os.environ.get("OMP_NUM_THREADS")) else "")
            + (": more threads than cores slow each other down; set OMP_NUM_THREADS" if threads > cores else ""),
            "note" if threads > cores else "ok",
        ),
    ]


def _writable(what: str, folder: Path) -> Finding:
    """Try to write where files will go: in the folder, or in the nearest one above it that exists."""
    place = folder.expanduser().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
    except OSError as error:
        return Finding(what, f"{folder}: can't be written to ({error.strerror or error})", "bad")
    return Finding(what, f"{folder}: can be written to" + ("" if folder.exists() else " (will be made)"))


def _extra(name: str, module: str) -> Finding:
    try:
        there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        there = False
    return Finding(f"extra {name}", "present" if there else f"absent: pip install 'seqlab[{name}]'", _note(there))


def _note(good: bool) -> State:
    return "ok" if good else "note"
