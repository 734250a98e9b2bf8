"""The same evaluation in several processes, a clip at a time each; what comes out is what one process writes.

Each worker writes to a folder of its own, `.workers/RUN/0` and so on, in the run's; when a run ends, is interrupted or
is begun again, the clips that are finished there are moved over. A kill loses only the clips that were being watched.
"""

import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import torch

from ssm_sense.data.clip import Clip
from ssm_sense.evaluate.cap import Cap
from ssm_sense.evaluate.folder import RunFolder
from ssm_sense.evaluate.run import RunInfo
from ssm_sense.evaluate.watch import Summary, evaluate, progress_bar
from ssm_sense.processes import end_with_parent, start
from ssm_sense.stream import Session

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext
    from multiprocessing.queues import Queue

    Places = Queue[int | None]
    Told = Queue[str | Summary]

_PATIENCE_S = 0.5


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

    Raises RuntimeError if a worker dies, UserError as `evaluate` does.
    """
    context = context or multiprocessing.get_context("spawn")
    folder = RunFolder(out, task.run)
    scratch = out / ".workers" / quote(task.run.name, safe="")
    _move_over(scratch, folder)
    places: Places = context.Queue()
    told: Told = context.Queue()
    for place in (*range(clips), *[None] * workers):
        places.put(place)
    finished = frozenset(folder.finished)
    crew: list[BaseProcess] = [
        context.Process(target=_work, args=(task, scratch / str(i), finished, places, told), daemon=True)
        for i in range(workers)
    ]
    start(crew)
    try:
        with progress_bar(task.run, clips, progress) as advance:
            summaries = list(_summaries(crew, told, advance))
    finally:
        for process in crew:
            process.terminate()
            process.join()
        _move_over(scratch, folder)
    return Summary(*(sum(counts) for counts in zip(*summaries, strict=True)))


def _summaries(crew: list[BaseProcess], told: "Told", advance: Callable[[str, int], None]) -> Iterator[Summary]:
    """What each worker says when it is done; the names of clips go to the progress bar."""
    left = len(crew)
    while left:
        try:
            message = told.get(timeout=_PATIENCE_S)
        except queue.Empty:
            dead = next((process.exitcode for process in crew if process.exitcode), None)
            if dead is not None:
                raise RuntimeError(f"a worker ended with status {dead}; run it again to go on") from None
            continue
        if isinstance(message, Summary):
            left -= 1
            yield message
        else:
            advance(message, 1)


def _work(task: Task, folder: Path, finished: frozenset[str], places: "Places", told: "Told") -> None:
    """A worker: one clip after the other until there are none."""
    end_with_parent()  # an interrupt reaches the parent alone, which ends its workers
    torch.set_num_threads(task.threads)
    session = task.open_session()
    clips = task.open_clips(session)
    skipped = 0

    def chosen() -> Iterator[Clip]:
        nonlocal skipped
        for place in iter(places.get, None):
            clip = clips[place]
            if clip.name in finished:
                skipped += 1
            else:
                yield clip
            told.put(clip.name)

    summary = evaluate(chosen(), session, folder, task.run, task.batch_frames, progress=False, cap=task.cap)
    told.put(summary._replace(skipped=summary.skipped + skipped))


def _move_over(scratch: Path, folder: RunFolder) -> None:
    """Take in what workers finished, and remove their folders."""
    if scratch.is_dir():
        for part in sorted(scratch.iterdir()):
            folder.absorb(part)
        scratch.rmdir()
        with suppress(OSError):  # other runs may have workers there
            scratch.parent.rmdir()
