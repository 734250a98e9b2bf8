"""`ssm-sense sweep` from a file to a figure, over real commands, and after a kill."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ssm_sense.cli import INTERRUPTED_STATUS, main
from ssm_sense.sweep.plan import read_plan

SWEEP = """
name: rendered
run:
  - world render --out {cell} --minutes {minutes} --size 32 --seed {seed} --workers 1
grid:
  minutes: [0.02, none]
seeds: [0]
limit: {minutes: 2}
result: "{cell}/index_0.02mins.json"
figure: {x: minutes, y: duration_s}
"""
"""A video of a second, and one whose length is no number."""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    path = tmp_path / "videos" / "sweep.yaml"
    path.write_text(SWEEP)
    return path


def lines(sweep: Path) -> list[dict]:
    return [json.loads(line) for line in (sweep.parent / "rows.jsonl").read_text().splitlines()]


def test_a_sweep_of_real_commands_gives_rows_table_and_figure(sweep: Path, capsys) -> None:
    assert main(["sweep", str(sweep.parent)]) == 1
    done, failed = lines(sweep)
    assert done["error"] is None
    assert done["result"] == [
        {"video": "0.02mins/00000000.mp4", "truth": "0.02mins/00000000.json", "split": "train", "duration_s": 1.0}
    ]
    assert failed["result"] is None
    assert failed["error"].startswith("`ssm-sense world` ended with status 2\n")
    assert "invalid float value: 'none'" in failed["error"]
    files = ["rows.jsonl", "table.csv", "table.md", "duration_s.png", "duration_s.svg"]
    assert capsys.readouterr().out.split() == [str(sweep.parent / name) for name in files]
    assert "| 0.02 | 1 |" in (sweep.parent / "table.md").read_text()
    table = (sweep.parent / "table.md").read_bytes()
    (sweep.parent / "table.md").unlink()
    assert main(["sweep", str(sweep), "--report"]) == 0
    assert (sweep.parent / "table.md").read_bytes() == table
    assert main(["sweep", str(sweep), "--only", "minutes=0.02"]) == 0
    assert lines(sweep) == [done, failed]


def test_a_dry_run_prints_what_would_be_run(sweep: Path, capsys) -> None:
    sweep.write_text(sweep.read_text() + "prepare: [info]\n")
    assert main(["sweep", str(sweep), "--dry-run", "--work", "scratch", "--limit", "1"]) == 0
    head, title, command, tail = capsys.readouterr().out.splitlines()
    assert (head, title, tail) == ("prepare: ssm-sense info", "minutes=0.02 seed=0", "1 of 2 cells, 1 to run")
    assert command.startswith("    ssm-sense world render --out scratch/cells/0.02-0-")
    assert os.listdir(sweep.parent) == ["sweep.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "minutes"], "--only: expected COLUMN=VALUE, got 'minutes'"),
        (["--only", "minutes=1"], "--only minutes: expected some of 0.02, none, got '1'"),
        (["--workers", "0"], "--workers: expected more than 0, got 0"),
        (["--cpus", "inf"], "--cpus: expected more than 0, got inf"),
        (["--gpus", "-1"], "--gpus: expected 0 or more, got -1"),
        (["--gpus", "nan"], "--gpus: expected 0 or more, got nan"),
        (["--report"], "rows.jsonl: expected a row of the sweep, found none"),
    ],
)
def test_what_is_wrong_is_one_line(sweep: Path, arguments: list[str], message: str, capsys) -> None:
    assert main(["sweep", str(sweep), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_the_helps_examples_are_of_sweeps_that_there_are(monkeypatch, capsys) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    examples = re.findall("ssm-sense (sweep experiments/.*)", capsys.readouterr().out)
    assert len(examples) == 3
    for example in examples:
        assert main([*shlex.split(example), "--dry-run"]) == 0


def test_rows_of_other_commands_are_mentioned_and_not_counted(sweep: Path, capsys) -> None:
    row = {"cell": "old", "grid": {"minutes": 0.02}, "seed": 0, "result": {"duration_s": 99}, "error": None}
    (sweep.parent / "rows.jsonl").write_text(json.dumps(row) + "\n")
    assert main(["sweep", str(sweep), "--report"]) == 2
    ours = {**row, "cell": read_plan(sweep, {"world"}).cells[0].name, "result": {"duration_s": 1}}
    (sweep.parent / "rows.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(ours)}\n")
    assert main(["sweep", str(sweep), "--report"]) == 0
    assert "1 rows are of commands that sweep.yaml no longer has" in capsys.readouterr().err
    assert (sweep.parent / "table.csv").read_text().splitlines()[1:] == ["0.02,duration_s,1,,,1"]


HOLD = """
import sys
from pathlib import Path
from ssm_sense.sweep import drive
from ssm_sense.cli import main

def held(*_):
    print("in", flush=True)
    sys.stdin.read()

drive.prepare = held
main(["sweep", sys.argv[1], "--only", "minutes=none"])
"""
"""A sweep that stands still once it has begun."""


def test_a_second_sweep_of_the_same_rows_is_refused_whatever_its_scratch_folder(sweep: Path, capsys) -> None:
    command = [sys.executable, "-c", HOLD, str(sweep)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "in\n"
        assert main(["sweep", str(sweep), "--work", "elsewhere"]) == 2
        first.communicate("", timeout=60)
    told = f"{sweep.parent}: expected a folder in which nothing runs, but another process works there; wait for it\n"
    assert capsys.readouterr().err.endswith(told)
    assert [line["grid"] for line in lines(sweep)] == [{"minutes": "none"}]


def test_rows_that_another_sweep_wrote_until_the_lock_are_kept(sweep: Path, monkeypatch) -> None:
    cell, other = read_plan(sweep, {"world"}).cells
    made = [{"cell": one.name, "grid": one.grid, "seed": 0, "result": {"duration_s": 1}} for one in (cell, other)]

    @contextmanager
    def alone_in(*folders: Path) -> Iterator[None]:
        (sweep.parent / "rows.jsonl").write_text("".join(json.dumps({**line, "error": None}) + "\n" for line in made))
        yield

    monkeypatch.setattr("ssm_sense.lock.alone_in", alone_in)
    assert main(["sweep", str(sweep)]) == 0
    assert [line["result"] for line in lines(sweep)] == [{"duration_s": 1}] * 2


def test_an_interrupt_leaves_whole_rows_and_no_process(sweep: Path) -> None:
    sweep.write_text(sweep.read_text().replace("[0.02, none]", "[none, 30]"))
    command = [sys.executable, "-m", "ssm_sense.cli", "sweep", str(sweep)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 120
        while not list(Path("runs/sweeps/rendered/cells").glob("30-*/30mins")):
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)
        commands = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == INTERRUPTED_STATUS
    _, running = psutil.wait_procs(commands, timeout=30)
    assert (len(commands) > 0, running) == (True, [])
    assert [line["grid"] for line in lines(sweep)] == [{"minutes": "none"}]
