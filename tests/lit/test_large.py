"""What large language models need in training: adapters, half precision, layers computed twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ssm_sense.folder import load_model, load_session

LANGUAGE = "--model.model.init_args.language.init_args"
Fit = Callable[..., list[float]]


def test_adapters_are_trained_saved_merged_and_trained_on(fit: Fit, tmp_path: Path) -> None:
    lora = [f"{LANGUAGE}.lora={{rank: 2}}"]
    fit(tmp_path / "one", 2, policy="sliding_window", more=lora)
    folder = tmp_path / "one" / "model"
    assert "lora" not in (folder / "config.yaml").read_text()
    first, _ = load_model(folder)
    begun = fit(tmp_path / "two", 2, policy="sliding_window", more=[*lora, f"--model.start={folder}"])
    assert len(begun) == 2
    second, _ = load_model(tmp_path / "two" / "model")
    assert first.state_dict().keys() == second.state_dict().keys()
    changed = {name for name, x in second.state_dict().items() if not torch.equal(first.state_dict()[name], x)}
    assert any(name.endswith("q_proj.weight") for name in changed)
    assert not any("embed_tokens" in name for name in changed)
    session = load_session(tmp_path / "two" / "model")
    session.feed(torch.zeros(3, 32, 32, 3, dtype=torch.uint8), range(3))
    assert isinstance(session.ask("Which room is this?").text, str)


def test_bfloat16_and_layers_computed_twice_stay_near_float32(fit: Fit, tmp_path: Path) -> None:
    exact = fit(tmp_path / "exact", 2)
    again = fit(tmp_path / "again", 2, more=[f"{LANGUAGE}.gradient_checkpointing=true"])
    half = fit(tmp_path / "half", 2, more=["--trainer.precision=bf16-mixed"])
    assert again == pytest.approx(exact, rel=1e-6)
    assert half == pytest.approx(exact, rel=0.05)
    assert half != exact
