"""The tower is transformers' hidden state, pooled as said, and a stranger to the network."""

import json
import shutil

import pytest
import torch
import torch.nn.functional as F
from transformers import SiglipModel, SiglipVisionModel

from ssm_sense.errors import UserError
from ssm_sense.vision import SiglipTower
from ssm_sense.vision.preprocess import Preprocess


@pytest.fixture(scope="module")
def frames():
    return torch.randint(0, 256, (5, 40, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def hidden_state(folder, frames, layer):
    """What transformers itself gives as the patches of a layer, (n, 36, V)."""
    model = SiglipModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        states = model.vision_model(Preprocess.from_folder(folder)(frames), output_hidden_states=True)
    return states.hidden_states[layer]


@pytest.mark.parametrize("layer", [-1, -2, -4, -5])
def test_takes_the_layer_that_was_asked_for(siglip, frames, layer):
    latents = SiglipTower(str(siglip), layer=layer, grid=6).load().encode(frames)
    assert latents.shape == (5, 36, 32)
    torch.testing.assert_close(latents, hidden_state(siglip, frames, layer), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("grid", [1, 2, 4, 5])
def test_pools_bilinearly_as_cambrian_s_does(siglip, frames, grid):
    tower = SiglipTower(str(siglip), grid=grid).load()
    square = hidden_state(siglip, frames, -2).unflatten(1, (6, 6)).permute(0, 3, 1, 2)
    expected = F.interpolate(square, (grid, grid), mode="bilinear", align_corners=False)
    torch.testing.assert_close(tower.encode(frames), expected.flatten(2).mT, atol=1e-5, rtol=1e-5)


def test_pools_by_averaging_the_patches_of_a_cell(siglip, frames):
    latents = SiglipTower(str(siglip), pooling="average", grid=2).load().encode(frames)
    patches = hidden_state(siglip, frames, -2).unflatten(1, (6, 6))
    torch.testing.assert_close(latents[:, 1], patches[:, :3, 3:].mean((1, 2)), atol=1e-5, rtol=1e-5)


def test_loads_nothing_until_it_is_told_to(siglip, frames):
    tower = SiglipTower("nobody/nothing")
    assert list(tower.parameters()) == []
    with pytest.raises(RuntimeError, match="load"):
        SiglipTower(str(siglip)).encode(frames)


def test_knows_its_width_without_its_weights(siglip, tmp_path):
    shutil.copytree(siglip, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    tower = SiglipTower(str(tmp_path))
    tower.grid = 2
    assert tower.width == 32
    with pytest.raises(UserError, match="safetensors"):
        SiglipTower(str(tmp_path), grid=2).load()


def test_is_frozen_and_its_latents_can_be_trained_on(siglip, frames):
    tower = SiglipTower(str(siglip), grid=2).load().train()
    assert not tower.model.training
    assert not any(p.requires_grad for p in tower.parameters())
    latents = tower.encode(frames)
    weight = torch.ones(32, requires_grad=True)
    (latents * weight).sum().backward()
    torch.testing.assert_close(weight.grad, latents.sum((0, 1)))


def test_half_precision_weights_still_give_float32_latents(siglip, frames):
    exact = SiglipTower(str(siglip), grid=2).load().encode(frames)
    coarse = SiglipTower(str(siglip), grid=2, dtype="bfloat16").load().encode(frames)
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().max() < 0.1


def test_many_frames_are_encoded_in_bounded_batches(siglip):
    frames = torch.randint(0, 256, (150, 48, 48, 3), dtype=torch.uint8)
    tower = SiglipTower(str(siglip), grid=2).load()
    torch.testing.assert_close(tower.encode(frames)[149:], tower.encode(frames[149:]), atol=1e-5, rtol=1e-5)


def test_reads_a_checkpoint_of_the_vision_tower_alone(siglip, frames, tmp_path):
    SiglipVisionModel.from_pretrained(siglip).save_pretrained(tmp_path)
    shutil.copy(siglip / "preprocessor_config.json", tmp_path)
    alone = SiglipTower(str(tmp_path), grid=3).load().encode(frames)
    assert torch.equal(alone, SiglipTower(str(siglip), grid=3).load().encode(frames))


def test_fingerprint_names_all_that_decides_the_latents(siglip, tmp_path):
    def fingerprint(folder=siglip, **settings):
        return SiglipTower(str(folder), **{"grid": 3, **settings}).fingerprint

    shutil.copytree(siglip, tmp_path / "copy")
    assert fingerprint() == fingerprint(tmp_path / "copy")
    other = SiglipModel.from_pretrained(siglip)
    other.vision_model.embeddings.patch_embedding.bias.data += 1
    other.save_pretrained(tmp_path / "copy")
    config = json.loads((siglip / "preprocessor_config.json").read_text())
    shutil.copytree(siglip, tmp_path / "resampled")
    (tmp_path / "resampled" / "preprocessor_config.json").write_text(json.dumps({**config, "resample": 3}))
    different = [
        fingerprint(),
        fingerprint(tmp_path / "copy"),
        fingerprint(tmp_path / "resampled"),
        fingerprint(layer=-1),
        fingerprint(grid=2),
        fingerprint(pooling="average"),
        fingerprint(dtype="bfloat16"),
    ]
    assert len(set(different)) == len(different)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "siglip2"}, "NaFlex"),
        ({"model_type": "clip"}, "expected a SigLIP checkpoint, got model_type 'clip'"),
    ],
)
def test_refuses_other_models(tmp_path, config, message):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        SiglipTower(str(tmp_path)).load()


def test_refuses_settings_that_the_checkpoint_cannot_serve(siglip, tmp_path):
    with pytest.raises(UserError, match="only 6×6 patches"):
        _ = SiglipTower(str(siglip), grid=8).width
    with pytest.raises(UserError, match="only 4 layers"):
        _ = SiglipTower(str(siglip), grid=2, layer=-6).width
    with pytest.raises(ValueError, match="counted from the end"):
        SiglipTower(str(siglip), layer=3)
    with pytest.raises(UserError, match="hub id"):
        SiglipTower(str(tmp_path / "missing")).load()
    shutil.copytree(siglip, tmp_path, dirs_exist_ok=True)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 40, "width": 48}}))
    with pytest.raises(UserError, match="40×48"):
        SiglipTower(str(tmp_path), grid=2).load().encode(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))


def test_refuses_weights_that_are_incomplete(siglip, tmp_path):
    model = SiglipVisionModel.from_pretrained(siglip)
    weights = {name: w for name, w in model.state_dict().items() if "layers.0" not in name}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(UserError, match="missing"):
        SiglipTower(str(tmp_path), grid=2).load()


def test_refuses_weights_that_are_cut_off(siglip, tmp_path):
    shutil.copytree(siglip, tmp_path, dirs_exist_ok=True)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"expected weights as safetensors .*file not fully covered"):
        SiglipTower(str(tmp_path), grid=2).load()


@pytest.mark.parametrize(
    ("vision", "came"),
    [(3, "TypeError"), ({"hidden_size": None}, "hidden_size"), ({"image_size": "big"}, "image_size")],
)
def test_refuses_sizes_that_are_none(siglip, tmp_path, vision, came):
    shutil.copytree(siglip, tmp_path, dirs_exist_ok=True)
    config = json.loads((siglip / "config.json").read_text())
    config["vision_config"] = config["vision_config"] | vision if isinstance(vision, dict) else vision
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=f"expected a config for SiglipVisionConfig.*{came}"):
        _ = SiglipTower(str(tmp_path), grid=2).width
