"""Both towers of SigLIP in one space."""

import shutil

import pytest
import torch
from transformers import SiglipModel, SiglipVisionModel

from ssm_sense.errors import UserError
from ssm_sense.vision import SiglipTextTower
from ssm_sense.vision.preprocess import Preprocess

TEXTS = ["a room with a bed", "a red chair", "Chair"]


@pytest.fixture(scope="module")
def frames():
    return torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def tower(siglip):
    return SiglipTextTower(str(siglip)).load()


def test_is_what_siglip_itself_says(siglip, tower, frames):
    model = SiglipModel.from_pretrained(siglip, dtype=torch.float32).eval()
    tokens = tower.tokenizer(TEXTS, padding="max_length", max_length=12, return_tensors="pt").input_ids
    with torch.no_grad():
        theirs = model(input_ids=tokens, pixel_values=Preprocess.from_folder(siglip)(frames))
    similarity = tower.score(frames, TEXTS)
    assert similarity.shape == (4, 3)
    torch.testing.assert_close(similarity, theirs.image_embeds @ theirs.text_embeds.T, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tower.probability(similarity), theirs.logits_per_image.sigmoid(), atol=1e-5, rtol=1e-5)


def test_serves_as_a_vision_tower_with_one_token(tower, frames):
    latents = tower.encode(frames)
    assert latents.shape == (4, tower.grid**2, tower.width)
    torch.testing.assert_close(latents.norm(dim=-1), torch.ones(4, 1))
    torch.testing.assert_close(latents[:, 0] @ tower.embed_texts(TEXTS).T, tower.score(frames, TEXTS))


def test_a_text_is_scored_alike_alone_and_in_company(tower, frames):
    together = tower.score(frames, TEXTS)
    torch.testing.assert_close(together[:, 1:2], tower.score(frames, TEXTS[1:2]), atol=1e-6, rtol=0)


def test_words_matter_and_their_case_does_not(tower):
    chair, capital, bed = tower.embed_texts(["a red chair", "A RED CHAIR", "a red bed"])
    assert torch.equal(chair, capital)
    assert (chair - bed).abs().max() > 1e-3


def test_loads_nothing_until_it_is_told_to(siglip, frames):
    with pytest.raises(RuntimeError, match="load"):
        SiglipTextTower(str(siglip)).score(frames, TEXTS)
    assert list(SiglipTextTower("nobody/nothing").parameters()) == []


def test_fingerprint_differs_from_the_patch_tower_and_follows_dtype(siglip):
    exact, coarse = SiglipTextTower(str(siglip)), SiglipTextTower(str(siglip), dtype="bfloat16")
    assert exact.fingerprint == SiglipTextTower(str(siglip)).fingerprint != coarse.fingerprint


def test_refuses_a_checkpoint_without_its_text_tower_or_tokenizer(siglip, tmp_path):
    SiglipVisionModel.from_pretrained(siglip).save_pretrained(tmp_path / "vision")
    with pytest.raises(UserError, match="vision tower alone"):
        _ = SiglipTextTower(str(tmp_path / "vision")).width
    (tmp_path / "vision" / "config.json").write_text('{"model_type": "siglip", "text_config": {"hidden_size": null}}')
    with pytest.raises(UserError, match=r"expected a config for SiglipTextConfig, .*hidden_size"):
        _ = SiglipTextTower(str(tmp_path / "vision")).width
    shutil.copytree(siglip, tmp_path / "lonely")
    with pytest.raises(UserError, match="tokenizer"):
        SiglipTextTower(str(tmp_path / "lonely")).load()
