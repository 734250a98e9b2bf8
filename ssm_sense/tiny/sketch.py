"""Short tours whose frames say in names what they show: what a language model can read of the world without eyes.

The walk, the furniture, the needles and what hides what are those of rendered tours; a frame is kept not as a picture
but as the pixels that every thing covers in each quarter of it.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ssm_sense.data.world.truth import Truth
from ssm_sense.tiny.statements import THINGS
from ssm_sense.tiny.workers import make_missing

SIDE = 48
"""Pixels a side at which the tours are drawn to see what covers what."""
MINUTES = 0.5
DWELL_S = 6.0
FIRST_SEED = 100_000
"""Seeds from here on, so that no house is one of the demo's."""


@dataclass(frozen=True)
class Sketch:
    """A tour of T frames. cells: share of each quarter that each of `THINGS` covers, float32 (T, 4, K)."""

    truth: Truth
    cells: np.ndarray


def draw_sketches(folder: Path, split: str, count: int, workers: int = 1) -> Iterator[int]:
    """Make tours 0 … count − 1 of a split in `folder`, those that are missing; yields now and then how many are there.

    A tour is written whole or not at all, its truth last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [_file(folder, split, number) for number in range(count)]
    yield from make_missing(files, "ssm_sense.tiny.sketch", [str(folder), split], workers)


def read_sketches(folder: Path, split: str, count: int) -> list[Sketch]:
    """Tours 0 … count − 1 of a split in `folder`."""
    files = [_file(folder, split, number) for number in range(count)]
    return [Sketch(Truth.load(file), np.load(file.with_suffix(".npy")).astype(np.float32)) for file in files]


def excerpt(sketch: Sketch, first: int, frames: int) -> Sketch:
    """So many frames of a tour from frame `first` on, as if the tour had begun there."""
    truth, last = sketch.truth, first + frames
    if not 0 <= first < last <= len(truth.frames):
        raise ValueError(f"expected frames within 0 to {len(truth.frames)}, got {first} to {last}")
    begin_s = truth.frames[first].t_s
    clear: dict[int, list[float]] = {}
    for frame in truth.frames[first:last]:
        for item, pixels in frame.visible.items():
            if pixels >= truth.rule.pixels:
                clear.setdefault(item, []).append(frame.t_s - begin_s)
    counted = {item: times[truth.rule.frames - 1] for item, times in clear.items() if len(times) >= truth.rule.frames}
    cut = replace(
        truth,
        objects=tuple(replace(item, counted_s=counted.get(item.id)) for item in truth.objects),
        needles=tuple(
            replace(needle, frame=needle.frame - first, t_s=needle.t_s - begin_s)
            for needle in truth.needles
            if first <= needle.frame < last
        ),
        frames=tuple(replace(frame, t_s=frame.t_s - begin_s) for frame in truth.frames[first:last]),
    )
    return Sketch(cut, sketch.cells[first:last])


def draw_sketch(split: str, seed: int, minutes: float = MINUTES, dwell_s: float = DWELL_S) -> Sketch:
    """One tour at a frame per second."""
    from ssm_sense.data.world.furnish import furnish
    from ssm_sense.data.world.renderer import Renderer
    from ssm_sense.data.world.stream import Recipe, compose, truth_of

    stream = compose(Recipe("tour", split, seed, minutes, size=SIDE, dwell_s=dwell_s))
    renderer = Renderer(stream.house, SIDE)
    needles = {appearance.frame: appearance.piece for appearance in stream.needles}
    rooms = range(max(here for _, here in stream.shots) + 2)
    names = {piece.id: piece.category for room in rooms for piece in furnish(stream.house, room)}
    visible, cells = [], []
    for number, (pose, here) in enumerate(stream.shots):
        extra = (needles[number],) if number in needles else ()
        picture = renderer.picture(pose, here, extra)
        visible.append(picture.visible)
        cells.append(_quarters(picture.objects, names | {piece.id: piece.category for piece in extra}))
    return Sketch(truth_of(stream, visible), np.stack(cells))


def _quarters(objects: np.ndarray, names: dict[int, str]) -> np.ndarray:
    """Share of each quarter (4, K) that things cover in a picture of object ids (H, W)."""
    half = len(objects) // 2
    quarters = objects.reshape(2, half, 2, half).transpose(0, 2, 1, 3).reshape(4, half * half)
    shares = np.zeros((4, len(THINGS)), np.float32)
    for i in np.unique(objects):
        if names.get(int(i), ""):
            shares[:, THINGS.index(names[int(i)])] += (quarters == i).mean(1)
    return shares


def _file(folder: Path, split: str, number: int) -> Path:
    return folder / f"{split}-{number:05d}.json"


def _write(folder: Path, split: str, number: int) -> None:
    sketch = draw_sketch(split, FIRST_SEED + number)
    file = _file(folder, split, number)
    partial = file.with_suffix(".partial")
    with open(partial, "wb") as stream:
        np.save(stream, sketch.cells.astype(np.float16))
    os.replace(partial, file.with_suffix(".npy"))
    sketch.truth.save(file)


if __name__ == "__main__":
    where, which, *numbers = sys.argv[1:]
    for text in numbers:
        _write(Path(where), which, int(text))
