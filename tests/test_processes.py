"""Workers end with the process that started them, however that ends, and do not hear its interrupt."""

import subprocess
import sys
from pathlib import Path

import psutil

CREW = """
import multiprocessing, signal, sys, time
from ssm_sense.processes import end_with_parent, start

def work():
    from_the_first = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    end_with_parent()
    print("deaf" if from_the_first else "hears", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests themselves run in the background of a script
    crew = [multiprocessing.get_context("spawn").Process(target=work)]
    start(crew)
    print(crew[0].pid, signal.getsignal(signal.SIGINT) is before, flush=True)
    time.sleep(600)
"""


def test_a_worker_is_gone_when_its_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "crew.py").write_text(CREW)
    parent = subprocess.Popen([sys.executable, "crew.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        number, restored = parent.stdout.readline().split()
        assert restored == "True"
        assert parent.stdout.readline() == "deaf\n"
        worker = psutil.Process(int(number))
    finally:
        parent.kill()
        parent.wait()
    gone, _ = psutil.wait_procs([worker], timeout=30)
    assert gone == [worker]
