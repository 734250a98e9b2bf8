"""What a stream looks like in a terminal: a live picture of its surprise, or plain lines where that cannot be drawn."""

import math
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text

from ssm_sense.errors import UserError
from ssm_sense.stream import FrameReport

BLOCKS = " ▁▂▃▄▅▆▇█"
ROWS = 4
MOST_COLUMNS = 400
REFRESH_S = 0.1
HEARTBEAT_S = 60.0
"""Of the stream's own time, between two plain lines in which nothing happened."""


def parse_clock(text: str) -> float:
    """Seconds of "1:02:03", "90:00", "02:03.5" or "3723". Raises UserError for anything else."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text.strip())
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    if match is None or (match[2] and seconds >= 60) or (match[1] and minutes >= 60):
        raise UserError(f"expected a time such as 00:10:00, 10:00 or 600, got {text!r}")
    return hours * 3600 + minutes * 60 + seconds


def format_clock(t_s: float) -> str:
    """As in "00:02:03", and "00:02:03.5" between whole seconds."""
    tenths = round(t_s * 10)
    whole, tenth = divmod(tenths, 10)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}" + (f".{tenth}" if tenth else "")


def format_bytes(nbytes: float) -> str:
    """As in "512 B" and "4.2 MB"."""
    for unit in ("B", "kB", "MB"):
        if nbytes < 1000:
            return f"{nbytes:.0f} {unit}" if unit == "B" or nbytes >= 100 else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.1f} GB"


def bars(values: Sequence[float], top: float, rows: int) -> list[str]:
    """A column a value, drawn in eighths of a row, as `rows` lines from the highest down; nan is blank."""
    eighths = [0 if math.isnan(v) else min(rows * 8, max(1, round(v / top * rows * 8))) for v in values]
    return ["".join(BLOCKS[min(8, max(0, e - 8 * row))] for e in eighths) for row in reversed(range(rows))]


class Tally:
    """What there is to say of a stream in one line.

    threshold: the surprise at which an event begins; None where there is none.
    """

    def __init__(self, threshold: float | None) -> None:
        self.threshold = threshold
        self.frames = self.events = 0
        self.total_ms = 0.0
        self.newest: FrameReport | None = None

    def add(self, report: FrameReport) -> None:
        """Count one frame."""
        self.frames, self.events = self.frames + 1, self.events + report.boundary
        self.total_ms, self.newest = self.total_ms + report.ms, report

    def __str__(self) -> str:
        if self.newest is None:
            return "no frames"
        parts = [_count(self.frames, "frame"), _count(self.events, "event")]
        if not math.isnan(self.newest.surprise):
            limit = "" if self.threshold is None else f" (threshold {self.threshold:.2f})"
            parts.append(f"surprise {self.newest.surprise:.2f}{limit}")
        parts += [f"memory {format_bytes(self.newest.nbytes)}", f"{self.total_ms / self.frames:.1f} ms/frame"]
        return ", ".join(parts)


class View(Protocol):
    """Shows a stream while it runs; to be used in a with block."""

    def __enter__(self) -> "View": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def frame(self, report: FrameReport) -> None:
        """One more frame was watched."""

    def say(self, text: str) -> None:
        """Something to read, which stays."""


class PlainView:
    """A line an event, a line a minute, and one at the end."""

    def __init__(self, console: Console, threshold: float | None) -> None:
        self.console, self.tally = console, Tally(threshold)
        self.due_s = -math.inf

    def __enter__(self) -> "PlainView":
        return self

    def __exit__(self, *_: object) -> None:
        self.say(f"watched {self.tally}")

    def frame(self, report: FrameReport) -> None:
        """A line if an event begins, or nothing was said for a minute."""
        self.tally.add(report)
        if report.boundary:
            self.say(f"{format_clock(report.t_s)}  event {self.tally.events}, surprise {report.surprise:.2f}")
        elif report.t_s >= self.due_s:
            self.say(f"{format_clock(report.t_s)}  {self.tally}")
        else:
            return
        self.due_s = report.t_s + HEARTBEAT_S

    def say(self, text: str) -> None:
        """The text as it is, on lines of its own."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveView:
    """Surprise as bars that run through the terminal, red where an event begins, with the threshold across them."""

    def __init__(self, console: Console, threshold: float | None) -> None:
        self.console, self.tally = console, Tally(threshold)
        self.recent: deque[FrameReport] = deque(maxlen=MOST_COLUMNS)
        self.live = Live(self, console=console, auto_refresh=False)
        self.drawn = 0.0

    def __enter__(self) -> "LiveView":
        self.live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.__exit__(kind, error, trace)

    def frame(self, report: FrameReport) -> None:
        """Draws it, unless the last drawing is still fresh."""
        self.tally.add(report)
        self.recent.append(report)
        if time.monotonic() - self.drawn >= REFRESH_S:
            self.drawn = time.monotonic()
            self.live.refresh()

    def say(self, text: str) -> None:
        """The text, above the picture."""
        self.console.print(text, markup=False, highlight=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The bars, a mark under each event, the times at both ends, and the tally."""
        shown = list(self.recent)[-options.max_width :]
        if not shown:
            yield Text("waiting for the first frame", style="dim")
            return
        limit = self.tally.threshold
        seen = [r.surprise for r in shown if not math.isnan(r.surprise)]
        top = max([*seen, 0.0 if limit is None else 1.25 * limit]) or 1.0
        limit_row = None if limit is None else ROWS - 1 - min(ROWS - 1, int(limit / top * ROWS))
        for row, line in enumerate(bars([r.surprise for r in shown], top, ROWS)):
            text = Text(no_wrap=True)
            for cell, report in zip(line, shown, strict=True):
                across = row == limit_row and cell == " "
                text.append("╌" if across else cell, "dim" if across else "bold red" if report.boundary else "cyan")
            yield text
        yield Text("".join("▲" if r.boundary else " " for r in shown), style="bold red", no_wrap=True)
        first, last = format_clock(shown[0].t_s), format_clock(shown[-1].t_s)
        yield Text(first.ljust(max(len(first) + 1, len(shown) - len(last))) + last, style="dim", no_wrap=True)
        yield Text(str(self.tally))


def open_view(console: Console, threshold: float | None) -> View:
    """A live picture in a terminal, plain lines in a file, a pipe or a terminal that cannot move its cursor."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, threshold)
    return PlainView(console, threshold)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
