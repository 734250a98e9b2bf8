"""Thousands of mutated files: each reads, or raises one error that names it; none crashes, hangs or writes elsewhere.

Mutations are drawn from a seed: bytes flipped, pieces cut out, doubled, zeroed or swapped, and the end cut off. Videos
are read in a process of their own, since a fault in a native library would take the tests with it.
"""

import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ssm_sense.data import vsi_bench
from ssm_sense.data.archive import unpack
from ssm_sense.data.features import Features
from ssm_sense.data.picture import read_picture
from ssm_sense.data.rows import read_table
from ssm_sense.data.video import write_video
from ssm_sense.data.vsi_590k import TABLE, VSI590K
from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.truth import SCHEMA, CountingRule, FrameTruth, RoomTruth, Truth
from ssm_sense.errors import UserError

LONGEST_S = 5.0
"""No mutated file of a few kilobytes may take longer to be refused."""


def mutants(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Damaged versions of a file."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        data = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            at, size = int(rng.integers(0, max(len(data), 1))), int(2 ** rng.uniform(0, 6))
            kind = (number + int(rng.integers(2))) % 6
            if kind == 0:
                for _ in range(size):
                    data[int(rng.integers(0, max(len(data), 1))) % max(len(data), 1)] ^= 1 << int(rng.integers(8))
            elif kind == 1:
                del data[at : at + size]
            elif kind == 2:
                data[at:at] = data[at : at + size]
            elif kind == 3:
                data[at : at + size] = bytes(len(data[at : at + size]))
            elif kind == 4:
                data[at : at + 8] = rng.integers(0, 256, len(data[at : at + 8]), np.uint8).tobytes()
            elif at > 0:
                del data[at:]
            if not data:
                break
        yield bytes(data)


def survive(path: Path, content: bytes, count: int, read: Callable[[], object]) -> tuple[int, int]:
    """How many mutants are read, and how many refused; anything else fails the test."""
    fine = refused = 0
    for mutant in mutants(content, count):
        path.write_bytes(mutant)
        begun, told = time.monotonic(), ""
        try:
            read()
            fine += 1
        except UserError as error:
            refused, told = refused + 1, str(error)
        assert time.monotonic() - begun < LONGEST_S
        assert not told or path.parent.name in told or path.name in told, f"the error does not name the file: {told}"
        assert len(told) < 2000
    return fine, refused


ROW: dict[str, Any] = {
    "dataset": "scannet",
    "scene_name": "scene0001_00",
    "question_type": "object_counting",
    "question": "How many chair(s) are in this room?",
    "options": None,
    "ground_truth": "3",
}


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "test.parquet"
    pq.write_table(pa.Table.from_pylist([ROW | {"id": i} for i in range(40)]), path)
    _, refused = survive(path, path.read_bytes(), 500, lambda: vsi_bench.read_rows(tmp_path))
    assert refused > 200


def test_jsonl(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nHow many?\nA. one\nB. two"}, {"from": "gpt", "value": "B"}]
    row = json.dumps({"conversations": turns, "question_type": "count", "video": "scannet/a.mp4"})
    content = (row + "\n").encode() * 5
    fine, refused = survive(tmp_path / TABLE, content, 500, lambda: VSI590K(tmp_path))
    assert min(fine, refused) > 10


def test_deep_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a":' * 50_000)
    with pytest.raises(UserError, match=r"a\.jsonl, row 0: not JSON"):
        read_table(tmp_path / "a.jsonl")


def test_zip(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    path = folder / "10mins.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.mp4", "10mins/b.mp4", "deep/c.mp4"):
            archive.writestr(name, name.encode() * 20)

    def read() -> None:
        try:
            unpack(path, folder / "10mins")
        finally:
            for file in sorted((folder / "10mins").rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()

    _, refused = survive(path, path.read_bytes(), 500, read)
    assert refused > 100
    assert {p.name for p in tmp_path.iterdir()} == {"set"}
    assert {p.name for p in folder.iterdir()} <= {"10mins.zip", "10mins"}


def test_safetensors_and_their_index(tmp_path: Path) -> None:
    video = tmp_path / "walk.mp4"
    video.write_bytes(b"any video")
    cache = tmp_path / "cache" / "means-float16"
    entry = _entry_of(cache, video)
    shard = entry / "00000.safetensors"
    save_file({"latents": torch.ones(6, 4, 3).half(), "seconds": torch.arange(6.0).double()}, shard)
    index = entry / "index.json"
    index.write_text(json.dumps({"frames": 6}))
    content = shard.read_bytes()

    def read() -> None:
        latents, seconds = Features(tmp_path / "cache").load(video, 1.0)
        assert latents.ndim == 3
        assert len(latents) == len(seconds)

    fine, refused = survive(shard, content, 400, read)
    assert min(fine, refused) > 20
    shard.write_bytes(content)
    survive(index, index.read_bytes(), 200, read)


def _entry_of(cache: Path, video: Path) -> Path:
    import hashlib

    entry = cache / f"{hashlib.sha256(video.read_bytes()).hexdigest()[:32]}-1fps"
    entry.mkdir(parents=True)
    return entry


def test_truth(tmp_path: Path) -> None:
    path = tmp_path / "0.json"
    frames = tuple(FrameTruth(float(t), 0, Pose(1, 2, 1.5, 30, -8), {3: 500}) for t in range(4))
    rooms = (RoomTruth(0, "kitchen"),)
    Truth(SCHEMA, "tour", "test", 1, 1, 64, CountingRule(), rooms, (), (), frames).save(path)
    _, refused = survive(path, path.read_bytes(), 400, lambda: Truth.load(path))
    assert refused > 100


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(path)
    _, refused = survive(path, path.read_bytes(), 120, lambda: read_picture(path))
    assert refused > 5


def test_videos(tmp_path: Path) -> None:
    """In another process, which must tell of each that it read it or refused it, and end by itself."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (4, 6, 3)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    for suffix in ("mp4", "mkv"):
        path = tmp_path / f"film.{suffix}"
        write_video(path, (np.roll(base, i, axis=1) for i in range(30)), 10)
        for i, mutant in enumerate(mutants(path.read_bytes(), 150)):
            (tmp_path / f"{i:03d}.{suffix}").write_bytes(mutant)
    script = """
import sys, warnings
from pathlib import Path
from ssm_sense.data.video import VideoFile
from ssm_sense.errors import UserError
warnings.simplefilter("ignore")
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        frames = sum(1 for _ in VideoFile(path, 2.0, (16, 16)))
        print("read", path.name, frames)
    except UserError as error:
        assert path.name in str(error)
        print("refused", path.name)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 302
    assert sum(line.startswith("refused") for line in lines) > 30
    assert sum(line.startswith("read") for line in lines) > 30
    # A few wrong bytes can make a time of any size, but no more pictures than an hour's hold for each.
    assert all(int(line.split()[2]) <= 2 * 3600 * 31 for line in lines if line.startswith("read"))
