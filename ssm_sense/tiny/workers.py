"""Files made by fresh processes, so that the renderer's numba and torch's OpenMP do not meet."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


def make_missing(files: Sequence[Path], module: str, arguments: Sequence[str], workers: int) -> Iterator[int]:
    """Run `python -m module arguments… numbers…` in `workers` processes for the files that are not there.

    files: by number; the module writes file i, whole or not at all, when its numbers hold i. Yields every now and then
    how many of them are there, at last all. Raises CalledProcessError if a process fails.
    """
    missing = [str(number) for number, file in enumerate(files) if not file.exists()]
    command = [sys.executable, "-m", module, *arguments]
    processes = [subprocess.Popen([*command, *missing[i::workers]]) for i in range(min(workers, len(missing)))]
    try:
        while any(process.poll() is None for process in processes):
            yield sum(file.exists() for file in files)
            time.sleep(0.2)
    finally:
        for process in processes:
            process.terminate()
    for process in processes:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    yield len(files)
