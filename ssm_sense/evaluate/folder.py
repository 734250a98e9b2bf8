"""The files of a run: rows.jsonl (a line a question), frames.jsonl (a line a frame), clips.jsonl (a line a clip).

A clip's line in clips.jsonl is written last and commits the clip. Whatever stands in the other two files without
it was left by a run that was killed, and is dropped when the folder is opened again. A clip that failed is dropped
too, so that it is tried anew. One process at a time may write to a folder.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from ssm_sense.errors import UserError
from ssm_sense.evaluate.run import RunInfo
from ssm_sense.strict_json import json_line

Line = dict[str, Any]


class RunFolder:
    """Opens, or goes on with, one run in a folder, which may hold other runs beside it.

    Raises UserError if a run of that name is there with another policy, settings, config, weights, questions, seed or
    scorer, or if clips.jsonl is damaged.
    """

    def __init__(self, folder: Path, run: RunInfo) -> None:
        self.folder, self.run = folder, run
        self.rows, self.frames, self.clips = (folder / f"{n}.jsonl" for n in ("rows", "frames", "clips"))
        folder.mkdir(parents=True, exist_ok=True)
        self.clips.touch()  # so that whoever reads the frames knows which of them count, from the first one on
        entries = _read(self.clips)
        for entry in entries:
            if entry["run"] == run.name:
                _check_same_run(entry, run, self.folder)
        kept = [entry for entry in entries if entry["run"] != run.name or entry["error"] is None]
        committed = {(entry["run"], entry["clip"]) for entry in kept}
        _keep(self.clips, lambda line: line["run"] != run.name or line["error"] is None)
        _keep(self.frames, lambda line: (line["run"], line["clip"]) in committed)
        _keep(self.rows, lambda line: (line["run"], line["clip"]) in committed)
        self.finished = {entry["clip"] for entry in kept if entry["run"] == run.name}

    def clip(self, name: str) -> "ClipLines":
        """Begin a clip's lines."""
        return ClipLines(self, name)

    def absorb(self, part: Path) -> list[str | None]:
        """Take in the clips that were committed to another folder by the same run, and remove that folder; the error of
        each, or None.

        Clips that are finished here already are not taken twice, so that a kill at any moment can be made good by
        absorbing again. Raises UserError if it holds another run's clips, or is damaged.
        """
        entries = [entry for entry in _read(part / self.clips.name) if entry["clip"] not in self.finished]
        for entry in entries:
            _check_same_run(entry, self.run, part)
        committed = {entry["clip"] for entry in entries}
        for path in (self.frames, self.rows, self.clips):
            with open(path, "a", encoding="utf-8") as file:
                for line in _whole_lines(part / path.name):
                    if line["clip"] in committed:
                        file.write(json_line(line))
                _sync(file)
        self.finished |= {entry["clip"] for entry in entries if entry["error"] is None}
        shutil.rmtree(part)
        return [entry["error"] for entry in entries]


class ClipLines:
    """The lines of one clip: frames go to disk as they come, rows when the clip is committed.

    To be used in a with block; leaving it without `commit` leaves lines that count for nothing.
    """

    def __init__(self, folder: RunFolder, name: str) -> None:
        self._folder, self._name = folder, name
        self._rows: list[Line] = []
        self._n_frames = 0
        self._frames: TextIO = open(folder.frames, "a", encoding="utf-8")  # noqa: SIM115 (closed on exit)

    def __enter__(self) -> "ClipLines":
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.close()

    def frame(self, line: Mapping[str, Any]) -> None:
        """Write one frame's line."""
        self._frames.write(json_line({"run": self._folder.run.name, "clip": self._name, **line}))
        self._n_frames += 1

    def row(self, line: Mapping[str, Any]) -> None:
        """Keep one question's line until the clip is committed."""
        run = self._folder.run.columns
        self._rows.append({"run": run.pop("run"), "policy": run.pop("policy"), "clip": self._name, **line, **run})

    def count(self, memory_flops: int) -> None:
        """Say in all rows what a frame takes in memory by the end of the clip."""
        for row in self._rows:
            row["flops"] = {**row["flops"], "memory": memory_flops}

    def commit(self, wall_s: float, error: str | None) -> None:
        """Make the clip's lines count: frames, then rows, then the line in clips.jsonl, each forced to disk."""
        _sync(self._frames)
        with open(self._folder.rows, "a", encoding="utf-8") as file:
            file.write("".join(map(json_line, self._rows)))
            _sync(file)
        entry = {
            **self._folder.run.identity,
            "clip": self._name,
            "rows": len(self._rows),
            "frames": self._n_frames,
            "wall_s": round(wall_s, 3),
            "error": error,
        }
        with open(self._folder.clips, "a", encoding="utf-8") as file:
            file.write(json_line(entry))
            _sync(file)


def _read(path: Path) -> list[Line]:
    """All whole lines of a file."""
    return list(_whole_lines(path))


def _whole_lines(path: Path) -> Iterator[Line]:
    """The lines of a file, if there is one, in turn; a last line without its end was never committed."""
    if path.exists():
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                if text.endswith("\n"):
                    yield _parse(text, path, number)


def _keep(path: Path, wanted: Callable[[Line], bool]) -> None:
    """Drop a file's unwanted lines, and a torn last one; a file without any is left untouched."""
    if not path.exists():
        return
    partial = path.with_name(f".{path.name}.partial")
    dropped = False
    with open(path, encoding="utf-8") as file, open(partial, "w", encoding="utf-8") as kept:
        for number, text in enumerate(file, start=1):
            if text.endswith("\n") and wanted(_parse(text, path, number)):
                kept.write(text)
            else:
                dropped = True
        _sync(kept)
    if dropped:
        os.replace(partial, path)
    else:
        partial.unlink()


def _parse(text: str, path: Path, number: int) -> Line:
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {number}: expected a JSON object, got {text[:60]!r}") from error
    if not (isinstance(line, dict) and "run" in line and "clip" in line):
        raise UserError(f"{path}, line {number}: expected an object with 'run' and 'clip', got {text[:60]!r}")
    return line


def _check_same_run(entry: Line, run: RunInfo, folder: Path) -> None:
    wanted = json.loads(json.dumps(run.identity))
    found = _first_difference({name: entry.get(name) for name in wanted}, wanted)
    if found:
        name, begun, now = found
        raise UserError(
            f"{folder}: run {run.name!r} was begun with {name} {begun!r}, and goes on only with the same, "
            f"not {now!r}; choose another name or folder"
        )


def _first_difference(begun: Line, now: Line) -> tuple[str, Any, Any] | None:
    """Where two JSON objects differ first, such as "settings fps", and what they have there; None if they do not."""
    for name in sorted(begun.keys() | now.keys()):
        old, new = begun.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            if within := _first_difference(old, new):
                return f"{name} {within[0]}", *within[1:]
        elif old != new:
            return name, old, new
    return None


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())
