"""`ssm-sense data bench`: how fast worlds are rendered, videos read and latents made here, and in how much memory.

Writes data.json, every number with what is needed to get it again, and data.md, a table to read. Rivals run in the same
call, one after the other, on the same file.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

SIDES = (224, 384)
HEIGHT, WIDTH, RATE = 720, 1280, 30
CLIP_S = 10
LONG_HOURS, SHORT_HOURS = 4.0, 0.25
_PEAK = """
import sys
from pathlib import Path
from ssm_sense.data.video import VideoFile
frames = sum(1 for _ in VideoFile(sys.argv[1], 1.0))
# Not getrusage's, which begins with what the process that started this one held.
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(frames, int(peak) * 1024)
"""

Row = dict[str, Any]


def measure(minutes: float, frames: int, batch: int, device: str, encoder: str | None = None) -> list[Row]:
    """All figures: what is measured, of what, in which unit.

    minutes: of 720p to decode. frames: rendered, and encoded, for each figure. batch: frames encoded together.
    encoder: a SigLIP checkpoint to measure as well, or its hub id.
    """
    rows = [rendering(side, frames) for side in SIDES]
    with tempfile.TemporaryDirectory() as folder:
        film = repeated(Path(folder) / "720p.mp4", minutes / 60, HEIGHT, WIDTH)
        rows += list(decoding(film, minutes))
        rows.append(encoding(frames, batch, device))
        if encoder:
            rows.append(encoding(frames, batch, device, encoder))
        rows += list(memory(Path(folder)))
    return rows


def rendering(side: int, frames: int) -> Row:
    """Frames of a tour a second, on one core, the houses' rooms built on the way."""
    from ssm_sense.data.world.stream import Recipe, compose, pictures

    stream = compose(Recipe("tour", "test", 0, frames / 60, size=side))
    shots = pictures(stream)
    for _ in range(8):  # compiles, or loads what was compiled
        next(shots)
    seconds = _timed(lambda: sum(1 for _ in shots))
    return {
        "figure": f"render {side} x {side}",
        "of": "ours, one core",
        "value": (frames - 8) / seconds,
        "unit": "frames/s",
    }


def decoding(film: Path, minutes: float) -> Iterator[Row]:
    """Seconds to read an hour of 720p at 1 frame/s, from what `minutes` take."""
    from ssm_sense.data.video import VideoFile

    rivals: dict[str, Callable[[], int]] = {
        "ours": lambda: sum(1 for _ in VideoFile(film, 1.0)),
        "plain PyAV": lambda: _plain_pyav(film),
    }
    if find_spec("cv2"):
        rivals["OpenCV"] = lambda: _opencv(film)
    for name, read in rivals.items():
        counted: list[int] = []
        seconds = _timed(lambda read=read, counted=counted: counted.append(read()))  # type: ignore[misc]
        if abs(counted[0] - minutes * 60) > 1:
            raise RuntimeError(f"{name}: expected {minutes * 60:g} frames, got {counted[0]}")
        yield {"figure": "read 1 h of 720p at 1 frame/s", "of": name, "value": seconds * 60 / minutes, "unit": "s"}


