"""Where a run happened: versions, code, hardware and the environment variables that matter. No secrets."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("seqlab", "torch", "lightning", "hydra-core", "torchmetrics", "numpy", "pandas", "scipy", "tokenizers")
#: An allowlist: nothing else of the environment is ever written down.
VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
    "SEQLAB_CONFIG_PATH",
    "SEQLAB_TRUST",
    "SLURM_JOB_ID",
)
DIFF_LIMIT = 200_000


def environment() -> dict[str, Any]:
    """Return versions, git state of the working folder and of seqlab's own checkout, hardware and variables."""
    return {
        "versions": {"python": platform.python_version(), **versions()},
        "git": git_state(Path.cwd()),
        "seqlab_git": own_git_state(),
        "hardware": hardware(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


@functools.cache
def own_git_state() -> dict[str, Any] | None:
    """Return the git state of seqlab's own checkout, read once: what is committed later is not what was imported."""
    return git_state(Path(__file__).parent)


def versions() -> dict[str, str]:
    """Return the installed version of each package that can change a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit, whether anything is uncommitted, and the uncommitted diff up to 200 kB; None outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=True,
        ).stdout

    try:
        commit = git("rev-parse", "HEAD").strip()
        changed = git("status", "--porcelain")
        diff = git("diff", "HEAD") if changed else ""
    except (OSError, subprocess.SubprocessError):
        return None
    cut = len(diff) > DIFF_LIMIT
    return {"commit": commit, "dirty": bool(changed), "diff": diff[:DIFF_LIMIT], "diff_cut": cut}


def hardware() -> dict[str, Any]:
    """Return system, processor, cores, memory in GiB, and the GPUs that torch sees if torch is loaded."""
    import psutil

    torch = sys.modules.get("torch")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch else []
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "threads": torch.get_num_threads() if torch else None,
        "gpus": gpus,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """Return the most memory this process has held, in MB; on CUDA the most that tensors held on the device."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return float(torch.cuda.max_memory_allocated()) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return float(psutil.Process().memory_info().rss) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
