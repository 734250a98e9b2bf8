"""Adapters begin as nothing, are all that is trained, and are part of the weights in what is saved."""

from pathlib import Path

import pytest
import torch

from ssm_sense.errors import UserError
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.lora import Lora, merged

PROMPTS, ANSWERS = ["which room holds the red chair", "how many beds"], ["the kitchen", "12"]


def prefix() -> torch.Tensor:
    return torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))


def trained(path: Path, lora: Lora, checkpointing: bool = False) -> CausalLM:
    """After a few steps."""
    torch.manual_seed(0)
    language = CausalLM(str(path), gradient_checkpointing=checkpointing, lora=lora).load().train()
    optimizer = torch.optim.AdamW([p for p in language.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(4):
        optimizer.zero_grad()
        language.loss(prefix(), PROMPTS, ANSWERS).mean().backward()
        optimizer.step()
    return language.eval()


@pytest.mark.parametrize("name", ["qwen2", "llama", "chat"])
def test_adapters_alone_are_trained_and_are_merged_into_what_is_saved(
    checkpoints: dict[str, Path], name: str, tmp_path: Path
) -> None:
    plain = CausalLM(str(checkpoints[name])).load().eval()
    begun = CausalLM(str(checkpoints[name]), lora=Lora(rank=2)).load().eval()
    before = plain.loss(prefix(), PROMPTS, ANSWERS)
    torch.testing.assert_close(begun.loss(prefix(), PROMPTS, ANSWERS), before)
    language = trained(checkpoints[name], Lora(rank=2))
    after = language.loss(prefix(), PROMPTS, ANSWERS)
    assert after.mean() < before.mean() - 0.1
    was = plain.lm.state_dict()
    for key, weight in language.lm.state_dict().items():
        if "lora_" not in key:
            assert torch.equal(weight, was[key.replace(".base_layer.", ".")]), key
    language.save(tmp_path)
    again = CausalLM(str(tmp_path / "llm"), str(tmp_path / "tokenizer")).load().eval()
    assert not any("lora" in key for key in again.state_dict())
    torch.testing.assert_close(again.loss(prefix(), PROMPTS, ANSWERS), after, atol=1e-5, rtol=1e-5)
    assert again.generate(prefix()[:1], PROMPTS[0]) == language.generate(prefix()[:1], PROMPTS[0])
    # Saving left the adapters where they were.
    assert torch.equal(language.loss(prefix(), PROMPTS, ANSWERS), after)


def test_tied_weights_stay_tied_where_they_are_merged(checkpoints: dict[str, Path]) -> None:
    language = trained(checkpoints["qwen2"], Lora(rank=2))
    assert language.lm.config.tie_word_embeddings
    plain = merged(language.lm)
    assert plain.get_output_embeddings().weight is plain.get_input_embeddings().weight


def test_recomputing_the_layers_changes_nothing(checkpoints: dict[str, Path]) -> None:
    kept, recomputed = (trained(checkpoints["qwen2"], Lora(rank=2), on).state_dict() for on in (False, True))
    for name in kept:
        torch.testing.assert_close(recomputed[name], kept[name])


def test_targets_choose_the_layers_and_wrong_ones_are_named(checkpoints: dict[str, Path]) -> None:
    language = CausalLM(str(checkpoints["qwen2"]), lora=Lora(targets=["q_proj"])).load()
    owners = {name.split(".lora_")[0].split(".")[-1] for name, p in language.named_parameters() if p.requires_grad}
    assert owners == {"q_proj"}
    with pytest.raises(UserError, match=r"lora: .*sausage"):
        CausalLM(str(checkpoints["qwen2"]), lora=Lora(targets=["sausage"])).load()
    with pytest.raises(ValueError, match="freeze: expected False with lora"):
        CausalLM("nowhere", freeze=True, lora=Lora())
