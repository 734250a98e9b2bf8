"""What the builders write loads through the same code as the real models."""

import torch
from transformers import AutoTokenizer

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.tiny import build_language, build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision import SiglipTextTower, SiglipTower

WORDS = ["which room holds the red chair", "kitchen", "bedroom"]


def test_a_language_model_loads_learns_and_depends_on_its_seed_alone(tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        torch.manual_seed(len(name))
        build_language(tmp_path / name, WORDS, hidden=32, layers=1, seed=seed)
    one, same, other = (CausalLM(str(tmp_path / name / "llm")).load() for name in ("one", "same", "other"))
    prefix = torch.randn(2, 3, one.width)
    asked = (prefix, ["which room holds the red chair"] * 2, ["kitchen", "bedroom"])
    before = one.loss(*asked)
    assert torch.equal(before, same.loss(*asked))
    assert not torch.equal(before, other.loss(*asked))
    optimizer = torch.optim.Adam(one.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        one.loss(*asked).mean().backward()
        optimizer.step()
    assert [one.generate(prefix[i : i + 1], asked[1][i]) for i in (0, 1)] == asked[2]


def test_a_siglip_loads_as_tower_and_as_matcher(tmp_path):
    build_tokenizer(tmp_path / "tokenizer", WORDS)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    save_siglip(new_siglip(tokenizer, hidden=32, layers=2, image_size=32, patch_size=8), tmp_path / "siglip")
    frames = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert SiglipTower(str(tmp_path / "siglip"), grid=2).load().encode(frames).shape == (2, 4, 32)
    matcher = SiglipTextTower(str(tmp_path / "siglip")).load()
    assert matcher.score(frames, ["the kitchen", "a red chair", "a bed"]).shape == (2, 3)
