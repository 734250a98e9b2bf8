"""The same evaluation in several processes, a clip at a time each; what comes out is what one process writes.

Each worker writes to a folder of its own, `.workers/RUN/0000` and so on, in the run's; when a run ends, is interrupted
or is begun again, the clips that are finished there are moved over. Where the system kills a worker, for want of memory
say, another takes its place, and writes for the clip that was being watched rows which say so.

A worker says when it is ready, and then the name of each clip that it is done with, and is told the next: its place
and whether a worker was killed over it. Each has a pipe of its own, so that a kill leaves no lock held.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import torch

from ssm_sense.data.clip import Clip, LostFrames
from ssm_sense.evaluate.cap import Cap
from ssm_sense.evaluate.folder import RunFolder
from ssm_sense.evaluate.run import RunInfo
from ssm_sense.evaluate.watch import Summary, evaluate, progress_bar
from ssm_sense.lock import alone_in
from ssm_sense.metrics.score import STOPPED
from ssm_sense.processes import end_with_parent, start
from ssm_sense.stream import Session

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext


class LostWorkerError(RuntimeError):
    """The process that watched a clip was killed."""


class _Errand(NamedTuple):
    """A clip to watch, by its place; lost: what killed the worker that watched it before."""

    place: int
    lost: str | None = None


@dataclass
class _Hand:
    """A worker, its pipe and what it was last told."""

    process: BaseProcess
    pipe: Connection
    errand: _Errand | None = None


class Task(NamedTuple):
    """What a worker does, all of it picklable.

    open_session: gives a session, in the worker. open_clips: gives it all clips, of which it watches some. threads: of
    torch, a worker. cap: of the run, the same for all workers.
    """

    open_session: Callable[[], Session]
    open_clips: Callable[[Session], Sequence[Clip]]
    run: RunInfo
    batch_frames: int
    threads: int
    cap: Cap = Cap()


def threads_each(workers: int) -> int:
    """Threads of torch for each of so many workers on this machine."""
    return max(1, (os.cpu_count() or 1) // workers)


def evaluate_with_workers(
    task: Task,
    clips: int,
    out: Path,
    workers: int,
    progress: bool = True,
    context: "SpawnContext | ForkContext | None" = None,
) -> Summary:
    """Watch `clips` clips in `workers` processes; rows, resuming and errors are those of `evaluate`.

    context: how processes start; by default "spawn", since neither torch's threads nor CUDA survive a fork.

    Raises RuntimeError if a worker fails, or is killed before it has a clip or for the second time over the same one;
    UserError as `evaluate` does.
    """
    with alone_in(out):
        return _watch(task, clips, out, workers, progress, context or multiprocessing.get_context("spawn"))


def _watch(
    task: Task, clips: int, out: Path, workers: int, progress: bool, context: "SpawnContext | ForkContext"
) -> Summary:
    scratch = out / ".workers" / quote(task.run.name, safe="")
    _move_over(scratch, RunFolder(out, task.run))
    folder = RunFolder(out, task.run)  # without the failed clips that were moved over
    finished = frozenset(folder.finished)
    hired = 0

    def hire() -> _Hand:
        nonlocal hired
        ours, theirs = context.Pipe()
        part = scratch / f"{hired:04d}"
        process = context.Process(target=_work, args=(task, part, finished, theirs), daemon=True)
        start([process])
        theirs.close()
        hired += 1
        return _Hand(process, ours)

    errors: list[str | None] = []
    crew: list[_Hand] = []
    skipped = 0
    try:
        with progress_bar(task.run, clips, progress) as advance:
            for name in _names(crew, hire, clips, workers):
                skipped += name in finished
                advance(name, 1)
    finally:
        for hand in crew:
            hand.process.terminate()
            hand.process.join()
        errors += _move_over(scratch, folder)
    stopped = sum(error is not None and error.startswith(STOPPED) for error in errors)
    return Summary(len(errors), skipped, sum(error is not None for error in errors) - stopped, stopped)


def _names(crew: list[_Hand], hire: Callable[[], _Hand], clips: int, workers: int) -> Iterator[str]:
    """The names of the clips as workers are done with them, each of whom is told the next one."""
    errands = deque(map(_Errand, range(clips)))
    lost: set[int] = set()
    crew.extend(hire() for _ in range(workers))  # one by one, so that all who were hired are ended if one cannot be
    while crew:
        for pipe in wait([hand.pipe for hand in crew]):
            hand = next(hand for hand in crew if hand.pipe is pipe)
            try:
                name = hand.pipe.recv()
            except (EOFError, OSError):
                crew.remove(hand)
                if again := _after(hand, lost):
                    errands.appendleft(again)
                    crew.append(hire())
                continue
            if name is not None:
                yield name
            hand.errand = errands.popleft() if errands else None
            with suppress(OSError):  # one that is no more is missed when it is waited for
                hand.pipe.send(hand.errand)


def _after(hand: _Hand, lost: set[int]) -> _Errand | None:
    """What a worker leaves to be done that is no more: a clip over which it was killed."""
    hand.process.join()
    status = hand.process.exitcode
    if status == 0:
        return None
    if status is None or status > 0 or hand.errand is None or hand.errand.place in lost:
        raise RuntimeError(f"a worker ended with status {status}; run it again to go on")
    lost.add(hand.errand.place)
    return _Errand(hand.errand.place, f"its worker ended with status {status}")


def _work(task: Task, folder: Path, finished: frozenset[str], pipe: Connection) -> None:
    """A worker: one clip after the other until there are none."""
    end_with_parent()  # an interrupt reaches the parent alone, which ends its workers
    torch.set_num_threads(task.threads)
    session = task.open_session()
    clips = task.open_clips(session)
    pipe.send(None)

    def chosen() -> Iterator[Clip]:
        for place, lost in iter(pipe.recv, None):
            clip = clips[place]
            if clip.name not in finished:
                yield clip if lost is None else replace(clip, frames=LostFrames(LostWorkerError(lost)))
            pipe.send(clip.name)

    evaluate(chosen(), session, folder, task.run, task.batch_frames, progress=False, cap=task.cap)


def _move_over(scratch: Path, folder: RunFolder) -> list[str | None]:
    """Take in what workers finished, and remove their folders; the error of each clip, or None."""
    errors: list[str | None] = []
    if scratch.is_dir():
        for part in sorted(scratch.iterdir()):
            errors += folder.absorb(part)
        scratch.rmdir()
        with suppress(OSError):  # other runs may have workers there
            scratch.parent.rmdir()
    return errors
