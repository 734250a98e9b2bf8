"""Many streams: which ones a request means, and rendering them over several processes."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path

from ssm_sense.data.world.controls import UNCHANGED, Controls
from ssm_sense.data.world.film import finished, shoot
from ssm_sense.data.world.stream import Recipe
from ssm_sense.errors import UserError
from ssm_sense.processes import end_with_parent

_STRIDE = 1_000_000  # video i of seed s is house s * stride + i, so that neighbouring seeds share no house
_PATIENCE_S = 0.2


@dataclass(frozen=True)
class Job:
    """One video to be rendered; `name` is its path relative to the folder, as the tables give it."""

    recipe: Recipe
    name: str


def jobs(
    task: str,
    split: str,
    seed: int,
    minutes: float,
    count: int,
    fps: int = 1,
    size: int = 224,
    dwell_s: float = 12.0,
    controls: Controls = UNCHANGED,
) -> list[Job]:
    """The videos of one request, in the layout of VSI-SUPER: {minutes}mins/00000000.mp4 and so on."""
    seeds = (seed * _STRIDE + i for i in range(count))
    recipes = (Recipe(task, split, s, minutes, fps, size, dwell_s, controls or Controls()) for s in seeds)
    return [Job(recipe, f"{minutes:g}mins/{i:08d}.mp4") for i, recipe in enumerate(recipes)]


def render(folder: Path, work: list[Job], workers: int, progress: Callable[[int], None] = lambda frames: None) -> None:
    """Render what is not finished, `workers` videos at a time; `progress` is told how many more frames are done.

    An interrupt or an error stops the workers at their next frame and leaves finished videos in place; the same call
    goes on from there. Raises UserError where the folder cannot be made, or holds other streams.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written to: {error.strerror}") from None
    todo = []
    for job in work:
        if finished(folder / job.name, job.recipe):
            progress(job.recipe.frames)
        else:
            todo.append(job)
    if not todo:
        return
    context = multiprocessing.get_context("spawn")
    frames, stop, told = context.Value("q", 0), context.Event(), 0
    executor = ProcessPoolExecutor(min(workers, len(todo)), context, _start_worker, (frames, stop))
    try:
        pending = {executor.submit(_render_one, folder, job) for job in todo}
        while pending:
            done, pending = wait(pending, _PATIENCE_S, FIRST_COMPLETED)
            progress(frames.value - told)
            told = frames.value
            for future in done:
                future.result()
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)


class _Stopped(Exception):
    """The parent wants no more frames."""


_frames: Synchronized
_stop: Event


def _start_worker(frames: Synchronized, stop: Event) -> None:
    global _frames, _stop
    _frames, _stop = frames, stop
    end_with_parent()  # an interrupt reaches the parent alone, which decides what it means


def _render_one(folder: Path, job: Job) -> None:
    shoot(job.recipe, folder / job.name, _count_frame)


def _count_frame() -> None:
    if _stop.is_set():
        raise _Stopped
    with _frames.get_lock():
        _frames.value += 1
