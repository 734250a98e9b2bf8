"""Several processes write what one does, and a kill loses only what was being watched."""

import json
import multiprocessing
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from ssm_sense.errors import UserError
from ssm_sense.evaluate import RunInfo, Summary, Task, evaluate, evaluate_with_workers
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
    """Clips whose fourth kills whoever asks for it, once."""

    def __init__(self, clips, mark: Path) -> None:
        self.clips, self.mark = clips, mark

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: int):
        if place == 3 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.clips[place]


def test_a_worker_that_is_killed_loses_only_its_clip(clips, session, run, tmp_path):
    dying = DyingClips(clips[:4], tmp_path / "mark")
    with pytest.raises(RuntimeError, match="a worker ended with status -9; run it again to go on"):
        work(tmp_path, dying, session, run, workers=1, opened=partial(_give, dying))
    assert len((tmp_path / "clips.jsonl").read_text().splitlines()) == 3
    assert not (tmp_path / ".workers").exists()
    assert work(tmp_path, dying, session, run, workers=1, opened=partial(_give, dying)) == Summary(1, 3, 0)
    evaluate(clips[:4], session, tmp_path / "one", run, 4, progress=False)
    assert lines(tmp_path / "rows.jsonl") == lines(tmp_path / "one" / "rows.jsonl")


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


def test_another_runs_leftovers_are_refused(clips, session, run, tmp_path):
    other = RunInfo("ours", "ours", 7, "model", "abc", "torch", "cpu", {"window": 4})
    evaluate(clips[:1], session, tmp_path / ".workers" / "ours" / "0", other, 4, progress=False)
    with pytest.raises(UserError, match="run 'ours' was begun with seed 7"):
        work(tmp_path, clips[:2], session, run)
