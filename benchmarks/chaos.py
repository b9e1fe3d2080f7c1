"""Kill things at random moments, start them again, and see that nobody can tell.

    python benchmarks/chaos.py --runs --kills 100 --seed 0
    python benchmarks/chaos.py --sweep --kills 20 --seed 0

``--runs`` (the default): single runs, one of each family of cells on data of several kinds, with dropout, a schedule
and early stopping, are killed with SIGKILL at random moments, from their first instruction to their last, and started
again. Each must end with the weights (SHA-256), scores, rows of metrics.csv and last checkpoint of its uninterrupted
twin, and no more steps may be taken twice than lie between checkpoints.

``--sweep``: a sweep of 12 jobs, two at once, is run without a break, and then again with its whole process group killed
with SIGKILL at random moments. Both must end with the same scores to the last bit, no run.json of a completed run may
ever be written again, and the steps executed in all may exceed the planned ones by at most kills x the steps between
checkpoints x jobs at once. The exit code is 0 only if all of that holds.
"""

from __future__ import annotations

import argparse
import hashlib
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
from functools import partial
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
    """Start ``command`` until it ends, killing its whole process group after ``delay()`` seconds ``kills`` times."""
    result, began, before, ended = Killed(), time.monotonic(), stamps(folder), False
    while not ended:
        process = subprocess.Popen(
            command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        moment = delay() if result.kills < kills else None
        try:
            _, words = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            result.kills += 1
            result.moments.append(moment or 0.0)
        else:
            ended = True
            if process.returncode:
                raise SystemExit(f"The command failed: {words.decode()}")
        after = stamps(folder)
        result.rewritten += [place for place, stamp in before.items() if after.get(place) != stamp]
        before = after
    result.seconds = time.monotonic() - began
    return result


def sweep(kills: int, seed: int, folder: Path, cells: str, seeds: str, epochs: int) -> bool:
    """Kill a sweep; one that ends before all kills came is followed by another. Return whether all is as it must be."""
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
    expected, planned = outcome(folder / "whole"), (folder / "whole.steps").stat().st_size
    print(f"{len(expected)} jobs of {planned} steps in all, {whole.seconds:.0f} s without a break")
    rng, well, done, number = random.Random(seed), True, 0, 0
    while done < kills:
        number += 1
        name = f"broken-{number}"
        # Each start costs a while before the first step; what comes after a sweep's end would be no kill.
        longest = min(2 * (whole.seconds / (kills - done) + 5.0), whole.seconds)
        moments = partial(rng.uniform, 0.0, longest)
        broken = killed(run(name), folder / name, environment, kills - done, moments)
        got, repeated = outcome(folder / name), (folder / f"{name}.steps").stat().st_size - planned
        differing = [place for place in expected if got.get(place) != expected[place]]
        allowed = broken.kills * INTERVAL * JOBS_AT_ONCE
        print(
            f"sweep {number}: {broken.kills} kills in {broken.seconds:.0f} s; {repeated} steps repeated,"
            f" {allowed} allowed; runs that differ: {differing or 'none'};"
            f" completed run.json files written again: {broken.rewritten or 'none'}"
        )
        print(f"  kills after (s): {' '.join(f'{moment:.1f}' for moment in broken.moments)}")
        well = well and not differing and set(got) == set(expected) and not broken.rewritten and repeated <= allowed
        done += broken.kills
    print(f"{done} kills of a sweep's whole process group, seed {seed}")
    return well


#: Checkpoint after so many steps in the single runs.
OFTEN = 5
#: One run a family of cells, on data that needs no download.
RUNS = {
    "native": ["cell=lstm", "data=sunspots", "data.lookback=11", "data.horizon=3"],
    "gated": ["cell=peephole_lstm", "data=tagging", "data.sizes=[192,32,32]"],
    "elementwise": ["cell=indrnn", "data=adding", "data.length=12", "data.sizes=[192,32,32]"],
    "linear": ["cell=mamba", "data=polarity", "data.sentences=[192,32,32]"],
    "matrix": ["cell=mlstm", "data=parity", "data.length=12", "data.test_length=16", "data.sizes=[192,32,32]"],
}
MOVING = [
    *("model.hidden_size=8", "model.num_layers=2", "model.dropout=0.2", "data.batch_size=16", "trainer.max_epochs=8"),
    *("scheduler=plateau", "scheduler.patience=1", "trainer.early_stopping.patience=6", "trainer.on_nan=skip_5"),
    *("trainer.checkpoint.min_seconds=0", f"trainer.checkpoint.every_n_steps={OFTEN}"),
    *("optimizer._target_=counting.Adam", "trainer.enable_progress_bar=false"),
]


def forked(overrides: list[str], steps: Path, moment: float | None) -> tuple[bool, float]:
    """Run in a forked process, killed after ``moment`` seconds; return whether the kill found it running, and its time.

    Forking spares each start the seconds of the imports: the kills fall on the run itself.
    """
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.environ["CHAOS_STEPS"] = str(steps)
            import seqlab

            seqlab.train(overrides)
            code = 0
        finally:
            os._exit(code)
    deadline = began + moment if moment is not None else float("inf")
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise SystemExit(f"The run failed: {' '.join(overrides)}")
            return False, time.monotonic() - began
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True, time.monotonic() - began


def left(folder: Path) -> dict[str, Any]:
    """Return all in a run's folder that must not depend on kills."""
    import torch

    from seqlab.training.checkpoints import weights_digest

    (place,) = records(folder)
    last = torch.load(folder / place / "checkpoints" / "last.ckpt", weights_only=True)
    own = last["seqlab"]["processes"][0]["random"]
    digest = hashlib.sha256(own["torch"].numpy().tobytes() + own["numpy"][1].numpy().tobytes())
    for state in last["optimizer_states"][0]["state"].values():
        for value in state.values():
            digest.update(value.numpy().tobytes())
    return {
        **next(iter(outcome(folder).values())),
        "weights": weights_digest(folder / place),
        "optimiser and random states": digest.hexdigest(),
        "schedules": last["lr_schedulers"],
        "rows": (folder / place / "metrics.csv").read_text(),
        "half-written files": [str(p) for p in (folder / place).rglob("*.tmp")],
    }


def single_runs(kills: int, seed: int, folder: Path) -> bool:
    """Kill single runs; return whether all is as it must be."""
    os.environ |= {"OMP_NUM_THREADS": "1", "SEQLAB_TRUST": "counting", "SEQLAB_CACHE": str(folder / "cache")}
    sys.path.insert(0, str(Path(__file__).parent))
    import seqlab.training.pipeline  # noqa: F401 - before the forks

    rng, well, total = random.Random(seed), True, 0
    for number, (name, overrides) in enumerate(RUNS.items()):
        share = kills // len(RUNS) + (number < kills % len(RUNS))
        whole = folder / name / "whole"
        given = [*overrides, *MOVING, f"output_dir={whole}"]
        _, seconds = forked(given, folder / f"{name}.whole", None)
        expected, planned = left(whole), (folder / f"{name}.whole").stat().st_size
        done = attempts = repeated = 0
        differing: list[str] = []
        while done < share or attempts == 0:
            attempts += 1
            steps, again = folder / f"{name}.{attempts}", folder / name / str(attempts)
            here = 0
            while True:
                moment = rng.uniform(0, seconds) if done < share else None
                hit, _ = forked([*overrides, *MOVING, f"output_dir={again}"], steps, moment)
                done, here = done + hit, here + hit
                if not hit:
                    break
            got = left(again)
            differing += [f"{again.name}: {key}" for key in expected if got[key] != expected[key]]
            repeated += (extra := steps.stat().st_size - planned)
            well = well and 0 <= extra <= 2 * OFTEN * here
        well, total = well and not differing, total + done
        print(
            f"{name:<12} {done:3} kills over {attempts} runs of {planned} steps and {seconds:.1f} s;"
            f" {repeated} steps repeated; differing: {differing or 'nothing'}"
        )
    print(f"{total} kills, seed {seed}")
    return well


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", action="store_true", help="kill single runs (the default)")
    parser.add_argument("--sweep", action="store_true", help="kill a sweep")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--cells", default="rnn,lstm,gru", help="of the sweep")
    parser.add_argument("--seeds", default="range(4)", help="of the sweep")
    parser.add_argument("--epochs", type=int, default=20, help="of each run")
    asked = parser.parse_args()
    well = True
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        if asked.runs or not asked.sweep:
            well = single_runs(asked.kills, asked.seed, folder)
        if asked.sweep:
            well = sweep(asked.kills, asked.seed, folder, asked.cells, asked.seeds, asked.epochs) and well
    print("PASSED" if well else "FAILED")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
