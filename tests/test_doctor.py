"""seqlab doctor: what it finds here, and that it calls out what is bad."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqlab.__main__ import main
from seqlab.doctor import check_versions, examine


@pytest.mark.parametrize("package", ["lightning", "pytorch-lightning"])
@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_malicious_releases_are_called_out(package: str, version: str) -> None:
    (finding,) = check_versions({package: version})
    assert finding.state == "bad"
    assert version in finding.found
    assert "GHSA-w37p-236h-pfx3" in finding.found


def test_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLAB_TRUST", "mine")
    found = {f.what: f for f in examine(tmp_path / "new" / "outputs")}
    assert found["torch"].found == torch.__version__
    assert found["threads"].found.startswith(f"{torch.get_num_threads()} of torch on ")
    assert found["runs"].found.endswith("can be written to (will be made)")
    assert not (tmp_path / "new").exists()
    assert "mine" in found["trusted packages"].found
    assert {f"extra {name}" for name in ("hub", "slurm", "ray", "mlflow", "wandb", "parity")} <= set(found)


def test_a_folder_that_cannot_be_written_to_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert main(["doctor", "--output-dir", str(file / "outputs")]) == 1
    out = capsys.readouterr().out
    assert "can't be written to" in out
    assert main(["doctor", "--output-dir", str(tmp_path)]) == 0
