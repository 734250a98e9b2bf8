"""What a cell's numbers were made by: commit, versions, backend, device."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("ssm-sense", "torch", "transformers", "numpy")
WRITTEN = {"rows.jsonl", "table.csv"}
WRITTEN_SUFFIXES = {".png", ".svg"}
EXPERIMENTS = "experiments"
CHANGES = "+changes"
"""What stands behind a commit whose tracked files were changed."""


def provenance(folder: Path) -> dict[str, object]:
    """Of this code, as it stands now, on this machine.

    folder: of the sweep, whose rows, tables and figures are no change of code, nor are those of other experiments.
    """
    return {"commit": commit_of(Path(__file__), folder), **_machine()}


@cache
def _machine() -> dict[str, object]:
    import torch

    from ssm_sense import ops

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.cuda.get_device_name() if kind == "cuda" else platform.machine()
    return {
        "backend": ops.backend(kind),
        "device": f"{kind} ({device})",
        "versions": {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}},
    }


def commit_of(file: Path, folder: Path) -> str:
    """The commit that `file` is tracked in, with "+changes" if tracked files differ from it; else "unknown".

    Texts in Markdown, and what sweeps write into the folder, those beside it and anywhere below the repository's
    EXPERIMENTS, do not count as changes.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(file.resolve().parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    try:
        git("ls-files", "--error-unmatch", file.name)
        root = Path(git("rev-parse", "--show-toplevel").strip())
        commit = git("rev-parse", "HEAD").strip()
        changed = git("-c", "core.quotePath=false", "diff", "--name-only", "HEAD", "--").splitlines()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    beside = folder.resolve().parent
    changes = [path for path in changed if not _is_written(root / path, beside, root / EXPERIMENTS)]
    return commit + (CHANGES if changes else "")


def _is_written(path: Path, beside: Path, experiments: Path) -> bool:
    written = path.name in WRITTEN or path.suffix in WRITTEN_SUFFIXES
    return path.suffix == ".md" or (written and (path.parent.parent == beside or experiments in path.parents))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
