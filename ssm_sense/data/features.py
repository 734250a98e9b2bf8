"""Vision latents on disk, computed once.

A cache is a folder, and holds for each encoder and each video at one rate:

    <encoder's fingerprint>-<dtype>/<video's hash>-<rate>fps/00000.safetensors ...   shards of SHARD_FRAMES frames
    <encoder's fingerprint>-<dtype>/<video's hash>-<rate>fps/index.json              written last: all is there

A shard has `latents` (n, S, V) and `seconds` (n,). The fingerprint covers weights and preprocessing, and the hash
every byte of the video, so neither a new checkpoint nor an edited file is ever served old latents. Reading needs
no video library.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ssm_sense.data.clip import Frame
from ssm_sense.errors import UserError
from ssm_sense.state import save_tensors

if TYPE_CHECKING:
    from ssm_sense.data.video import VideoFile

SHARD_FRAMES = 1024
"""What an interrupted extraction can lose; 150 MB at S = 64, V = 1152 in float16."""
MOST_FRAMES = 1 << 26
"""Two years at 1 frame/s; an index that says more is damaged."""
DTYPES = {"float16": torch.float16, "float32": torch.float32}


class Encoder(Protocol):
    """What turns frames into latents, as `ssm_sense.vision.VisionTower` does."""

    @property
    def fingerprint(self) -> str:
        """Names everything that decides the latents of a frame."""

    def encode(self, frames: Tensor) -> Tensor:
        """Frames uint8 RGB (n, H, W, 3) to latents (n, S, V)."""


class Features:
    """The latents of one encoder in a cache.

    folder: the cache.
    encoder: its fingerprint; may be left out where the cache holds the latents of one encoder only.
    dtype: in which they are stored, "float16" or "float32"; left out, a video that is there in both is read in float32.

    Raises UserError where there is no such cache, or more than one encoder that fits.
    """

    def __init__(self, folder: Path | str, encoder: str | None = None, dtype: str | None = None) -> None:
        pattern = re.compile(f"({re.escape(encoder) if encoder else '.+'})-({dtype or '|'.join(DTYPES)})")
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder}: expected a folder that `ssm-sense features extract` wrote")
        paths = [path for path in folder.iterdir() if path.is_dir()]
        found = {path: named for path in paths if (named := pattern.fullmatch(path.name))}
        if len({named[1] for named in found.values()}) != 1:
            names = ", ".join(sorted(path.name for path in found)) or "none"
            raise UserError(f"{folder}: expected the latents of one encoder, got {names}")
        self.folders = sorted(found, reverse=True)  # -float32 before -float16

    def find(self, video: Path, fps: float) -> "CachedVideo | None":
        """The latents of a video at `fps`, or None where they were never extracted, or not to the end."""
        name = _entry_name(video, fps)
        there = (folder / name for folder in self.folders if (folder / name / "index.json").is_file())
        return next(map(CachedVideo, there), None)

    def load(self, video: Path, fps: float, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """The latents (T, S, V) of a video at `fps`, in `dtype`, and the seconds (T,) of its frames in float64.

        Raises UserError where they were never extracted, or are damaged.
        """
        cached = self.find(video, fps)
        if cached is None:
            where = " or ".join(map(str, self.folders))
            raise UserError(f"{video}: its latents at {fps:g} frames/s are not in {where}; extract them first")
        latents, seconds = zip(*((some.to(dtype), times) for some, times in cached.shards()), strict=True)
        return torch.cat(latents), torch.cat(seconds)


class CachedVideo:
    """The latents of one video, a shard in memory at a time; iterating yields them as a clip's frames come.

    Raises UserError where they are damaged.
    """

    def __init__(self, entry: Path) -> None:
        self.entry = entry
        self.count = _indexed_frames(entry)
        """How many frames there are."""

    def __iter__(self) -> Iterator[Frame]:
        """Each frame's latents float32 (S, V) with its second."""
        for latents, seconds in self.shards():
            yield from zip(latents.float().numpy(), seconds.tolist(), strict=True)

    def shards(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Latents (n, S, V) as they are stored and seconds (n,) of one shard after the other."""
        found = 0
        for i in range(max(1, -(-self.count // SHARD_FRAMES))):
            try:
                shard = load_file(self.entry / _shard_name(i))
                latents, seconds = shard["latents"], shard["seconds"]
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
                raise UserError(f"{self.entry}: damaged cache ({error}); delete it and extract again") from error
            found += len(seconds)
            sound = latents.ndim == 3 and seconds.ndim == 1 and len(latents) == len(seconds)
            if not sound or found > self.count:
                raise UserError(f"{self.entry}: damaged cache: expected {self.count} frames, got others; delete it")
            yield latents, seconds
        if found < self.count:
            raise UserError(f"{self.entry}: damaged cache: expected {self.count} frames, got {found}; delete it")


def extract(
    video: Path,
    encoder: Encoder,
    folder: Path,
    fps: float = 1.0,
    dtype: str = "float16",
    batch_frames: int = 32,
    open_video: "type[VideoFile] | None" = None,
    on_frames: Callable[[int], None] = lambda n: None,
) -> int:
    """Compute the latents of a video at `fps` and store them; return how many frames were encoded for it.

    Goes on where an interrupted call stopped, to the shard; what is complete is left alone and costs 0 frames.
    The next frames are decoded while a batch is encoded. Several processes may work at one cache: files appear whole
    or not at all, and what two of them make of the same video is the same.

    folder: the cache, made if missing.
    dtype: in which latents are stored, "float16" or "float32".
    batch_frames: frames in a call of `encoder.encode`, and thrice that many held in memory.
    open_video: what reads it; `VideoFile` if None.
    on_frames: told of every few frames, encoded or found.
    Raises UserError where the video cannot be read to its end, or its latents do not fit `dtype`.
    """
    from ssm_sense.data.video import VideoFile

    if dtype not in DTYPES:
        raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    entry = folder / f"{encoder.fingerprint}-{dtype}" / _entry_name(video, fps)
    if (entry / "index.json").is_file():
        on_frames(_indexed_frames(entry))
        return 0
    entry.mkdir(parents=True, exist_ok=True)
    done = 0
    while _is_full(entry / _shard_name(done)):
        done += 1
    on_frames(done * SHARD_FRAMES)
    frames = iter((open_video or VideoFile)(video, fps, start_s=done * SHARD_FRAMES / fps))
    total = done * SHARD_FRAMES
    for shard in _encoded_shards(_ahead(_batches(frames, batch_frames)), encoder, DTYPES[dtype], on_frames):
        if not torch.isfinite(shard["latents"]).all():
            raise UserError(f"{video}: some latents are not finite in {dtype}; store them as float32")
        _replace(entry / _shard_name(total // SHARD_FRAMES), partial(save_tensors, shard))
        total += len(shard["seconds"])
    index = {"video": video.name, "encoder": encoder.fingerprint, "dtype": dtype, "fps": fps, "frames": total}
    _replace(entry / "index.json", lambda path: path.write_text(json.dumps(index)))
    return total - done * SHARD_FRAMES


def _indexed_frames(entry: Path) -> int:
    """How many frames a complete entry has. Raises UserError where its index is damaged."""
    try:
        frames = json.loads((entry / "index.json").read_text())["frames"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{entry}: damaged cache ({error}); delete it and extract again") from error
    if not isinstance(frames, int) or not 0 <= frames <= MOST_FRAMES:
        raise UserError(f"{entry}: damaged cache: expected a number of frames, got {frames!r:.50}; delete it")
    return frames


def _batches(frames: Iterator[Frame], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames and seconds, up to `size` at a time, none of them across the border between two shards."""
    count = 0
    while batch := list(islice(frames, min(size, SHARD_FRAMES - count % SHARD_FRAMES))):
        count += len(batch)
        seconds = torch.tensor([t_s for _, t_s in batch], dtype=torch.float64)
        yield torch.from_numpy(np.stack([frame for frame, _ in batch])), seconds


def _ahead(batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The same batches, each made while the one before it is in use."""
    with ThreadPoolExecutor(1) as worker:
        following = worker.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = worker.submit(next, batches, None)
            yield batch


def _encoded_shards(
    batches: Iterator[tuple[Tensor, Tensor]], encoder: Encoder, dtype: torch.dtype, on_frames: Callable[[int], None]
) -> Iterator[dict[str, Tensor]]:
    """What goes into each shard, in order; all but the last hold SHARD_FRAMES frames."""
    latents: list[Tensor] = []
    seconds: list[Tensor] = []
    for frames, times in batches:
        latents.append(encoder.encode(frames).to("cpu", dtype))
        seconds.append(times)
        on_frames(len(times))
        if sum(map(len, seconds)) == SHARD_FRAMES:
            yield {"latents": torch.cat(latents), "seconds": torch.cat(seconds)}
            latents, seconds = [], []
    if seconds:
        yield {"latents": torch.cat(latents), "seconds": torch.cat(seconds)}


def _entry_name(video: Path, fps: float) -> str:
    """Of the folder that the latents of a video at a rate belong in. Raises UserError where it cannot be read."""
    try:
        status = video.stat()
        digest = _digest(video, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{video}: cannot be read: {error.strerror}") from error
    return f"{digest}-{fps:.6g}fps"


@cache
def _digest(video: Path, size_bytes: int, changed_ns: int) -> str:
    """128 bits of the SHA-256 of a file's content, computed again only when its size or time of change differ."""
    with video.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _shard_name(number: int) -> str:
    return f"{number:05d}.safetensors"


def _is_full(path: Path) -> bool:
    """Whether a shard is there, whole, and not the last of its video."""
    try:
        with safe_open(path, "pt") as shard:
            return shard.get_slice("seconds").get_shape() == [SHARD_FRAMES]
    except (OSError, SafetensorError):
        return False


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file, which appears under its name only when it is whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