def encoding(frames: int, batch: int, device: str, encoder: str | None = None) -> Row:
    """Latents a second, of the tiny encoder or of one that is given, which on a GPU runs in bfloat16."""
    import torch

    from ssm_sense import tiny
    from ssm_sense.vision.siglip import SiglipTower

    on_gpu = device.startswith("cuda")
    if encoder is None:
        tower = SiglipTower(str(tiny.folder() / "siglip"), layer=-1, pooling="average", grid=2)
    else:
        tower = SiglipTower(encoder, dtype="bfloat16" if on_gpu else "float32")
    tower = tower.load().to(device)
    pictures = torch.randint(0, 256, (batch, 224, 224, 3), dtype=torch.uint8)

    def run() -> None:
        for _ in range(-(-frames // batch)):
            tower.encode(pictures)
        if on_gpu:
            torch.cuda.synchronize()

    tower.encode(pictures)
    speed = -(-frames // batch) * batch / _timed(run)
    of = f"{encoder or 'tiny encoder'}, {device}, {torch.get_num_threads()} threads, {batch} at a time"
    return {"figure": "encode 224 x 224", "of": of, "value": speed, "unit": "frames/s"}


def memory(folder: Path) -> Iterator[Row]:
    """The largest memory of a process that reads a short file, and one of four hours, where the system tells it."""
    if not Path("/proc/self/status").exists():
        return
    for hours in (SHORT_HOURS, LONG_HOURS):
        film = repeated(folder / f"{hours:g}.mp4", hours, 180, 320, rate=5)
        done = subprocess.run([sys.executable, "-c", _PEAK, str(film)], capture_output=True, text=True, check=True)
        read, peak_bytes = map(int, done.stdout.split())
        if abs(read - hours * 3600) > 1:
            raise RuntimeError(f"expected {hours * 3600:g} frames, got {read}")
        yield {
            "figure": f"peak memory, {hours:g} h of 180p at 1 frame/s",
            "of": "ours, whole process",
            "value": peak_bytes / 2**20,
            "unit": "MiB",
        }
        film.unlink()


def repeated(path: Path, hours: float, height: int, width: int, rate: int = RATE) -> Path:
    """A video of a length, made of one clip whose packets are written again and again."""
    import av

    from ssm_sense.data.video import write_video

    clip = path.with_name("clip.mp4")
    write_video(clip, _moving(height, width, rate), rate)
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        written = out.add_stream_from_template(stream)
        tick_s = stream.time_base or Fraction(1, 90_000)
        length = round(CLIP_S / tick_s)
        kept = [(bytes(p), p.pts or 0, p.dts or 0, p.duration or 0, p.is_keyframe) for p in packets]
        for round_ in range(max(1, round(hours * 3600 / CLIP_S))):
            for content, pts, dts, duration, key in kept:
                packet = av.Packet(content)
                packet.pts, packet.dts, packet.duration = pts + round_ * length, dts + round_ * length, duration
                packet.time_base, packet.stream, packet.is_keyframe = tick_s, written, key
                out.mux(packet)
    clip.unlink()
    return path


def _moving(height: int, width: int, rate: int) -> Iterator[np.ndarray]:
    """A picture with edges of all sizes that wanders, with a little grain, as a handheld camera's does."""
    rng = np.random.default_rng(0)
    scene = np.zeros((height + 200, width + 400, 3), np.uint8)
    for _ in range(400):
        y, x = int(rng.integers(0, height + 100)), int(rng.integers(0, width + 200))
        h, w = (int(10 * 30 ** rng.random()) for _ in range(2))
        scene[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    for i in range(CLIP_S * rate):
        y, x = int(100 + 90 * np.sin(i / rate / 1.3)), int(200 + 190 * np.sin(i / rate / 2.3))
        grain = rng.integers(0, 6, (height, width, 1), np.uint8)
        yield np.minimum(scene[y : y + height, x : x + width], 249) + grain


def _plain_pyav(film: Path) -> int:
    """What one writes first: decode everything, keep a frame a second."""
    import av

    count = 0
    with av.open(str(film)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for picture in container.decode(video=0):
            if picture.time is not None and picture.time + 1e-6 >= count:
                picture.to_ndarray(format="rgb24")
                count += 1
    return count


def _opencv(film: Path) -> int:
    cv2 = import_module("cv2")
    capture, count, number = cv2.VideoCapture(str(film)), 0, 0
    while capture.grab():
        if number >= count * RATE:
            capture.retrieve()
            count += 1
        number += 1
    return count


def _timed(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def write(out: Path, rows: list[Row], conditions: dict[str, Any]) -> str:
    """Write both files; return the table."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "data.json").write_text(json.dumps({"conditions": conditions, "rows": rows}, indent=2) + "\n")
    where = "{processor}, {cores} cores, commit {commit}, load {load_before} to {load_after}".format(**conditions)
    lines = [f"`{conditions['command']}`: {where}", "", "| figure | of | value |", "|---|---|---|"]
    lines += [f"| {row['figure']} | {row['of']} | {row['value']:.1f} {row['unit']} |" for row in rows]
    table = "\n".join(lines) + "\n"
    (out / "data.md").write_text(table)
    return table


def load() -> float | None:
    """Processes that wanted a core over the last minute."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
