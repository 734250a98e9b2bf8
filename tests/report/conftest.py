"""Rows written by hand, as `ssm-sense evaluate` writes them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from ssm_sense.report import build


def row(run="ours", clip="a", kind="vsr", prediction="A", correct=True, mra=None, t_s=60.0, **fields):
    policy = fields.pop("policy", run)
    options = ["A. x", "B. y", "C. z", "D. w"] if mra is None else []
    return {
        "run": run,
        "policy": policy,
        "clip": clip,
        "duration_s": 60.0,
        "kind": kind,
        "question": f"{kind}?",
        "options": options,
        "truth": "A" if mra is None else "10",
        "prediction": prediction,
        "t_s": t_s,
        "correct": correct,
        "mra": mra,
        "nbytes": 1000,
        "ms_per_frame": 2.0,
        "error": None,
        "settings": {"minutes": 1},
        "seed": 0,
        "config": "model",
        "commit": "abc",
        "backend": "torch",
        "device": "cpu",
        "scorer": "robust-2",
        "command": f"ssm-sense evaluate --policy {policy}",
    } | fields


def frame(run="ours", clip="a", t_s=0.0, surprise=0.1, boundary=False, event=None, **fields):
    return {
        "run": run,
        "clip": clip,
        "t_s": t_s,
        "surprise": surprise,
        "gate": 0.5,
        "boundary": boundary,
        "nbytes": 1000,
        "ms": 2.0,
        "true_event": event is not None,
        "event": event,
    } | fields


def walk(run="ours", clip="a", n=60):
    """A minute with three rooms, all found but the last, and one false alarm."""
    rooms = {0: "hall", 20: "kitchen <big>", 40: "study"}
    high = {0: 1.0, 20: 0.9, 30: 0.7, 40: 0.3}
    return [
        frame(run, clip, float(t), high.get(t, 0.1 + t / 1000), boundary=t in (20, 30), event=rooms.get(t))
        for t in range(n)
    ]


def write(folder: Path, **files) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, objects in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in objects))
    return folder


def fill(folder: Path) -> Path:
    """Two policies and the blind model on recall, counts and an easy kind, with frames and key frames."""
    rows = []
    for policy, right in (("ours", 6), ("rival", 4), ("blind", 2)):
        rows += [row(policy, f"c{i}", correct=i < right, prediction="A" if i < right else "B") for i in range(8)]
        rows += [
            row(policy, f"c{i}", kind="vsc", prediction=str(right), correct=False, mra=right / 10) for i in range(8)
        ]
        rows += [row(policy, f"c{i}", kind="room_now", t_s=t, correct=t < 30) for i in range(8) for t in (20.0, 40.0)]
    boundaries = [
        {"source": s, "clip": f"c{i}", "auroc": a, "ap": a, "f1": a, "prediction_error": None, "n_events": 2}
        for s, a in (("closed loop", 0.9), ("random", 0.5))
        for i in range(4)
    ]
    write(folder, rows=rows, frames=walk(clip="c0") + walk("rival", "c0"), boundaries=boundaries)
    (folder / "keyframes" / "c0").mkdir(parents=True)
    for t in (21.0, 41.5):
        Image.new("RGB", (640, 480), (200, 100, 50)).save(folder / "keyframes" / "c0" / f"room-{t:06.1f}s.png")
    return folder


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """A folder to change, filled as `fill` says."""
    return fill(tmp_path / "run")


@pytest.fixture(scope="session")
def page(tmp_path_factory) -> tuple[Path, list[Path]]:
    """The page of such a folder, and all files written. Not to be changed."""
    folder = tmp_path_factory.mktemp("page")
    out = folder / "page.html"
    return out, build(fill(folder / "run"), out)


@pytest.fixture
def make() -> SimpleNamespace:
    return SimpleNamespace(row=row, frame=frame, walk=walk, write=write)
