"""A run folder has one living owner."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqlab.runs import lock


def test_a_living_owner_is_named(tmp_path: Path) -> None:
    with lock.owning(tmp_path):
        who = lock.owner(tmp_path)
        assert who is not None
        assert (who["host"], who["pid"]) == (platform.node(), os.getpid())
        code = (
            "import sys, pathlib\nfrom seqlab.runs import lock\n"
            "try:\n    with lock.owning(pathlib.Path(sys.argv[1])): pass\n"
            "except lock.Held as e: print(e); sys.exit(7)\n"
        )
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        assert other.returncode == 7, other.stderr
        assert f"pid {os.getpid()}" in other.stdout
    assert lock.owner(tmp_path) is None


def test_a_killed_owner_does_not_stand_in_the_way(tmp_path: Path) -> None:
    code = (
        "import sys, os, pathlib, signal\nfrom seqlab.runs import lock\n"
        "with lock.owning(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert lock.owner(tmp_path) is not None, "the dead one left its name"
    with lock.owning(tmp_path):
        pass


@pytest.mark.parametrize(("silent", "held"), [(0, True), (lock.DEAD_SECONDS + 5, False)])
def test_another_hosts_owner_counts_while_it_beats(tmp_path: Path, silent: float, held: bool) -> None:
    file = tmp_path / lock.OWNER_FILE
    file.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    os.utime(file, (time.time() - silent,) * 2)
    if held:
        with pytest.raises(lock.Held, match="host elsewhere"), lock.owning(tmp_path):
            pass
    else:
        with lock.owning(tmp_path):
            pass


def test_the_heartbeat_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.02)
    with lock.owning(tmp_path):
        file = tmp_path / lock.OWNER_FILE
        os.utime(file, (0, 0))
        deadline = time.monotonic() + 5
        while file.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert file.stat().st_mtime > 0


def test_only_a_living_owner_counts_as_one(tmp_path: Path) -> None:
    file = tmp_path / lock.OWNER_FILE
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for host, pid, silent, living in (
        (platform.node(), os.getpid(), 0.0, True),
        (platform.node(), ended.pid, 0.0, False),
        (platform.node(), os.getpid(), lock.DEAD_SECONDS + 5, False),
        ("elsewhere", 1, 0.0, True),
        ("elsewhere", 1, lock.DEAD_SECONDS + 5, False),
    ):
        file.write_text(json.dumps({"host": host, "pid": pid}))
        os.utime(file, (time.time() - silent,) * 2)
        assert (lock.living_owner(tmp_path) is not None) == living, (host, pid, silent)
