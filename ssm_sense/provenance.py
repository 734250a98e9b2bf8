"""What a number was made by: the commit of the code, and the versions of what it stands on."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CHANGES = "+changes"
"""What stands behind a commit whose tracked files were changed."""

_PACKAGES = ("ssm-sense", "torch", "transformers", "numpy")
_WRITTEN, _WRITTEN_SUFFIXES = {"rows.jsonl", "table.csv"}, {".png", ".svg"}
_EXPERIMENTS = "experiments"


def commit_of(file: Path, sweep: Path | None = None) -> str:
    """The commit that `file` is tracked in, with "+changes" if tracked files differ from it; else "unknown".

    A package installed into some other repository's folder is not tracked there, and unknown. Texts in Markdown do not
    count as changes, nor does what sweeps write anywhere below the repository's experiments.

    sweep: a sweep's folder; what it writes there, and others beside it, does not count either.
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
    beside = None if sweep is None else sweep.resolve().parent
    changes = [path for path in changed if not _is_written(root / path, beside, root / _EXPERIMENTS)]
    return commit + (CHANGES if changes else "")


def package_versions() -> dict[str, str]:
    """Python's version and those of the packages that decide a number."""
    return {"python": platform.python_version(), **{package: _version(package) for package in _PACKAGES}}


def _is_written(path: Path, beside: Path | None, experiments: Path) -> bool:
    written = path.name in _WRITTEN or path.suffix in _WRITTEN_SUFFIXES
    return path.suffix == ".md" or (written and (path.parent.parent == beside or experiments in path.parents))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
