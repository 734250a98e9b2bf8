"""A cell runs its commands and gives a line, whatever goes wrong; and nothing of it outlives it."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ssm_sense.sweep.cell import InterruptedCell, run_cell


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def wait_for(what, limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def modes(plan, *names: str, **keys):
    return plan(grid={"value": [2], "mode": {name: name for name in names}}, seeds=[3], **keys)


def test_a_cell_gives_its_result_and_what_made_it(plan, place, folder) -> None:
    made = modes(plan, "ok")
    (folder / "work/cells" / made.cells[0].name).mkdir(parents=True)
    (folder / "work/cells" / made.cells[0].name / "old").touch()
    line = run_cell(made.cells[0], place(made, threads=2))
    assert (line["cell"], line["grid"], line["seed"]) == (made.cells[0].name, {"value": 2, "mode": "ok"}, 3)
    assert (line["result"], line["error"]) == ({"score": 5.0, "threads": "2"}, None)
    scratch = f"work/cells/{made.cells[0].name}"
    assert line["commands"] == [f"ssm-sense info {scratch} 2 3 ok"]
    assert 0 < line["seconds"] < 30
    assert line["commit"]
    assert line["backend"]
    assert line["versions"]["torch"]
    assert (folder / scratch / "log.txt").read_text() == f"$ {line['commands'][0]}\nvalue 2 seed 3 ok\n"
    assert not (folder / scratch / "old").exists()


def test_a_failing_command_leaves_its_last_words_without_this_machines_paths(plan, place, folder) -> None:
    made = modes(plan, "fail", run=["info {cell} {value} {seed} {mode}", "info {cell} {value} {seed} ok"])
    line = run_cell(made.cells[0], place(made))
    assert line["result"] is None
    first, *tail = line["error"].splitlines()
    assert first == "`ssm-sense info` ended with status 1"
    assert tail == [f"$ {line['commands'][0]}", "value 2 seed 3 fail", "cannot read ./film.mp4"]


def test_a_command_that_writes_no_result_has_failed(plan, place) -> None:
    made = modes(plan, "silent")
    line = run_cell(made.cells[0], place(made))
    assert line["error"].endswith("result.json: expected the commands of the cell to write it")
    assert not line["error"].startswith("/")


def test_a_result_must_not_contradict_the_cell(plan, place) -> None:
    made = plan(grid={"score": [5.0, 7.0], "mode": ["ok"]}, run=["info {cell} 2 {seed} {mode} {score}"], seeds=[3])
    right, wrong = (run_cell(cell, place(made)) for cell in made.cells)
    assert right["result"] == {"threads": "1"}
    assert wrong["error"] == "the result has 'score' 5.0, the cell 7.0; expected another name"


@pytest.mark.parametrize("how", ["limit", "stop"])
def test_a_cell_that_is_ended_takes_its_processes_along(plan, place, folder, how: str) -> None:
    made = modes(plan, "sleep", limit={"minutes": 0.05} if how == "limit" else None)
    pids = folder / "work/cells" / made.cells[0].name / "pids"
    stop = threading.Event()
    if how == "limit":
        line = run_cell(made.cells[0], place(made), stop)
        assert line["error"].splitlines()[0] == "ended after 0.05 minutes, the limit of a cell"
        assert 3 <= line["seconds"] < 30
    else:
        threading.Thread(target=lambda: (wait_for(pids.exists), stop.set())).start()
        with pytest.raises(InterruptedCell):
            run_cell(made.cells[0], place(made), stop)
    for pid in map(int, pids.read_text().split()):
        wait_for(lambda pid=pid: not alive(pid))


def interrupted(cell, place, half: Path) -> None:
    stop = threading.Event()
    threading.Thread(target=lambda: (wait_for(half.exists), stop.set())).start()
    with pytest.raises(InterruptedCell):
        run_cell(cell, place, stop)


@pytest.fixture
def code_is(monkeypatch) -> Callable[[str], None]:
    """Says which commit runs."""

    def say(commit: str) -> None:
        monkeypatch.setattr("ssm_sense.sweep.cell.commit_of", lambda *_: commit)

    return say


def test_a_cell_that_was_interrupted_goes_on_where_it_was_if_it_may(plan, place, folder, code_is) -> None:
    code_is("one")
    made = modes(plan, "goes-on", resume=True)
    half = folder / "work/cells" / made.cells[0].name / "half"
    interrupted(made.cells[0], place(made), half)
    line = run_cell(made.cells[0], place(made))
    assert (line["result"], line["error"]) == ({"score": 5.0, "threads": "1"}, None)
    assert line["seconds"] is None, "nobody measured both parts"
    assert half.exists()
    interrupted(made.cells[0], place(made), half)
    assert not (half.parent / "result.json").exists(), "it had ended, and so begins with nothing"


@pytest.mark.parametrize(
    ("resume", "first", "then"), [(False, "one", "one"), (True, "one", "two"), (True, "one+changes", "one+changes")]
)
def test_what_may_not_go_on_or_maybe_other_code_began_begins_anew(
    plan, place, folder, code_is, resume: bool, first: str, then: str
) -> None:
    made = modes(plan, "goes-on", resume=resume)
    half = folder / "work/cells" / made.cells[0].name / "half"
    code_is(first)
    interrupted(made.cells[0], place(made), half)
    (half.parent / "old").touch()
    code_is(then)
    interrupted(made.cells[0], place(made), half)
    assert not (half.parent / "old").exists()


def test_the_current_folder_may_be_another(plan, place, tmp_path_factory, monkeypatch) -> None:
    made = modes(plan, "ok")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert run_cell(made.cells[0], place(made))["error"] is None
    assert os.listdir() == []
