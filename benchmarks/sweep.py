"""What a sweep costs beside the training itself: seqlab's local launcher, Hydra's basic one, and joblib's.

    python benchmarks/sweep.py                  12 jobs that train 15 s each, two at once
    python benchmarks/sweep.py --jobs 4 --seconds 5

Each job trains for the same time by the clock (trainer.max_time), so that the ideal is known: jobs x seconds / 2. What
a sweep takes beyond it is the start, reading data, scoring three splits, writing, and idle cores at the end. The start
(until the first job begins) is printed apart. joblib's row needs pip install -c constraints.txt --group bench.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AT_ONCE = 2
LAUNCHERS = {
    "seqlab local": [f"hydra.launcher.jobs={AT_ONCE}"],
    "hydra basic": ["hydra/sweeper=basic", "hydra/launcher=basic"],
    "hydra joblib": ["hydra/sweeper=basic", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={AT_ONCE}"],
}


def run(name: str, jobs: int, seconds: int, folder: Path) -> tuple[float, float, float]:
    """Run a sweep; return its wall time, the part of it before the first job, and the seconds trained in all."""
    command = [
        *(sys.executable, "-m", "seqlab", "train", "-m", "data=co2", "cell=lstm", f"seed=range({jobs})"),
        *("trainer.max_epochs=-1", f"trainer.max_time={{seconds: {seconds}}}", f"output_dir={folder}"),
        *LAUNCHERS[name],
    ]
    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall = time.time() - began
    records = [json.loads(file.read_text()) for file in folder.rglob("run.json")]
    if done.returncode or len(records) != jobs or {r["status"] for r in records} != {"completed"}:
        raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")
    said = re.search(r", ([\d.]+) s of it to start", done.stdout)
    first = min(file.stat().st_mtime for file in folder.rglob(".hydra/config.yaml")) - began
    return wall, float(said[1]) if said else first, sum(r["seconds"]["fit"] for r in records)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=15, help="of training, of each job")
    asked = parser.parse_args()
    ideal = asked.jobs * asked.seconds / AT_ONCE
    print(f"{asked.jobs} jobs of {asked.seconds} s of training, {AT_ONCE} at once: ideally {ideal:.0f} s")
    print(f"{'launcher':<14}{'wall s':>8}{'start s':>9}{'rest / ideal':>14}{'trained s':>11}")
    well = True
    for name in LAUNCHERS:
        if name == "hydra joblib" and importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
            print(f"{name:<14}  not installed: pip install -c constraints.txt --group bench")
            continue
        with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
            wall, start, trained = run(name, asked.jobs, asked.seconds, Path(folder))
        ratio = (wall - start) / ideal
        print(f"{name:<14}{wall:>8.1f}{start:>9.1f}{ratio:>14.2f}{trained:>11.1f}")
        if name == "seqlab local":
            well = ratio <= 1.15 and start <= 5
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
