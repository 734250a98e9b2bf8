"""Passing packets over never changes what is shown, for any structure of groups, times and delays."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_sense.data import decode
from ssm_sense.data.decode import Schedule, decode_shown

TICK_S = Fraction(1, 1000)


@dataclass(frozen=True)
class Packet:
    """A picture to be decoded: a key, one that others refer to, or a disposable one."""

    pts: int
    kind: str
    size: int = 1

    @property
    def is_keyframe(self) -> bool:
        return self.kind == "key"


@dataclass
class Codec:
    """Decodes as H.264 does: other than keys, a picture needs the reference before it, and order comes with a delay.

    A picture decoded without its reference comes out with `broken` set.
    """

    delay: int
    skip_frame: str = "DEFAULT"
    decoded: int = 0
    reference: bool = False
    waiting: list[Any] = field(default_factory=list)

    def flush_buffers(self) -> None:
        self.reference = False
        self.waiting.clear()

    def decode(self, packet: Packet | None) -> list[Any]:
        if packet is None:
            out, self.waiting = sorted(self.waiting, key=lambda p: p.pts), []
            return out
        if packet.kind == "disposable" and self.skip_frame == "NONREF":
            return []
        self.decoded += 1
        self.reference |= packet.kind == "key"
        self.waiting.append(Picture(packet.pts, broken=not self.reference))
        if len(self.waiting) <= self.delay:
            return []
        first = min(self.waiting, key=lambda p: p.pts)
        self.waiting.remove(first)
        return [first]


@dataclass(frozen=True)
class Picture:
    pts: int
    broken: bool


@st.composite
def streams(draw: st.DrawFn) -> list[Packet]:
    """Packets in decoding order: groups of a key, references, and disposable pictures shown before their reference."""
    packets = []
    pts = draw(st.integers(-2000, 5000))
    for _ in range(draw(st.integers(1, 8))):
        kind = "key"
        for disposable in draw(st.lists(st.integers(0, 2), min_size=1, max_size=6)):
            times = []
            for _ in range(disposable + 1):
                times.append(pts)
                pts += draw(st.one_of(st.integers(1, 60), st.integers(1, 3000)))
            # A key is shown before what is disposable; any other reference after it.
            shown = times[0] if kind == "key" else times[-1]
            packets.append(Packet(shown, kind))
            packets.extend(Packet(t, "disposable") for t in times if t != shown)
            kind = "reference"
    return packets


def serve(pictures: Iterator[Any], schedule: Schedule, samples: int) -> list[int]:
    """The times of the pictures on show at the first samples, as `VideoFile` reads them off."""
    shown: list[int] = []
    held = None
    for picture in pictures:
        assert not picture.broken
        assert held is None or picture.pts > held
        while held is not None and schedule.last_tick(schedule.due) < picture.pts and len(shown) < samples:
            shown.append(held)
            schedule.due += 1
        held = picture.pts
    while len(shown) < samples:
        shown.append(held)
        schedule.due += 1
    return shown


@settings(max_examples=100, deadline=None)
@given(
    packets=streams(),
    period_ms=st.integers(20, 4000),
    start_ms=st.integers(0, 3000),
    delay=st.integers(2, 5),
    ahead=st.sampled_from([1, 3, 256]),
)
def test_what_is_shown_is_what_decoding_everything_shows(
    packets: list[Packet], period_ms: int, start_ms: int, delay: int, ahead: int
) -> None:
    times = sorted(packet.pts for packet in packets)
    zero, samples = times[0], 20
    want = []
    for k in range(samples):
        due = zero + start_ms + k * period_ms
        want.append(max(t for t in times if t <= due))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "LOOK_AHEAD_PACKETS", ahead)
        schedule = Schedule(Fraction(start_ms, 1000), Fraction(1000, period_ms), TICK_S, zero)
        codec = Codec(delay)
        assert serve(decode_shown(iter(packets), codec, schedule), schedule, samples) == want
    assert codec.decoded <= len(packets)


@settings(max_examples=60, deadline=None)
@given(
    tick=st.fractions(Fraction(1, 10**6), Fraction(1, 10)),
    fps=st.fractions(Fraction(1, 100), 200, max_denominator=1001),
    start_s=st.fractions(0, 1000, max_denominator=1000),
    zero=st.integers(-(10**6), 10**6),
    at=st.integers(-(10**6), 10**7),
    due=st.integers(0, 100),
)
def test_a_schedule_agrees_with_itself(
    tick: Fraction, fps: Fraction, start_s: Fraction, zero: int, at: int, due: int
) -> None:
    schedule = Schedule(start_s, fps, tick, zero)
    schedule.due = due
    k = schedule.first_showing(at)
    assert k >= due
    assert schedule.last_tick(k) >= at or k == due
    assert k == due or schedule.last_tick(k - 1) < at
    exact = (start_s + k / fps + decode.ROUNDING_S) / tick + zero
    assert schedule.last_tick(k) <= exact < schedule.last_tick(k) + 1


def groups(count: int, length: int) -> list[Packet]:
    return [Packet(40 * i, "disposable" if i % length else "key") for i in range(count * length)]


def test_groups_between_samples_are_not_decoded() -> None:
    schedule, codec = Schedule(Fraction(0), Fraction(1, 4), TICK_S, 0), Codec(delay=2)
    shown = serve(decode_shown(iter(groups(100, 10)), codec, schedule), schedule, 10)
    assert shown == [4000 * k for k in range(10)]
    assert codec.decoded < 60


def test_pictures_that_nothing_shows_are_not_decoded() -> None:
    schedule, codec = Schedule(Fraction(0), Fraction(1), TICK_S, 0), Codec(delay=2)
    serve(decode_shown(iter(groups(1, 1000)), codec, schedule), schedule, 40)
    assert codec.decoded < 100


def test_no_more_is_read_than_the_look_ahead() -> None:
    """In packets, and in bytes: memory stays flat however long the file."""
    read: deque[int] = deque()

    def reading(size: int) -> Iterator[Packet]:
        for packet in groups(200, 10):
            read.append(packet.pts)
            yield Packet(packet.pts, packet.kind, size)

    for size, limit in ((1, decode.LOOK_AHEAD_PACKETS), (decode.LOOK_AHEAD_BYTES // 4, 4)):
        read.clear()
        schedule = Schedule(Fraction(0), Fraction(25), TICK_S, 0)
        pictures = decode_shown(reading(size), Codec(delay=2), schedule)
        for count in range(1, 100):
            next(pictures)
            schedule.due = count
            assert len(read) <= limit + count + 3


def test_a_packet_that_does_not_decode_is_reported_and_passed_over() -> None:
    import av

    class Failing(Codec):
        def decode(self, packet: Packet | None) -> list[Any]:
            if packet is not None and packet.pts == 80:
                raise av.error.InvalidDataError(1, "damaged")
            return super().decode(packet)

    schedule = Schedule(Fraction(0), Fraction(25), TICK_S, 0)
    pictures = list(decode_shown(iter(groups(1, 6)), Failing(delay=0), schedule))
    assert [picture and picture.pts for picture in pictures] == [0, 40, None, 120, 160, 200]
