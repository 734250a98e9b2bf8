"""The terminal's view: times and sizes in words, bars by hand, and what a live or a plain console shows."""

import io
import math

import pytest
from rich.console import Console

from ssm_sense.errors import UserError
from ssm_sense.stream import FrameReport
from ssm_sense.timeline import LiveView, PlainView, bars, format_bytes, format_clock, open_view, parse_clock


def report(t_s: float, surprise: float, boundary: bool = False) -> FrameReport:
    return FrameReport(t_s, surprise, 0.5, boundary, 4_200_000, 12.5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:10:00", 600), ("10:00", 600), ("600", 600), ("90:00", 5400), ("1:02:03.5", 3723.5), ("0.25", 0.25), ("5", 5)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_clock(text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "1:60", "1:75:00", "-5", "1:2:3:4", "10:", ":10", "1.5:00", "1e3", "inf"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected a time such as 00:10:00"):
        parse_clock(text)


def test_times_and_sizes_are_written() -> None:
    assert [format_clock(t) for t in (0, 59.96, 3723.5, 360000)] == ["00:00:00", "00:01:00", "01:02:03.5", "100:00:00"]
    sizes = [0, 999, 1000, 123_456, 4_194_304, 123_000_000_000]
    assert [format_bytes(n) for n in sizes] == ["0 B", "999 B", "1.0 kB", "123 kB", "4.2 MB", "123.0 GB"]


def test_bars_by_hand() -> None:
    assert bars([0.0, 0.25, 0.5, 1.0, 2.0, math.nan], top=1.0, rows=2) == ["   ██ ", "▁▄███ "]
    assert bars([], top=1.0, rows=2) == ["", ""]


def watch(console: Console, threshold: float | None, reports: list[FrameReport]) -> str:
    with open_view(console, threshold) as view:
        for one in reports:
            view.frame(one)
        view.say("[bold]said[/bold]")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_where_nothing_can_be_drawn() -> None:
    console = Console(file=io.StringIO(), width=40)
    assert isinstance(open_view(console, 0.7), PlainView)
    reports = [report(t, 0.9 if t == 70 else 0.125, t == 70) for t in range(140)]
    assert watch(console, 0.7, reports).splitlines() == [
        "00:00:00  1 frame, 0 events, surprise 0.12 (threshold 0.70), memory 4.2 MB, 12.5 ms/frame",
        "00:01:00  61 frames, 0 events, surprise 0.12 (threshold 0.70), memory 4.2 MB, 12.5 ms/frame",
        "00:01:10  event 1, surprise 0.90",
        "00:02:10  131 frames, 1 event, surprise 0.12 (threshold 0.70), memory 4.2 MB, 12.5 ms/frame",
        "[bold]said[/bold]",
        "watched 140 frames, 1 event, surprise 0.12 (threshold 0.70), memory 4.2 MB, 12.5 ms/frame",
    ]


def live(width: int = 30) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)


def drawn(view: LiveView, console: Console) -> list[str]:
    with console.capture() as capture:
        console.print(view)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_live_picture_has_bars_events_and_the_threshold() -> None:
    console = live()
    view = open_view(console, 0.5)
    assert isinstance(view, LiveView)
    view.tally.threshold = 0.5
    for t in range(24):
        view.frame(report(float(t), 1.0 if t == 9 else 0.25, t == 9))
    lines = drawn(view, console)
    assert lines[:6] == [
        " " * 9 + "█",
        "╌" * 9 + "█" + "╌" * 14,
        " " * 9 + "█",
        "█" * 24,
        " " * 9 + "▲",
        "00:00:00" + " " * 8 + "00:00:23",
    ]
    assert "".join(f"{line} " for line in lines[6:]).split() == str(view.tally).split()


def test_the_live_picture_shows_the_newest_frames_that_fit() -> None:
    console = live(width=20)
    view = LiveView(console, None)
    assert drawn(view, console) == ["waiting for the", "first frame"]
    for t in range(1000):
        view.frame(report(float(t), math.nan))
    lines = drawn(view, console)
    assert all(len(line) <= 20 for line in lines)
    assert "00:16:20    00:16:39" in lines
    assert "surprise" not in "".join(lines)


def test_a_live_view_ends_with_its_last_picture_and_keeps_what_was_said() -> None:
    console = live(width=120)
    text = watch(console, 0.7, [report(float(t), 0.3) for t in range(5)])
    assert "[bold]said[/bold]" in text
    assert "5 frames, 0 events" in text
