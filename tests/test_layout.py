"""The layout shows the architecture: imports point one way, and the lock has the form that works anywhere."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "ssm_sense").rglob("*.py"))

BASE = {"errors", "state"}
TOWERS = BASE | {"ops", "nn", "pretrained", "vision", "language", "tiny"}
MODELS = TOWERS | {"model", "memory"}
MAY_IMPORT = {
    "errors": set(),
    "strict_json": set(),
    "processes": set(),
    "lock": {"errors"},
    "provenance": set(),
    "state": {"errors"},
    "ops": {"errors"},
    "nn": BASE | {"ops", "nn"},
    "data": BASE | {"processes", "data"},
    "metrics": BASE | {"metrics"},
    "pretrained": {"errors"},
    "vision": BASE | {"pretrained", "nn", "vision"},
    "language": BASE | {"pretrained", "nn", "language"},
    # The tiny family is trained on rendered frames.
    "tiny": TOWERS | {"data"},
    "memory": MODELS,
    "model": MODELS,
    # Sessions are asked questions, which `data.clip` defines.
    "stream": MODELS | {"data"},
    "streams": MODELS | {"stream", "data"},
    "folder": MODELS | {"stream"},
    "boundaries": BASE | {"nn", "metrics"},
    "evaluate": MODELS | {"stream", "data", "metrics", "strict_json", "processes", "lock", "provenance"},
    "report": BASE | {"metrics", "report"},
    # Cells run in processes of their own, so nothing that they run is imported.
    "sweep": {"errors", "ops", "metrics", "report", "strict_json", "provenance", "sweep"},
    "lit": MODELS | {"data", "metrics", "stream", "folder", "lit"},
}
"""Part of the package to the other parts it may import; `cli` and `commands` are not listed and may import anything."""


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "ssm_sense").parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        parts |= {name.split(".")[1] for name in names if name.startswith("ssm_sense.")}
    return parts


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    imported = imported_parts(path)
    assert "commands" not in imported or part in ("cli", "commands")
    if part in ("__init__", "cli", "commands", "timeline"):
        return
    assert part in MAY_IMPORT, f"say in MAY_IMPORT what {part} may import"
    extra = imported - MAY_IMPORT[part] - {part}
    assert not extra, f"{part} must not import {', '.join(sorted(extra))}"


def test_the_lock_installs_anywhere() -> None:
    """Plain name==version lines: no hashes, options, URLs or local versions, and none of CUDA's own packages."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert len(lines) > 30
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.\-]+==[0-9][A-Za-z0-9.]*", line)] == []
    assert "torch==2.13.0" in lines
    assert not any(line.startswith(("nvidia", "triton", "cuda")) for line in lines)


def test_fitting_on_cached_features_needs_no_renderer_and_no_decoder() -> None:
    """Machines that only train have neither numba nor a video library."""
    code = (
        "import sys, ssm_sense.lit.cli, ssm_sense.lit.data, ssm_sense.model, ssm_sense.memory.sliding_window\n"
        "print([m for m in ('numba', 'llvmlite', 'av', 'decord', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
