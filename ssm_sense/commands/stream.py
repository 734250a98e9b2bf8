"""`ssm-sense stream`: watch a video as it comes and answer questions on the way."""

import argparse
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from ssm_sense.commands.stream_asked import Ask, questions
from ssm_sense.data.decode import frame_rate
from ssm_sense.errors import UserError
from ssm_sense.strict_json import json_line

if TYPE_CHECKING:
    from ssm_sense.data.clip import Frame, Question
    from ssm_sense.memory.policy import Answer, Held
    from ssm_sense.stream import FrameReport, Session

DEMO_MODEL = Path("demo/model")
FRAMES_AT_ONCE = 8
_EPSILON_S = 1e-6
_EXAMPLE = """\
examples:
  ssm-sense stream rtsp://camera.local/live --ask "Which room is this?" --at 00:10:00
  ssm-sense stream walk.mp4 --ask "How many different chair(s) are there in the video?" --at 00:05:00 --at 00:10:00 \\
      --ask "Which room was entered last?" --options kitchen bedroom study
"""


class Reply(NamedTuple):
    """An answer, and when the question was to be put (infinity for the end)."""

    due_s: float
    seen_s: float
    question: "Question"
    answer: "Answer"
    ms: float


def main(argv: list[str], open_session: "Callable[[Path], Session] | None" = None) -> int:
    """Watch a video.

    open_session: makes the session of a model folder; `ssm_sense.folder.load_session` unless another is given.
    """
    arguments = _parse(argv)
    from rich.console import Console

    from ssm_sense import folder
    from ssm_sense.data.live import LiveVideo
    from ssm_sense.data.live_source import is_live
    from ssm_sense.data.video import VideoFile
    from ssm_sense.memory.recurrent import RecurrentMemory
    from ssm_sense.timeline import PlainView, format_clock, open_view

    asked = questions(arguments.asked)
    _check_place(arguments.save, arguments.video)
    if str(arguments.jsonl) != "-":
        _check_place(arguments.jsonl, arguments.video)
    live = is_live(arguments.video) or "://" in arguments.video  # of an unknown scheme, LiveVideo says what there is
    if not live:
        VideoFile(Path(arguments.video), arguments.fps)  # one that cannot be read is told before a model is loaded
    model = arguments.model or (DEMO_MODEL if DEMO_MODEL.is_dir() else folder.default())
    session = (open_session or folder.load_session)(model)
    if arguments.resume is not None:
        session.load(arguments.resume)
    begin_s = max(0.0, session.t_s + 1 / arguments.fps)
    passed = [due_s for due_s, _ in asked if due_s < session.t_s]
    if passed:
        raise UserError(f"--at {format_clock(passed[0])}: the session goes on after that, at {format_clock(begin_s)}")
    threshold = float(session.memory.model.policy.threshold) if isinstance(session.memory, RecurrentMemory) else None
    piped = str(arguments.jsonl) == "-"
    view = PlainView(Console(stderr=True), threshold) if piped else open_view(Console(), threshold)
    frames: Iterable[Frame]
    if live:
        source = LiveVideo(
            arguments.video,
            arguments.fps,
            attempts=arguments.attempts,
            on_trouble=lambda trouble: view.say(f"{format_clock(trouble.t_s)}  {trouble.kind}: {trouble.detail}"),
        )
        frames = ((frame, begin_s + t_s) for frame, t_s in source)
    else:
        frames = video = VideoFile(Path(arguments.video), arguments.fps, start_s=begin_s)
        if begin_s >= video.duration_s:
            ends = f"{arguments.video} ends at {format_clock(video.duration_s)}"
            view.say(f"{ends}, and the session goes on at {format_clock(begin_s)}: there is nothing left to watch")
    with _interrupts() as stopped, _lines(arguments.jsonl, append=begin_s > 0) as write, view:
        saved_at, watched_before = time.monotonic(), session.frames
        try:
            for happened in follow(session, frames, asked, stopped, 1 if live else FRAMES_AT_ONCE):
                if isinstance(happened, Reply):
                    view.say(_reply_text(happened, 1 / arguments.fps))
                    write(_reply_line(happened))
                else:
                    view.frame(happened)
                    write({"type": "frame", **happened._asdict()})
                if arguments.save is not None and time.monotonic() - saved_at >= 60 * arguments.save_every:
                    session.save(arguments.save)
                    saved_at = time.monotonic()
            if stopped():
                view.say(f"interrupted after {format_clock(session.t_s)}")
            for seen in session.sightings():
                write({"type": "sighting", **seen._asdict()})
            held = session.inventory()
            if held:
                view.say(f"{format_clock(max(session.t_s, 0.0))}  counted {_counted(held)}")
                things = {name: one._asdict() for name, one in held.items()}
                write({"type": "inventory", "t_s": session.t_s, "things": things})
        except BrokenPipeError:
            # Whoever reads the lines has seen enough, and Python must not complain of it when it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            if arguments.save is not None and session.frames > watched_before:
                session.save(arguments.save)
                view.say(f"saved {arguments.save}")
            elif arguments.save is not None:
                view.say(f"nothing was watched, so that {arguments.save} is as it was")
    if live and session.frames == watched_before and not stopped():
        wanted = "a pipe must carry a format that is read from its beginning to its end, such as MPEG-TS"
        raise UserError(f"{arguments.video}: expected a video, got no picture; {wanted}")
    return 0


