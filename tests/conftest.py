"""One thread a test process: the suite runs a process per core, and bitwise claims name their own thread counts."""

from pathlib import Path

import pytest
import torch

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.model import SsmSense
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.tiny import build_language

torch.set_num_threads(1)

WORDS = "which room is this how many chairs are there kitchen bedroom yes no A B C D 0 1 2 3 : . ?".split()  # noqa: SIM905


@pytest.fixture(scope="session")
def language_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2 of width 32 with a word-level tokenizer, on disk."""
    folder = tmp_path_factory.mktemp("language")
    build_language(folder, WORDS, hidden=32, layers=2, heads=2)
    return folder


@pytest.fixture
def language(language_folder: Path) -> CausalLM:
    """It, loaded."""
    return CausalLM(str(language_folder / "llm")).load().eval()


@pytest.fixture
def model(language: CausalLM) -> SsmSense:
    """A random model on latents of 12 features at 2 × 2 places whose surprise makes events, and which counts chairs
    and looks for bedrooms."""
    torch.manual_seed(0)
    made = SsmSense(
        TemporalEncoder(vision_width=12, width=16, grid=2, layers=2),
        LFPHead(16, 12),
        SurprisePolicy(threshold=1.0, centre=1.0, shortest_event_s=2.0),
        Episode(16, tokens=2, layers=2),
        language,
        language_width=32,
        window=8,
        rescans=3,
        tolerance=1e-6,
        concepts=("chairs", "kitchen"),
        sought=("bedroom",),
    )
    torch.manual_seed(1)
    torch.nn.init.normal_(made.head.down.weight, std=0.3)
    return made.eval()
