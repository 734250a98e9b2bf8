"""`Session`: one stream, watched as it comes and asked about at any time."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ssm_sense.data.clip import Question
from ssm_sense.errors import UserError
from ssm_sense.memory.policy import Answer, Held, KeepsInventory, KeepsSightings, Policy, Sighting
from ssm_sense.memory.registered import Readings, ReadsEvents, Running
from ssm_sense.state import State
from ssm_sense.vision.tower import VisionTower


class FrameReport(NamedTuple):
    """What one frame did, for timelines and `frames.jsonl`."""

    t_s: float
    surprise: float
    gate: float
    boundary: bool
    nbytes: int
    """Bytes that the memory holds after the frame."""
    ms: float
    """Milliseconds that the frame cost, vision included."""


class Session:
    """Feeds frames to a memory through a frozen vision tower and asks it questions.

    Args:
        memory: any policy; the session knows nothing else of it.
        vision: the tower whose latents that memory was trained on.
        weights: names those of both, so that what one model saved is not taken up by another; "" where nobody knows.
    """

    def __init__(self, memory: Policy, vision: VisionTower, weights: str = "") -> None:
        self.memory, self.vision, self.weights = memory, vision, weights
        self.t_s = -float("inf")
        self.frames = 0
        self.registered: list[Running] = []

    def reset(self) -> None:
        """Begin a new stream; questions that were registered for the old one are forgotten with it."""
        self.memory.reset()
        self.t_s, self.frames, self.registered = -float("inf"), 0, []

    def feed(self, frames: Tensor, seconds: Sequence[float] | Tensor) -> list[FrameReport]:
        """Watch frames in order of time.

        Args:
            frames: uint8 RGB (n, H, W, 3); how a stream is cut into calls changes no answer.
            seconds: (n,) times, each later than the last.

        Raises:
            ValueError: for frames of another dtype or shape, latents of them that are not finite, and times that are
                not or do not increase; nothing is fed then.
        """
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            found = f"{str(frames.dtype)[6:]} {tuple(frames.shape)}"
            raise ValueError(f"frames: expected uint8 of shape (n, H, W, 3), got {found}")
        times = checked_times(seconds, len(frames), self.t_s)
        if not times:
            return []
        begun = time.perf_counter()
        latents = self.vision.encode(frames)
        seeing_ms = (now_s(latents.device) - begun) * 1e3 / len(times)
        check_finite(latents)
        return [self._observe(one, t_s, seeing_ms) for one, t_s in zip(latents, times, strict=True)]

    def observe(self, latents: Tensor, seconds: Sequence[float] | Tensor) -> list[FrameReport]:
        """The same from cached latents (n, S, V) of this session's vision tower."""
        times = checked_times(seconds, len(latents), self.t_s)
        check_finite(latents)
        return [self._observe(one, t_s, 0.0) for one, t_s in zip(latents, times, strict=True)]

    def _observe(self, latents: Tensor, t_s: float, seeing_ms: float) -> FrameReport:
        before = self.memory.state if self.registered and isinstance(self.memory, ReadsEvents) else None
        begun = now_s(latents.device)
        seen = self.memory.observe(latents, None, t_s)
        ms = seeing_ms + (now_s(latents.device) - begun) * 1e3
        self.t_s, self.frames = t_s, self.frames + 1
        if seen.parted:
            self.registered = [self._updated(one, before) for one in self.registered]
        return FrameReport(t_s, seen.surprise, seen.gate, seen.boundary, self.memory.nbytes, ms)

    def ask(self, question: Question | str, options: Sequence[str] = ()) -> Answer:
        """Answer a question now. Asking changes nothing: the stream goes on as if nobody had asked."""
        if isinstance(question, str):
            question = self._worded(question, options)
        return self.memory.read(question.prompt, question.options)

    def register(self, question: Question | str, options: Sequence[str] = ()) -> int:
        """Let a question stand from now on; returns its number.

        At every event boundary, or where a memory that tells places apart is in another one, it is put to the whole
        memory, which is its running answer (`registered[number]`), and to the event, or the stay, that just ended, as
        that stood before. Nothing of this changes the memory. The questions are saved and loaded with the session;
        each costs the same however long the stream.
        """
        if isinstance(question, str):
            question = self._worded(question, options)
        self.registered.append(Running(question.prompt, tuple(question.options)))
        return len(self.registered) - 1

    def readings(self, number: int) -> Readings:
        """Both readings of a registered question now: from the whole memory, and event by event in sum.

        The event in progress is counted in both, as if it ended here; it stays in progress.
        """
        one = self.registered[number]
        whole = self.memory.read(one.prompt, one.options)
        if not isinstance(self.memory, ReadsEvents):
            return Readings(whole, None, one.events, one.unread)
        if self.frames:
            one = one.ended(self.memory.read_event(self.memory.state, one.prompt, one.options))
        return Readings(whole, one.total, one.events, one.unread)

    def inventory(self) -> dict[str, Held]:
        """What was seen of each kind of thing that the memory keeps an inventory of; empty where it keeps none."""
        return self.memory.inventory() if isinstance(self.memory, KeepsInventory) else {}

    def sightings(self) -> list[Sighting]:
        """When what the memory looks for was seen beside what, in order of time; empty where it looks for nothing."""
        return self.memory.sightings() if isinstance(self.memory, KeepsSightings) else []

    def _updated(self, one: Running, before: State | None) -> Running:
        """A running answer after a boundary, given the memory's state before the frame that began the new event."""
        if before is not None and isinstance(self.memory, ReadsEvents):
            one = one.ended(self.memory.read_event(before, one.prompt, one.options))
        return one._replace(latest=self.memory.read(one.prompt, one.options), at_s=self.t_s)

    def _worded(self, text: str, options: Sequence[str]) -> Question:
        return Question(text, "", max(self.t_s, 0.0), "asked", tuple(options))

    @property
    def nbytes(self) -> int:
        """Bytes that the memory holds of the stream."""
        return self.memory.nbytes

    def save(self, path: str | Path) -> None:
        """Write what the memory holds, so that `load` can go on from here, in this process or another.

        A kill at any moment leaves the old file or the new one.
        """
        kind, registered = type(self.memory).__name__, [one.plain() for one in self.registered]
        metadata = {"memory": kind, "t_s": self.t_s, "frames": self.frames, "registered": registered}
        State(self.memory.state_dict()).save(path, {**metadata, "weights": self.weights})

    def load(self, path: str | Path) -> None:
        """Go on from a saved session. Raises UserError if the file is not one of this kind of memory and weights."""
        state, metadata = State.load_with_metadata(path)
        kind = type(self.memory).__name__
        if metadata.get("memory") != kind:
            raise UserError(f"{path}: expected a session of {kind}, found one of {metadata.get('memory')}")
        weights = str(metadata.get("weights", ""))
        if self.weights and weights and weights != self.weights:
            raise UserError(f"{path}: expected a session of the model {self.weights}, found one of another, {weights}")
        saved = metadata.get("registered", [])
        try:
            registered = [Running.from_plain(one) for one in saved] if isinstance(saved, list) else []
            self.memory.load_state_dict(dict(state))
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error
        self.registered = registered
        self.t_s, self.frames = float(str(metadata["t_s"])), int(str(metadata["frames"]))


