"""Kill things at random moments, start them again, and see that nobody can tell.

    python benchmarks/chaos.py --sweep --kills 20 --seed 0

``--sweep``: a sweep of 12 jobs, two at once, is run without a break, and then again with its whole process group killed
with SIGKILL at random moments. Both must end with the same scores to the last bit, no run.json of a completed run may
ever be written again, and the steps executed in all may exceed the planned ones by at most kills x the steps between
checkpoints x jobs at once. The exit code is 0 only if all of that holds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INTERVAL = 10
JOBS_AT_ONCE = 2


@dataclass
class Killed:
    """What happened to a command that was killed over and over.

    Attributes:
        kills: that reached a process which still ran.
        seconds: from the first start to the last end.
        moments: seconds into each start at which the kill came.
        rewritten: run.json files of completed runs that were written again.
    """

    kills: int = 0
    seconds: float = 0.0
    moments: list[float] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every run.json below ``folder`` by its place there; folders set aside are passed over."""
    found = {}
    for file in sorted(folder.rglob("run.json")):
        place = file.parent.relative_to(folder)
        if not any(part.startswith(".") for part in place.parts):
            found[str(place)] = json.loads(file.read_text())
    return found


def outcome(folder: Path) -> dict[str, Any]:
    """Return all in the records that must not depend on when a run was killed."""
    kept = ("status", "metrics", "baselines", "parameters", "state_size", "best_epoch", "epochs", "steps", "config")
    return {
        place: {key: record.get(key) for key in kept} | {"config": {**record["config"], "output_dir": ""}}
        for place, record in records(folder).items()
    }


def stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, time and size of the run.json of every completed run: any writing changes the first two."""
    found = {}
    for place, record in records(folder).items():
        if record["status"] == "completed":
            status = (folder / place / "run.json").stat()
            found[place] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def killed(
    command: Sequence[str], folder: Path, environment: dict[str, str], kills: int, delay: Callable[[], float]
) -> Killed:
    """Start ``command`` again and again, killing its whole process group after ``delay()`` seconds; then let it end."""
    result, began, before = Killed(), time.monotonic(), stamps(folder)
    for number in range(kills + 1):
        last = number == kills
        process = subprocess.Popen(
            command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        moment = delay()
        try:
            _, words = process.communicate(timeout=None if last else moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            result.kills += 1
            result.moments.append(moment)
        else:
            if process.returncode:
                raise SystemExit(f"The command failed: {words.decode()}")
        after = stamps(folder)
        result.rewritten += [place for place, stamp in before.items() if after.get(place) != stamp]
        before = after
    result.seconds = time.monotonic() - began
    return result


def sweep(kills: int, seed: int, folder: Path, cells: str, seeds: str, epochs: int) -> bool:
    """Kill a sweep; return whether all is as it must be."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "SEQLAB_TRUST": "counting",
        "OMP_NUM_THREADS": "1",
    }

    def run(name: str) -> list[str]:
        environment["CHAOS_STEPS"] = str(folder / f"{name}.steps")
        return [
            *(sys.executable, "-m", "seqlab", "train", "-m", f"cell={cells}", f"seed={seeds}", "data=co2"),
            *("data.lookback=52", "model.hidden_size=16", "optimizer._target_=counting.Adam"),
            *(f"trainer.max_epochs={epochs}", f"trainer.checkpoint.every_n_steps={INTERVAL}"),
            *("sweep.allow_mixed_code=true", f"hydra.launcher.jobs={JOBS_AT_ONCE}", f"output_dir={folder / name}"),
        ]

    whole = killed(run("whole"), folder / "whole", environment, 0, lambda: 0.0)
    mean = whole.seconds / max(1, kills) + 5.0  # each start costs a while before the first step
    rng = random.Random(seed)
    broken = killed(run("broken"), folder / "broken", environment, kills, lambda: rng.uniform(0, 2 * mean))
    expected, got = outcome(folder / "whole"), outcome(folder / "broken")
    planned, executed = ((folder / f"{name}.steps").stat().st_size for name in ("whole", "broken"))
    allowed = broken.kills * INTERVAL * JOBS_AT_ONCE
    print(
        f"{len(expected)} jobs, {whole.seconds:.0f} s without a break; {broken.seconds:.0f} s with {broken.kills} kills"
    )
    print(f"kills after (s): {' '.join(f'{moment:.1f}' for moment in broken.moments)}")
    print(f"steps: {planned} planned, {executed} executed: {executed - planned} repeated, {allowed} allowed")
    differing = [place for place in expected if got.get(place) != expected[place]]
    print(f"runs that differ from the uninterrupted ones: {differing or 'none'}")
    print(f"completed run.json files written again: {broken.rewritten or 'none'}")
    return not differing and set(got) == set(expected) and not broken.rewritten and executed - planned <= allowed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", action="store_true", help="kill a sweep")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--cells", default="rnn,lstm,gru", help="of the sweep")
    parser.add_argument("--seeds", default="range(4)", help="of the sweep")
    parser.add_argument("--epochs", type=int, default=20, help="of each run")
    asked = parser.parse_args()
    if not asked.sweep:
        parser.error("nothing to kill: --sweep")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        well = sweep(asked.kills, asked.seed, Path(folder), asked.cells, asked.seeds, asked.epochs)
    print("PASSED" if well else "FAILED")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
