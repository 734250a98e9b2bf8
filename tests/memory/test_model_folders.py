"""Rivals that are trained are folders on disk like ours: saved, loaded, and watched with under their policies."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ssm_sense import tiny
from ssm_sense.commands.policies import open_policy
from ssm_sense.folder import save_folder
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.answering import AnsweringModel
from ssm_sense.memory.lfp_window import LFPWindow
from ssm_sense.memory.pooled_bank import PooledBank
from ssm_sense.memory.storm import Storm
from ssm_sense.vision.siglip import SiglipTower

VISION: dict[str, Any] = {"path": str(tiny.folder() / "siglip"), "layer": -1, "pooling": "average", "grid": 2}


@pytest.mark.parametrize(
    ("model_class", "settings", "policy"),
    [
        (LFPWindow, {"places": 4}, "cambrian-s"),
        (LFPWindow, {"places": 4}, "model"),
        (PooledBank, {}, "model"),
        (Storm, {"places": 4}, "model"),
    ],
)
def test_saved_loaded_and_watched_with(
    language_folder: Path, tmp_path: Path, model_class: type[AnsweringModel], settings: dict[str, Any], policy: str
) -> None:
    language = CausalLM(str(language_folder / "llm")).load()
    model = model_class(language, 32, vision_width=128, **settings)
    vision = SiglipTower(**VISION).load()
    named = "ssm_sense.language.causal_lm.CausalLM"
    arguments = {"language": {"class_path": named}, "language_width": 32, "vision_width": 128, **settings}
    path = f"{model_class.__module__}.{model_class.__name__}"
    tower = {"class_path": "ssm_sense.vision.siglip.SiglipTower", "init_args": VISION}
    save_folder(tmp_path, model, {"class_path": path, "init_args": arguments}, vision, tower)
    session = open_policy(policy, str(tmp_path))
    for name, tensor in model.state_dict().items():
        assert torch.equal(session.memory.model.state_dict()[name], tensor), name
    frames = torch.randint(0, 255, (3, 96, 160, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert [report.nbytes > 0 for report in session.feed(frames, range(3))] == [True] * 3
    assert session.ask("which room is this", ["A. kitchen", "B. bedroom"]).text in "AB"