def _check_place(path: Path | None, video: str) -> None:
    """Raise UserError where a file cannot be written, before hours are watched, or would take the video's place."""
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"{path}: there is no folder {folder}")
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise UserError(f"{path}: expected the name of a file that can be written")
    if path.exists() and Path(video).exists() and path.samefile(video):
        raise UserError(f"{path}: expected another file than the video that is watched")


def follow(
    session: "Session",
    frames: "Iterable[Frame]",
    asked: "Sequence[tuple[float, Question]]",
    stopped: Callable[[], bool] = lambda: False,
    at_once: int = FRAMES_AT_ONCE,
) -> "Iterator[FrameReport | Reply]":
    """Watch frames and put each question after every frame up to its time and before any later one.

    Those that are left at the end, or when `stopped` says so, are put then. A video that turns out damaged is
    watched as far as it goes, and its error raised after that. Frames are seen `at_once` many together, which changes
    nothing but the time: what comes live is seen as it comes.
    """
    import numpy as np
    import torch

    from ssm_sense.data.video import DamagedVideo

    due = deque(sorted(asked, key=lambda pair: pair[0]))
    batch: list[Frame] = []
    damage: DamagedVideo | None = None

    def feed() -> "list[FrameReport]":
        pictures, seconds = [f for f, _ in batch], [t for _, t in batch]
        batch.clear()
        return session.feed(torch.from_numpy(np.stack(pictures)), seconds) if pictures else []

    def ask(due_s: float, question: "Question") -> Reply:
        begun = time.perf_counter()
        answer = session.ask(question)
        return Reply(due_s, session.t_s, question, answer, (time.perf_counter() - begun) * 1e3)

    try:
        for frame, t_s in frames:
            while due and due[0][0] < t_s - _EPSILON_S:
                yield from feed()
                yield ask(*due.popleft())
            batch.append((frame, t_s))
            if len(batch) == at_once:
                yield from feed()
            if stopped():
                break
    except DamagedVideo as error:
        damage = error
    yield from feed()
    while due:
        yield ask(*due.popleft())
    if damage is not None:
        raise damage


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ssm-sense stream",
        description="Watch a video frame by frame with a memory of constant size, and answer questions on the way.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "video", help="any video file; or rtsp://, http:// and the like, /dev/video0, a pipe, - for stdin"
    )
    parser.add_argument("--ask", action=Ask, dest="asked", default=[], metavar="QUESTION", help="repeatable")
    parser.add_argument(
        "--at",
        action=Ask,
        dest="asked",
        metavar="TIME",
        help="when to put the question before it; repeatable; at the end if not given",
    )
    parser.add_argument(
        "--options", action=Ask, dest="asked", nargs="+", metavar="OPTION", help="of the question before it"
    )
    parser.add_argument("--jsonl", type=Path, metavar="FILE", help="a JSON line a frame and an answer; - for stdout")
    parser.add_argument("--fps", type=float, default=1.0, help="frames to watch a second (default: 1)")
    parser.add_argument("--model", type=Path, metavar="DIR", help=f"default: {DEMO_MODEL}, or else the shipped one")
    parser.add_argument("--save", type=Path, metavar="STATE", help="write what the memory holds when done")
    parser.add_argument(
        "--save-every", type=float, default=10.0, metavar="M", help="and every so many minutes (default: %(default)g)"
    )
    parser.add_argument("--resume", type=Path, metavar="STATE", help="go on from what --save wrote")
    parser.add_argument(
        "--attempts",
        type=int,
        default=5,
        metavar="N",
        help="how often in a row to open a lost source again, at last every ten seconds (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    frame_rate(arguments.fps, "--fps")
    if not arguments.save_every >= 0:
        raise UserError(f"--save-every: expected 0 minutes or more, got {arguments.save_every:g}")
    if arguments.attempts < 0:
        raise UserError(f"--attempts: expected 0 or more, got {arguments.attempts}")
    return arguments


def _reply_text(reply: Reply, frame_s: float) -> str:
    """The question, and under it the answer, with its option where there are any."""
    from ssm_sense.timeline import format_clock

    chosen = [option for option in reply.question.options if option.startswith(f"{reply.answer.text}.")]
    answer = chosen[0] if chosen else reply.answer.text or "(no answer)"
    beyond = reply.seen_s + frame_s + _EPSILON_S < reply.due_s < math.inf
    note = f" (due at {format_clock(reply.due_s)}, after the end)" if beyond else ""
    return f"{format_clock(reply.seen_s)}  {reply.question.text}{note}\n          {answer}"


def _counted(held: "Mapping[str, Held]") -> str:
    """How many of each kind there were so far, most first; what was counted less than half a time is left out."""
    some = sorted((-round(one.so_far), name) for name, one in held.items() if one.so_far > 0.5)
    return ", ".join(f"{name} {-number}" for number, name in some) or "nothing"


def _reply_line(reply: Reply) -> dict[str, Any]:
    return {
        "type": "answer",
        "t_s": reply.due_s,
        "seen_s": reply.seen_s,
        "question": reply.question.text,
        "options": reply.question.options,
        "answer": reply.answer.text,
        "log_likelihoods": reply.answer.log_likelihoods,
        "ms": reply.ms,
    }


@contextmanager
def _lines(path: Path | None, append: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one JSON line at once, to a file, to stdout for "-", or nowhere."""

    def write(file: TextIO, line: dict[str, Any]) -> None:
        print(json_line(line), end="", file=file, flush=True)

    if path is None:
        yield lambda line: None
    elif str(path) == "-":
        yield partial(write, sys.stdout)
    else:
        with open(path, "a" if append else "w", encoding="utf-8") as file:
            yield partial(write, file)


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, or the process was told to end; the second time it is interrupted at once."""
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
