"""One cell: its commands one after the other, each in a process of its own, and what came of it as a line."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssm_sense.errors import UserError
from ssm_sense.provenance import CHANGES, commit_of
from ssm_sense.sweep.collect import collect
from ssm_sense.sweep.machine import machine
from ssm_sense.sweep.plan import CELL, HERE, WORK, Cell
from ssm_sense.sweep.words import Template, fill

LAST_LINES = 12
"""Lines of a failing command's output that stand in the row."""
_LONGEST_LINE = 500
_POLL_S = 0.1
_BEGUN = "begun.json"
"""What a cell's folder was begun by: the part of its line that must be the same for it to go on there."""
_PATIENCE_S = 5.0


class InterruptedCell(Exception):
    """The cell was ended from outside; nothing came of it."""


@dataclass(frozen=True)
class Place:
    """Where cells run: folders as they stand in commands, and the folder that relative ones begin at.

    here: of sweep.yaml. work: scratch, with a folder for each cell in it. start: the current folder of all commands.
    results, keep, limit_s, resume: see `Plan`. threads: of one cell. program: the module that commands are given to.
    """

    here: Path
    work: Path
    start: Path
    results: tuple[str, ...]
    keep: tuple[str, ...]
    limit_s: float
    threads: int
    program: str = "ssm_sense.cli"
    resume: bool = False

    def words(self, cell: str | None = None) -> dict[str, list[str]]:
        """What HERE, WORK and, for a cell, CELL stand for."""
        own = {} if cell is None else {CELL: [str(self.folder(cell))]}
        return {HERE: [str(self.here)], WORK: [str(self.work)], **own}

    def folder(self, cell: str) -> Path:
        """A cell's own."""
        return self.work / "cells" / cell


def run_cell(cell: Cell, place: Place, stop: threading.Event | None = None) -> dict[str, Any]:
    """Run a cell and return its line for rows.jsonl; whatever goes wrong in it stands there as `error`.

    It begins with nothing, or, where `place.resume` says so, with what it had when the same commands and the same code
    were interrupted or failed; nobody measured then how long it took.

    stop: ends the cell from another thread, by which InterruptedCell is raised.
    """
    folder = place.start / place.folder(cell.name)
    commands = [fill(template, place.words(cell.name), "run") for template in cell.commands]
    line: dict[str, Any] = {
        "cell": cell.name,
        "grid": dict(cell.grid),
        "seed": cell.seed,
        "result": None,
        "error": None,
        "seconds": None,
        "commands": [shlex.join(["ssm-sense", *words]) for words in commands],
        "commit": commit_of(Path(__file__), place.start / place.here),
        **machine(),
    }
    goes_on = _enter(folder, line, place.resume)
    begin = time.monotonic()
    try:
        run_commands(commands, folder / "log.txt", place, begin + place.limit_s, stop)
        files = [place.start / fill((name,), place.words(cell.name), "result")[0] for name in place.results]
        line["result"] = collect(files, place.keep)
        _check_names(line)
        (folder / _BEGUN).unlink(missing_ok=True)  # Measured again, it begins with nothing.
    except UserError as error:
        line["result"], line["error"] = None, _without_paths(str(error), place.start)
    if not goes_on:
        line["seconds"] = round(time.monotonic() - begin, 2)
    return line


def _enter(folder: Path, line: Mapping[str, Any], resume: bool) -> bool:
    """Make a cell's folder, or leave there what the same commands and code had made. Whether there was anything."""
    made_by = {key: line[key] for key in ("commands", "commit", "backend", "device", "versions")}
    resume = resume and not line["commit"].endswith(CHANGES)  # Of which nobody knows that they are the same.
    with contextlib.suppress(OSError, ValueError):
        if resume and json.loads((folder / _BEGUN).read_text(encoding="utf-8")) == made_by:
            return True
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    if resume:
        (folder / _BEGUN).write_text(json.dumps(made_by), encoding="utf-8")
    return False


def run_commands(
    commands: list[Template], log: Path, place: Place, deadline: float, stop: threading.Event | None = None
) -> None:
    """Run commands of `ssm-sense` in turn, their output going to `log`.

    deadline: in time.monotonic's seconds. Raises UserError with the last lines of output where one of them fails or
    the deadline passes, InterruptedCell where `stop` is set.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(place.threads), "PYTHONUNBUFFERED": "1"}
    with open(log, "a", encoding="utf-8") as output:
        for words in commands:
            output.write(f"$ {shlex.join(['ssm-sense', *words])}\n")
            output.flush()
            status = _run((place.program, *words), output.fileno(), environment, place.start, deadline, stop)
            if status is None:
                raise UserError(f"ended after {place.limit_s / 60:g} minutes, the limit of a cell\n{_tail(log)}")
            if status != 0:
                raise UserError(f"`ssm-sense {words[0]}` ended with status {status}\n{_tail(log)}")


def _run(
    words: Template,
    output: int,
    environment: Mapping[str, str],
    start: Path,
    deadline: float,
    stop: threading.Event | None,
) -> int | None:
    """Run one module, with its words, to its end and return its status, None if the deadline passed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ssm_sense.sweep.tied", *words],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=start,
        start_new_session=True,
    )
    try:
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_S)
            if stop is not None and stop.is_set():
                raise InterruptedCell
        return None
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a command's processes: asked first, so that it can tidy up, then killed."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
    if hasattr(signal, "SIGKILL"):
        _signal(process, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to all of a command's processes, if there are any left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def _tail(log: Path) -> str:
    """The last lines that a command put out; of a line that was written over, as progress bars are, what stood last."""
    text = log.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    return "\n".join(line[:_LONGEST_LINE] for line in [line for line in lines if line][-LAST_LINES:])


def _check_names(line: Mapping[str, Any]) -> None:
    """Drop from the result what only repeats the cell's coordinates. Raises UserError where it says otherwise."""
    fixed = {**line["grid"], "seed": line["seed"]}
    for result in line["result"] if isinstance(line["result"], list) else [line["result"]]:
        for name in sorted(fixed.keys() & result.keys()):
            value = result.pop(name)
            if value != fixed[name]:
                raise UserError(f"the result has {name!r} {value!r}, the cell {fixed[name]!r}; expected another name")


def _without_paths(text: str, start: Path) -> str:
    """Rows are shown to others: paths below the current folder and of the interpreter become relative."""
    for path, short in (
        (str(start), "."),
        (sys.prefix, "PYTHON"),
        (sys.base_prefix, "PYTHON"),
        (str(Path.home()), "~"),
    ):
        if len(path) > 1:
            text = text.replace(path, short)
    return text
