"""The built wheel carries conf/ and works in an empty folder outside the checkout."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.process
def test_it_carries_the_configs_and_the_plugin_and_nothing_foreign(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {n.removeprefix("seqlab/conf/") for n in names if n.startswith("seqlab/conf/") and n.endswith(".yaml")}
    assert shipped == {str(p.relative_to(ROOT / "conf")) for p in (ROOT / "conf").rglob("*.yaml")}
    assert "hydra_plugins/seqlab/__init__.py" in names
    assert "hydra_plugins/__init__.py" not in names, "it would hide other plugins"
    assert "seqlab/py.typed" in names
    assert {n.partition("/")[0].partition("-")[0] for n in names} == {"seqlab", "hydra_plugins"}


@pytest.mark.process
def test_it_trains_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    pure = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    # The dependencies that are installed here, after the new environment's own packages, and without the checkout.
    installed = {sysconfig.get_path("purelib"), *site.getsitepackages()}
    (pure / "installed.pth").write_text("\n".join(sorted(installed)) + "\n")
    here = tmp_path / "empty"
    here.mkdir()
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    where = subprocess.check_output(
        [python, "-c", "import seqlab; print(seqlab.__file__)"], cwd=here, text=True, env=clean
    )
    assert str(tmp_path) in where, "the wheel, not the checkout"
    command = [
        tmp_path / "env" / "bin" / "seqlab",
        "train",
        "data=co2",
        "trainer=debug",
        "model.hidden_size=4",
        "trainer.max_steps=1",
    ]
    ended = subprocess.run(command, cwd=here, capture_output=True, text=True, env=clean, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(list(here.rglob("run.json"))) == 1
