"""A run stops where its cap says, says so, and goes on from there."""

import json
import multiprocessing

import pytest

from ssm_sense.evaluate import Cap, Summary, Task, evaluate, evaluate_with_workers, watch
from ssm_sense.evaluate import cap as cap_module


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Clock:
    """Goes on by a second whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clips(clip):
    return [clip(f"c{i}", [10] * 8, 2.0, 7.0, answer="8") for i in range(3)]


def test_out_of_time_is_no_failure_and_the_run_goes_on(clips, session, run, tmp_path, monkeypatch):
    monkeypatch.setattr(cap_module, "time", Clock())
    first = evaluate(clips, session, tmp_path, run, 4, progress=False, cap=Cap.from_now(minutes=5.5 / 60))
    assert first == Summary(watched=2, skipped=0, failed=0, stopped=1)
    done, cut = [row for row in lines(tmp_path / "rows.jsonl") if row["t_s"] == 7.0]
    assert (done["clip"], done["correct"], done["error"]) == ("c0", True, None)
    assert (cut["clip"], cut["correct"], cut["mra"], cut["prediction"]) == ("c1", None, None, None)
    assert cut["error"].startswith("stopped: the cap of 0.0916667 minutes was reached at ")
    assert evaluate(clips, session, tmp_path, run, 4, progress=False) == Summary(watched=2, skipped=1, failed=0)
    assert [row["correct"] for row in lines(tmp_path / "rows.jsonl") if row["t_s"] == 7.0] == [True] * 3


def test_what_holds_too_much_is_given_up_and_the_others_are_watched(clips, session, run, tmp_path, monkeypatch):
    monkeypatch.setattr(type(session.memory), "nbytes", property(lambda memory: 10 * len(memory.seen)))
    clips[0].frames[:] = clips[0].frames[:4]
    summary = evaluate(clips, session, tmp_path, run, 2, progress=False, cap=Cap.from_now(nbytes=50))
    assert summary == Summary(watched=3, skipped=0, failed=0, stopped=2)
    late = {row["clip"]: row for row in lines(tmp_path / "rows.jsonl") if row["t_s"] == 7.0}
    assert late["c0"]["error"] is None
    assert late["c1"]["error"] == "stopped: 70 bytes held at 6 s, more than the cap of 50"
    early = [row["prediction"] for row in lines(tmp_path / "rows.jsonl") if row["t_s"] == 2.0]
    assert early == ["3"] * 3  # what was asked before then stands


def test_workers_stop_as_one_process_does(clips, session, run, tmp_path):
    fork = multiprocessing.get_context("fork")
    task = Task(lambda: session, lambda _: clips, run, 4, 1, Cap.from_now(minutes=0))
    assert evaluate_with_workers(task, 3, tmp_path, 2, progress=False, context=fork) == Summary(0, 0, 0)
    task = task._replace(cap=watch.Cap(nbytes=1))
    assert evaluate_with_workers(task, 3, tmp_path, 2, progress=False, context=fork) == Summary(3, 0, 0, 3)
