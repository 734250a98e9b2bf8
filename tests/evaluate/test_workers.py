"""Several processes write what one does, and a kill loses only what was being watched."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ssm_sense.errors import UserError
from ssm_sense.evaluate import RunInfo, Summary, Task, evaluate, evaluate_with_workers
from ssm_sense.lock import alone_in
from ssm_sense.stream import Session

FORK = multiprocessing.get_context("fork")  # what is opened is of this module, which a spawned process cannot import
TIMED = {"ms", "ms_per_frame", "answer_ms", "wall_s", "peak_bytes"}


def lines(path: Path) -> list[str]:
    """Without what was timed, and sorted, for workers finish in any order."""
    parsed = map(json.loads, path.read_text().splitlines())
    return sorted(json.dumps({k: v for k, v in line.items() if k not in TIMED}) for line in parsed)


@pytest.fixture
def clips(clip):
    """Five streams of different lengths, one of which fails."""
    made = [clip(f"c{i}", [10] * (3 + i), 1.0, 9.0) for i in range(4)]
    return [*made, clip("white", [10, 255], 0.0, 1.0)]


def work(out: Path, clips, session: Session, run: RunInfo, workers: int = 2, opened=None) -> Summary:
    task = Task(lambda: session, opened or (lambda _: clips), run, 4, 1)
    return evaluate_with_workers(task, len(clips), out, workers, progress=False, context=FORK)


def test_several_processes_write_what_one_does(clips, session, run, tmp_path):
    alone = evaluate(clips, session, tmp_path / "one", run, 4, progress=False)
    assert work(tmp_path / "two", clips, session, run) == alone == Summary(5, 0, 1)
    for name in ("rows", "frames", "clips"):
        assert lines(tmp_path / "two" / f"{name}.jsonl") == lines(tmp_path / "one" / f"{name}.jsonl")
    assert not (tmp_path / "two" / ".workers").exists()
    again = work(tmp_path / "two", clips, session, run, workers=3)
    assert again == Summary(watched=1, skipped=4, failed=1)  # the one that failed is tried anew
    assert lines(tmp_path / "two" / "rows.jsonl") == lines(tmp_path / "one" / "rows.jsonl")


def test_frames_of_a_clip_stay_together_and_in_order(clips, session, run, tmp_path):
    work(tmp_path, clips, session, run)
    seen = [json.loads(line) for line in (tmp_path / "frames.jsonl").read_text().splitlines()]
    names = [frame["clip"] for frame in seen]
    assert sorted(names, key=names.index) == names
    for name in set(names):
        assert [f["t_s"] for f in seen if f["clip"] == name] == sorted(f["t_s"] for f in seen if f["clip"] == name)


class DyingClips:
    """Clips, one of which kills whoever watches it, or already whoever asks for it, so many times."""

    def __init__(self, clips, marks: Path, times: int, asked: bool = False) -> None:
        self.clips, self.marks, self.times, self.asked = clips, marks, times, asked

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: int):
        if place != 1:
            return self.clips[place]
        if self.asked:
            self._kill()
        return replace(self.clips[1], frames=self._frames())

    def _frames(self):
        yield from self.clips[1].frames[:2]
        self._kill()
        yield from self.clips[1].frames[2:]

    def _kill(self) -> None:
        if len(list(self.marks.iterdir())) < self.times:
            (self.marks / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("asked", [False, True])
def test_a_clip_whose_worker_is_killed_is_rows_with_an_error_and_the_run_goes_on(
    clips, session, run, tmp_path, workers, asked
):
    (marks := tmp_path / "marks").mkdir()
    dying = DyingClips(clips[:4], marks, 1, asked)
    assert work(tmp_path, dying, session, run, workers, opened=partial(_give, dying)) == Summary(4, 0, 1)
    assert not (tmp_path / ".workers").exists()
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    lost = [row for row in rows if row["clip"] == "c1"]
    assert len(rows) == 8
    assert [row["error"] for row in lost] == ["LostWorkerError: its worker ended with status -9"] * 2
    assert [(row["prediction"], row["mra"]) for row in lost] == [(None, 0.0)] * 2
    assert {row["error"] for row in rows if row["clip"] != "c1"} == {None}
    assert work(tmp_path, dying, session, run, workers, opened=partial(_give, dying)) == Summary(1, 3, 0)
    evaluate(clips[:4], session, tmp_path / "one", run, 4, progress=False)
    assert lines(tmp_path / "rows.jsonl") == lines(tmp_path / "one" / "rows.jsonl")


def test_a_clip_that_kills_whoever_asks_for_it_ends_the_run(clips, session, run, tmp_path):
    (marks := tmp_path / "marks").mkdir()
    dying = DyingClips(clips[:4], marks, 9, asked=True)
    with pytest.raises(RuntimeError, match="a worker ended with status -9; run it again to go on"):
        work(tmp_path, dying, session, run, workers=1, opened=partial(_give, dying))
    assert len(list(marks.iterdir())) == 2
    assert len((tmp_path / "clips.jsonl").read_text().splitlines()) == 1


def test_a_worker_that_fails_or_is_killed_before_it_has_a_clip_ends_the_run(clips, session, run, tmp_path):
    def broken(_):
        raise OSError("no such model")

    with pytest.raises(RuntimeError, match="a worker ended with status 1; run it again to go on"):
        work(tmp_path, clips, session, run, opened=broken)
    with pytest.raises(RuntimeError, match="a worker ended with status -9; run it again to go on"):
        work(tmp_path, clips, session, run, opened=lambda _: os.kill(os.getpid(), signal.SIGKILL))
    assert (tmp_path / "clips.jsonl").read_text() == ""


def _give(clips, session: Session):
    return clips


def test_what_a_killed_run_left_is_taken_in_once(clips, session, run, tmp_path):
    """Also where the kill came in the middle of moving it over."""
    part = tmp_path / ".workers" / "ours" / "0"
    evaluate(clips[:2], session, part, run, 4, progress=False)
    (tmp_path / "rows.jsonl").write_text((part / "rows.jsonl").read_text())  # moved, and not yet committed
    assert work(tmp_path, clips[:4], session, run) == Summary(2, 2, 0)
    evaluate(clips[:4], session, tmp_path / "one", run, 4, progress=False)
    assert lines(tmp_path / "rows.jsonl") == lines(tmp_path / "one" / "rows.jsonl")
    evaluate(clips[:1], session, tmp_path / ".workers" / "ours" / "1", run, 4, progress=False)
    assert work(tmp_path, clips[:4], session, run) == Summary(0, 4, 0)
    assert lines(tmp_path / "rows.jsonl") == lines(tmp_path / "one" / "rows.jsonl")


def test_a_failed_clip_that_a_killed_run_left_is_tried_anew_and_stands_once(clips, session, run, tmp_path):
    evaluate(clips[4:], session, tmp_path / ".workers" / "ours" / "0", run, 4, progress=False)
    assert work(tmp_path, clips[4:], session, run) == Summary(1, 0, 1)
    assert len((tmp_path / "clips.jsonl").read_text().splitlines()) == 1
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2


def test_they_work_in_no_folder_in_which_a_run_is_going_on(clips, session, run, tmp_path):
    with alone_in(tmp_path), pytest.raises(UserError, match="another process works there"):
        work(tmp_path, clips, session, run)
    assert not (tmp_path / "rows.jsonl").exists()


def test_another_runs_leftovers_are_refused(clips, session, run, tmp_path):
    other = RunInfo("ours", "ours", 7, "model", "abc", "torch", "cpu", {"window": 4})
    evaluate(clips[:1], session, tmp_path / ".workers" / "ours" / "0", other, 4, progress=False)
    with pytest.raises(UserError, match="run 'ours' was begun with seed 7"):
        work(tmp_path, clips[:2], session, run)
