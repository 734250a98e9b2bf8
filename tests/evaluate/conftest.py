"""A memory that counts frames and remembers their brightness, behind the real `Session`."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ssm_sense.data.clip import Clip, Event, Question
from ssm_sense.evaluate import RunInfo
from ssm_sense.memory.policy import Answer, Observation
from ssm_sense.stream import Session


class BrightnessVision(torch.nn.Module):
    """A tower with one token of one feature: the frame's first pixel."""

    grid, width, fingerprint = 1, 1, "brightness"

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(frames))
        return frames[:, :1, :1, 0].float()


class CountingMemory:
    """Answers every question with how many frames it has seen, and "B" to one with options."""

    causal, query_aware, constant_memory, needs_training = True, False, True, False

    def reset(self) -> None:
        self.seen: list[float] = []

    def observe(self, latents, surprise, t_s) -> Observation:
        value = float(latents)
        if value == 255:
            raise RuntimeError("white-out")
        self.seen.append(value)
        return Observation(surprise=value / 100, gate=float("nan"), boundary=value > 50)

    def read(self, prompt, options=()) -> Answer:
        if options:
            return Answer("B", (-1.5, float("-inf")))
        return Answer(str(len(self.seen)))

    def state_dict(self):
        return {"seen": torch.tensor(self.seen)}

    @property
    def nbytes(self) -> int:
        return 64


def frames(values: list[int], fps: float = 1.0) -> Iterator[tuple[np.ndarray, float]]:
    for i, value in enumerate(values):
        yield np.full((4, 4, 3), value, dtype=np.uint8), i / fps


def make_clip(name: str, values: list[int], *asked_s: float, answer: str = "4", events=((0.0, "hall"),)) -> Clip:
    questions = tuple(Question("How many frames?", answer, t_s, "vsc") for t_s in asked_s)
    return Clip(name, list(frames(values)), 1.0, float(len(values)), questions, tuple(Event(*e) for e in events))


@pytest.fixture
def session() -> Session:
    memory = CountingMemory()
    memory.reset()
    return Session(memory, BrightnessVision())


@pytest.fixture
def run() -> RunInfo:
    return RunInfo("ours", "ours", 0, "model", "abc", "torch", "cpu", {"window": 4})


@pytest.fixture
def clip():
    return make_clip
