"""The five commands of SLURM that submitit calls, on one machine: what a job sees is what SLURM would show it.

``install(folder)`` writes them as executables; $FAKE_SLURM is where they keep their state.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ARRAY = "4711"
COMMANDS = ("sbatch", "srun", "sacct", "scontrol", "scancel")


def install(folder: Path) -> dict[str, str]:
    """Write the commands into ``folder`` and return the environment that finds them."""
    folder.mkdir()
    for name in COMMANDS:
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} {name} "$@"\n')
        file.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(folder)}


def sbatch(arguments: list[str]) -> None:
    script = arguments[-1]
    last = re.search(r"#SBATCH --array=0-(\d+)", Path(script).read_text())
    sys.stdout.write(f"Submitted batch job {ARRAY}\n")
    sys.stdout.flush()
    if os.fork() == 0:
        os.setsid()
        for descriptor in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        with ThreadPoolExecutor(2) as two_nodes:
            list(two_nodes.map(lambda i: run(script, i), range(int(last[1]) + 1 if last else 1)))


def run(script: str, index: int) -> None:
    state = Path(os.environ["FAKE_SLURM"], f"{ARRAY}_{index}")
    variables = {"JOB_ID": str(int(ARRAY) + 1 + index), "ARRAY_JOB_ID": ARRAY, "ARRAY_TASK_ID": str(index)}
    variables |= {"NTASKS": "1", "JOB_NUM_NODES": "1", "NODEID": "0", "PROCID": "0", "LOCALID": "0"}
    variables |= {"JOB_NODELIST": "node1", "JOB_NAME": "seqlab", "NTASKS_PER_NODE": "1", "STEP_ID": "0"}
    restarts = 0
    while True:
        state.write_text("RUNNING")
        variables["RESTART_COUNT"] = str(restarts)
        environment = {**os.environ, **{f"SLURM_{name}": value for name, value in variables.items()}}
        code = subprocess.run(["bash", script], env=environment, check=False).returncode
        requeued = state.with_suffix(".requeue")
        if not requeued.exists():
            break
        requeued.unlink()
        restarts += 1
    state.write_text("FAILED" if code else "COMPLETED")


def srun(arguments: list[str]) -> None:
    command = arguments
    while command[0].startswith("--"):
        command = command[1 if command[0] == "--unbuffered" else 2 :]
    log = os.open(Path(os.environ["FAKE_SLURM"], "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.execvp(command[0], command)


def sacct(arguments: list[str]) -> None:
    states = sorted(Path(os.environ["FAKE_SLURM"]).glob(f"{ARRAY}_?"))
    sys.stdout.write("JobID|State|NodeList\n" + "".join(f"{s.name}|{s.read_text()}|node1\n" for s in states))


def scontrol(arguments: list[str]) -> None:
    assert arguments[0] == "requeue"
    Path(os.environ["FAKE_SLURM"], f"{arguments[1]}.requeue").touch()


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2:])
