"""`Streams`: many streams through one model at a time, each as if it were alone."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from ssm_sense.data.clip import Question
from ssm_sense.memory.policy import Answer
from ssm_sense.model import SsmSense
from ssm_sense.state import State
from ssm_sense.stream import FrameReport, Session, check_finite, checked_times, finish, now_s
from ssm_sense.vision.tower import VisionTower


@dataclass
class _Stream:
    """One open stream: its place in the blocks, its state of one row, and how far it is."""

    place: int
    state: State
    t_s: float = -float("inf")
    frames: int = 0


class Streams:
    """Watches any number of streams that begin, end and start anew at different times.

    Frames that arrive together go through the model in blocks of streams, frame by frame in exact closed loop. A
    stream keeps its place in its block for as long as it is open, and a block always runs at its full size, blank
    streams standing in for those that are absent or have nothing new. So no product ever changes its shape, nor a
    stream its rows in it, and what a stream sees, remembers and answers is the same to the bit whoever else is open.

    Args:
        model: in eval mode, with its language model loaded by the time the first question comes.
        vision: the tower whose latents that model was trained on.
        block: streams that go through the model together; 1 runs each by itself, as `Session` does.
        weights: names those of both, as for a `Session`.
    """

    def __init__(self, model: SsmSense, vision: VisionTower, block: int = 8, weights: str = "") -> None:
        if block < 1:
            raise ValueError(f"block: expected 1 or more, got {block}")
        self.model, self.vision, self.block, self.weights = model, vision, block, weights
        self._open: dict[int, _Stream] = {}
        self._numbers = count()
        self._blank = self._fresh()

    def open(self, session: Session | None = None) -> int:
        """Begin a stream, or go on with a copy of a session's, and return its number.

        Raises ValueError for a session of another model or kind of memory, and for one with registered questions, which
        would not be put here.
        """
        stream = _Stream(next(i for i in count() if i not in self._places()), self._blank)
        if session is not None:
            state = State(session.memory.state_dict())
            if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in self._blank.items()}:
                raise ValueError("session: expected the state of this model, got another")
            if self.weights and session.weights and session.weights != self.weights:
                raise ValueError(f"session: expected one of the model {self.weights}, got one of {session.weights}")
            if session.registered:
                raise ValueError(f"session: expected no registered questions, got {len(session.registered)}")
            stream.state, stream.t_s, stream.frames = state, session.t_s, session.frames
        number = next(self._numbers)
        self._open[number] = stream
        return number

    def close(self, number: int) -> None:
        """End a stream and forget it. The others do not notice."""
        self._stream(number)
        del self._open[number]

    def reset(self, number: int) -> None:
        """Begin a stream anew under its old number."""
        self._open[number] = _Stream(self._stream(number).place, self._blank)

    def session(self, number: int) -> Session:
        """A copy of a stream that goes on by itself, to be saved, say; `open` takes it back."""
        stream = self._stream(number)
        session = Session(self.model.memory(), self.vision, self.weights)
        session.memory.load_state_dict(stream.state)
        session.t_s, session.frames = stream.t_s, stream.frames
        return session

    def feed(
        self, frames: Mapping[int, Tensor], seconds: Mapping[int, Sequence[float] | Tensor]
    ) -> dict[int, list[FrameReport]]:
        """Watch frames of some streams, each in order of its own time.

        Args:
            frames: uint8 RGB (n, H, W, 3) by stream; n and the size may differ.
            seconds: (n,) times by stream, each later than that stream's last.

        Raises:
            KeyError: for a stream that is not open.
            ValueError: for bad frames or times, or latents that are not finite; nothing at all is fed then.
        """
        for number, pictures in frames.items():
            if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
                found = f"{str(pictures.dtype)[6:]} {tuple(pictures.shape)}"
                raise ValueError(f"stream {number}: expected uint8 frames of shape (n, H, W, 3), got {found}")
        times = self._times({number: len(pictures) for number, pictures in frames.items()}, seconds)
        begun = time.perf_counter()
        latents = {number: self.vision.encode(frames[number]) for number in frames if len(frames[number])}
        for one in latents.values():
            finish(one.device)
        seen_ms = (time.perf_counter() - begun) * 1e3 / max(1, sum(map(len, times.values())))
        return self._watch(latents, times, seen_ms)

    def observe(
        self, latents: Mapping[int, Tensor], seconds: Mapping[int, Sequence[float] | Tensor]
    ) -> dict[int, list[FrameReport]]:
        """The same from cached latents (n, S, V) of this vision tower."""
        return self._watch(latents, self._times({number: len(x) for number, x in latents.items()}, seconds), 0.0)

    def ask(self, number: int, question: Question | str, options: Sequence[str] = ()) -> Answer:
        """Answer a question about one stream now. Asking changes nothing."""
        return self.session(number).ask(question, options)

    @property
    def open_streams(self) -> tuple[int, ...]:
        """The numbers of those that are open, in the order in which they were opened."""
        return tuple(self._open)

    @property
    def nbytes(self) -> int:
        """Bytes that all open streams hold, so many a stream."""
        return sum(stream.state.nbytes for stream in self._open.values())

    @torch.inference_mode()
    def _watch(
        self, latents: Mapping[int, Tensor], times: Mapping[int, list[float]], seen_ms: float
    ) -> dict[int, list[FrameReport]]:
        for number, one in latents.items():
            check_finite(one, f"stream {number}")
        reports: dict[int, list[FrameReport]] = {number: [] for number in times}
        for i in range(max(map(len, times.values()), default=0)):
            now = [number for number, t_s in times.items() if i < len(t_s)]
            for block in self._blocks(now):
                frames = {number: (latents[number][i], times[number][i]) for number in block}
                for number, report in self._step(frames, seen_ms).items():
                    reports[number].append(report)
        return reports

    def _step(self, frames: Mapping[int, tuple[Tensor, float]], seen_ms: float) -> dict[int, FrameReport]:
        """One frame on for streams of one block."""
        device = next(iter(frames.values()))[0].device
        begun = now_s(device)
        rows = {self._open[number].place % self.block: number for number in frames}
        nothing = torch.zeros_like(next(iter(frames.values()))[0]), 0.0
        shown = [frames[rows[row]] if row in rows else nothing for row in range(self.block)]
        states = [self._open[rows[row]].state if row in rows else self._blank for row in range(self.block)]
        state = State({name: torch.cat([one[name] for one in states]) for name in self._blank})
        seconds = torch.tensor([[t_s] for _, t_s in shown], dtype=torch.float64, device=device)
        trace, state = self.model.observe(torch.stack([x for x, _ in shown]).unsqueeze(1), seconds, state)
        surprise, gate = trace.surprise.mean((1, 2)).tolist(), trace.decision.gate.mean((1, 2)).tolist()
        boundary = trace.decision.boundary[:, 0].tolist()
        ms = seen_ms + (now_s(device) - begun) * 1e3 / len(rows)
        reports = {}
        for row, number in rows.items():
            # A copy, lest a stream that pauses or leaves keep the whole block's tensors alive.
            own = State({name: tensor[row : row + 1].clone() for name, tensor in state.items()})
            stream = self._open[number]
            t_s = shown[row][1]
            self._open[number] = _Stream(stream.place, own, t_s, stream.frames + 1)
            reports[number] = FrameReport(t_s, surprise[row], gate[row], boundary[row], own.nbytes, ms)
        return reports

    def _times(
        self, lengths: Mapping[int, int], seconds: Mapping[int, Sequence[float] | Tensor]
    ) -> dict[int, list[float]]:
        """The times of each stream's frames as floats, checked."""
        if lengths.keys() != seconds.keys():
            raise ValueError(f"seconds: expected times of streams {list(lengths)}, got those of {list(seconds)}")
        return {
            number: checked_times(seconds[number], n, self._stream(number).t_s, f"stream {number}")
            for number, n in lengths.items()
        }

    def _blocks(self, numbers: Iterable[int]) -> list[list[int]]:
        """Streams that share a block, together."""
        blocks: dict[int, list[int]] = {}
        for number in numbers:
            blocks.setdefault(self._open[number].place // self.block, []).append(number)
        return list(blocks.values())

    def _places(self) -> set[int]:
        return {stream.place for stream in self._open.values()}

    def _stream(self, number: int) -> _Stream:
        if number not in self._open:
            raise KeyError(f"no open stream {number}; open ones: {', '.join(map(str, self._open)) or 'none'}")
        return self._open[number]

    @torch.inference_mode()
    def _fresh(self) -> State:
        return self.model.initial_state(1)
