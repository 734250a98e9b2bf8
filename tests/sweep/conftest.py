"""A sweep of a small program in place of `ssm-sense`, so that a cell takes a twentieth of a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssm_sense.sweep.cell import Place
from ssm_sense.sweep.plan import Plan, read_plan

PROGRAM = """
import json, os, pathlib, subprocess, sys, time

_, out, value, seed, mode = sys.argv[1:6]
folder = pathlib.Path(out)
print("value", value, "seed", seed, mode)
if mode == "fail":
    sys.exit("cannot read " + os.getcwd() + "/film.mp4")
if mode == "sleep":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)
if mode == "goes-on" and not (folder / "half").exists():
    (folder / "half").touch()
    time.sleep(60)
while mode == "wait" and not os.path.exists("go"):
    time.sleep(0.02)
if mode != "silent":
    result = {"score": float(value) + int(seed), "threads": os.environ["OMP_NUM_THREADS"]}
    (folder / "result.json").write_text(json.dumps(result))
"""

BASE: dict[str, Any] = {
    "name": "small",
    "run": ["info {cell} {value} {seed} {mode}"],
    "grid": {"value": [1, 2], "mode": {"plain": "ok"}},
    "seeds": [0, 1],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the program in it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def plan(folder: Path) -> Callable[..., Plan]:
    """Plans from the file above, with some of its keys replaced (None: left out)."""

    def make(**keys: Any) -> Plan:
        path = folder / "sweep.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in {**BASE, **keys}.items() if v is not None}, sort_keys=False))
        return read_plan(path, {"info", "fit"})

    return make


@pytest.fixture
def place(folder: Path) -> Callable[..., Place]:
    """Where a plan's cells run."""

    def make(plan: Plan, **fields: Any) -> Place:
        settings = {"results": plan.results, "keep": plan.keep, "limit_s": plan.limit_s, "threads": 1, **fields}
        return Place(plan.folder, Path("work"), folder, program="program", resume=plan.resume, **settings)

    return make
