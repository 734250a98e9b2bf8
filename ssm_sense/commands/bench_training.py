"""The training step of the tiny model of configs/tiny/ours.yaml, whole, by what runs and by the PyTorch loop."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.query import Query
from ssm_sense.memory.answering import Told
from ssm_sense.model import SsmSense
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.ops import available, use_backend
from ssm_sense.ops.benchmark import Comparison, Contender, compare
from ssm_sense.tiny import build_language

WIDTH, GRID, LAYERS = 128, 2, 2
STOPS, QUESTIONS = 4, 4
WORDS = ("how", "many", "rooms", "were", "seen", "?", *(str(number) for number in range(10)))


def training_step(batch: int, frames: int, rounds: int) -> list[Comparison]:
    """Forward, backward and AdamW on a batch of random streams; nothing to compare with where only PyTorch runs.

    batch: B. frames: T, at least 4.
    """
    if len(available()) == 1:
        return []
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        build_language(Path(folder), WORDS, hidden=WIDTH)
        model = SsmSense(
            TemporalEncoder(vision_width=WIDTH, width=WIDTH, grid=GRID, layers=LAYERS),
            LFPHead(WIDTH, WIDTH),
            SurprisePolicy(),
            Episode(WIDTH, tokens=2, layers=1),
            CausalLM(str(Path(folder) / "llm")),
            language_width=WIDTH,
            window=frames,
            rescans=0,
        )
        model.load()
    latents = torch.randn(batch, frames, GRID * GRID, WIDTH)
    seconds = torch.arange(frames, dtype=torch.float64).expand(batch, -1)
    events = torch.zeros(batch, frames, dtype=torch.bool)
    events[:, ::12] = True
    events[:, 0] = False
    asked_at = [(stop + 1) * frames // STOPS - 1 for stop in range(STOPS)]
    queries = [
        Query(stream, frame, "how many rooms were seen ?", str((stream + number) % 10))
        for stream in range(batch)
        for frame in asked_at
        for number in range(QUESTIONS)
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        model.losses(latents, seconds, queries, Told(events))["loss"].backward()
        optimizer.step()

    def fallback() -> None:
        with use_backend("torch"):
            step()

    rivals: dict[str, tuple[Contender, float | None]] = {"our PyTorch fallback": (fallback, None)}
    return compare("training step, whole", step, rivals, rounds)
