"""Preprocessing is transformers' own, within one grey level."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from ssm_sense.errors import UserError
from ssm_sense.vision.preprocess import Preprocess

SIZES = [(480, 640), (720, 1280), (100, 333), (128, 128), (131, 200), (97, 97)]


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth shapes with sharp edges and noise, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / rng.uniform(3, 40) + rng.uniform(0, 6)) * np.cos(y / rng.uniform(3, 40)) for _ in range(3)]
    image = 128 + 90 * np.stack(waves, -1) + rng.normal(0, 20, (height, width, 3))
    image[height // 4 : height // 2, width // 3 : width // 2] = rng.uniform(0, 255, 3)
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_agrees_with_the_hugging_face_processor(tmp_path, resample, size):
    theirs = SiglipImageProcessorPil(
        size={"height": 96, "width": 96}, resample=resample, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]
    )
    theirs.save_pretrained(tmp_path)
    image = picture(*size, seed=resample)

    ours = Preprocess.from_folder(tmp_path)(torch.from_numpy(image)[None])

    expected = theirs(image, return_tensors="pt")["pixel_values"]
    assert ours.shape == expected.shape == (1, 3, 96, 96)
    levels = (ours - expected).abs() * torch.tensor([0.2, 0.3, 0.4])[:, None, None] * 255
    assert levels.max() < 1.01
    assert levels.mean() < 0.05


@pytest.mark.parametrize(("resample", "mode"), [(2, Image.Resampling.BILINEAR), (3, Image.Resampling.BICUBIC)])
def test_tall_frames_are_resized_across_before_down(resample, mode):
    """Pillow 13 may resize the height first; every Pillow before it, and torchvision, the width."""
    image = picture(333, 100, seed=3)
    across = Image.fromarray(image).resize((96, 333), mode)
    expected = torch.from_numpy(np.array(across.resize((96, 96), mode))).permute(2, 0, 1)
    ours = Preprocess(96, 96, resample, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))(torch.from_numpy(image)[None])
    assert (ours[0] * 255 - expected).abs().max() < 1.01


def test_enlarging_stays_within_two_levels(tmp_path):
    theirs = SiglipImageProcessorPil(size={"height": 224, "width": 224})
    theirs.save_pretrained(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (33, 17, 3), dtype=np.uint8)
    ours = Preprocess.from_folder(tmp_path)(torch.from_numpy(image)[None])
    levels = (ours - theirs(image, return_tensors="pt")["pixel_values"]).abs() * 0.5 * 255
    assert levels.max() < 2.01
    assert (levels > 0.5).float().mean() < 0.05


def test_frames_of_the_right_size_pass_untouched():
    frames = torch.randint(0, 256, (3, 224, 224, 3), dtype=torch.uint8)
    pixels = Preprocess()(frames)
    back = ((pixels * 0.5 + 0.5) * 255).round().permute(0, 2, 3, 1)
    assert torch.equal(back, frames.float())


def test_a_batch_is_its_frames_one_by_one():
    frames = torch.from_numpy(np.stack([picture(60, 80, seed) for seed in range(5)]))
    batch = Preprocess(32, 32)(frames)
    assert torch.equal(batch, torch.cat([Preprocess(32, 32)(frame[None]) for frame in frames]))


@pytest.mark.parametrize(
    "frames",
    [
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 8, 8, 3),
        torch.zeros(8, 8, 3, dtype=torch.uint8),
        torch.zeros(0, 8, 8, 3, dtype=torch.uint8),
    ],
)
def test_refuses_what_is_no_batch_of_frames(frames):
    with pytest.raises(ValueError, match="expected frames uint8"):
        Preprocess()(frames)


def test_refuses_folders_that_do_not_say_how(tmp_path):
    with pytest.raises(UserError, match=r"preprocessor_config\.json"):
        Preprocess.from_folder(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps({"size": {"height": 8, "width": 8}, "resample": 1}))
    with pytest.raises(UserError, match="bicubic"):
        Preprocess.from_folder(tmp_path)
    file.write_text(json.dumps({"do_normalize": False}))
    with pytest.raises(UserError, match="do_normalize"):
        Preprocess.from_folder(tmp_path)


def test_null_is_the_default(tmp_path):
    names = ("size", "resample", "rescale_factor", "image_mean", "image_std", "do_resize")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(dict.fromkeys(names)))
    assert Preprocess.from_folder(tmp_path) == Preprocess()


@pytest.mark.parametrize(
    ("content", "came"),
    [
        ("{", "expected a JSON object"),
        ("[]", "expected a JSON object"),
        ('{"size": 384}', "size: expected a height and a width, got 384"),
        ('{"size": {"shortest_edge": 224}}', "size: expected a height and a width, got {'shortest_edge': 224}"),
        ('{"size": {"height": 8, "width": "x"}}', "size: expected a height and a width, got .*'x'"),
        ('{"resample": "bicubic"}', "resample: expected a number, got 'bicubic'"),
        ('{"rescale_factor": "x"}', "rescale_factor: expected a number, got 'x'"),
        ('{"image_mean": 0.5}', "image_mean: expected three numbers, got 0.5"),
        ('{"image_std": [1, 2]}', r"image_std: expected three numbers, got \[1, 2\]"),
        ('{"image_std": ["a", "b", "c"]}', "image_std: expected three numbers, got .*'a'"),
    ],
)
def test_refuses_what_is_no_preprocessing(tmp_path, content, came):
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(UserError, match=rf"preprocessor_config\.json.*{came}"):
        Preprocess.from_folder(tmp_path)