def checked_times(
    seconds: Sequence[float] | Tensor, frames: int, after_s: float, whose: str = "seconds"
) -> list[float]:
    """The times of so many frames as floats.

    Raises ValueError, which begins with ``whose``, unless there is a finite one for each, later than the one before,
    the first later than ``after_s``.
    """
    times = [float(t_s) for t_s in seconds]
    if len(times) != frames:
        raise ValueError(f"{whose}: expected a time for each of {frames} frames, got {len(times)}")
    if not all(map(math.isfinite, times)):
        raise ValueError(f"{whose}: expected finite times, got {times}")
    if any(later <= sooner for sooner, later in zip([after_s, *times], times, strict=False)):
        raise ValueError(f"{whose}: expected increasing times after {after_s}, got {times}")
    return times


def check_finite(latents: Tensor, whose: str = "latents") -> None:
    """Raise ValueError, which begins with ``whose``, for nan and inf: a state that took one in would never lose it."""
    if not latents.isfinite().all():
        frame = int((~latents.isfinite()).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"{whose}: expected finite numbers, got nan or inf in frame {frame}")


def now_s(device: torch.device) -> float:
    """`time.perf_counter` once a device has done all that it was given, for a GPU's calls return before that."""
    finish(device)
    return time.perf_counter()


def finish(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
