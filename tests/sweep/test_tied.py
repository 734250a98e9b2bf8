"""A command ends with its parent, even one that is killed outright, and so do the command's own children."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PARENT = """
import subprocess, sys, time
command = [sys.executable, "-m", "ssm_sense.sweep.tied", "program", "x", sys.argv[1], "1", "0", "sleep"]
subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(60)
"""


def test_it_ends_with_its_parent(folder: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], cwd=folder)
    pids = folder / "pids"
    end = time.monotonic() + 60
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < end
        time.sleep(0.02)
    command, child = map(int, pids.read_text().split())
    assert os.getpgid(child) == command
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while any(_alive(pid) for pid in (command, child)):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_arguments_and_status_pass_through(folder: Path) -> None:
    command = [sys.executable, "-m", "ssm_sense.sweep.tied", "program", "x", str(folder), "1", "0"]
    with subprocess.Popen(
        [*command, "ok"], stdin=subprocess.PIPE, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as one:
        assert one.wait() == 0
    assert (folder / "result.json").exists()
    with subprocess.Popen([*command, "fail"], stdin=subprocess.PIPE, cwd=folder, stderr=subprocess.PIPE) as one:
        assert one.wait() == 1


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
