"""The SigLIP image processor on uint8 tensors, without torchvision and without PIL."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.errors import UserError

RESAMPLE = {2: "bilinear", 3: "bicubic"}
"""PIL's resampling numbers, which preprocessor_config.json uses, as modes of `F.interpolate`."""

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Preprocess:
    """Resize to a fixed size (the aspect ratio is not kept), scale and normalise.

    The defaults are those of transformers' `SiglipImageProcessor`. Resizing runs on uint8, as PIL's does, and is
    within 1/255 of it (2/255 where it enlarges), where resizing floats by bicubic interpolation is off by up to
    10/255. The width is resized first, as by torchvision and by Pillow before 13, which may begin with the height
    of tall images.
    """

    height: int = 224
    width: int = 224
    resample: int = 3
    rescale: float = 1 / 255
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if self.resample not in RESAMPLE:
            raise UserError(f"resample: expected 2 (bilinear) or 3 (bicubic), got {self.resample}")

    @classmethod
    def from_folder(cls, folder: Path) -> "Preprocess":
        """Read a checkpoint's preprocessor_config.json, in which null is the default.

        Raises UserError where the file is missing or damaged, or asks for something other than resize, rescale,
        normalise.
        """
        file = folder / "preprocessor_config.json"
        if not file.is_file():
            raise UserError(f"{folder}: expected a preprocessor_config.json beside the weights")
        try:
            config = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: expected a JSON object ({error})") from error
        if not isinstance(config, dict):
            raise UserError(f"{file}: expected a JSON object, got {config!r}")
        for step in ("do_resize", "do_rescale", "do_normalize"):
            if config.get(step) not in (None, True):
                raise UserError(f"{file}: {step} is off; expected a SigLIP processor, which resizes and normalises")
        default = cls()

        def read(name: str, default: _Value, convert: Callable[[Any], _Value], expected: str) -> _Value:
            value = config.get(name)
            try:
                return default if value is None else convert(value)
            except (TypeError, KeyError, ValueError, OverflowError) as error:
                raise UserError(f"{file}: {name}: expected {expected}, got {value!r}") from error

        height, width = read("size", (default.height, default.width), _size, "a height and a width")
        return cls(
            height=height,
            width=width,
            resample=read("resample", default.resample, int, "a number"),
            rescale=read("rescale_factor", default.rescale, float, "a number"),
            mean=read("image_mean", default.mean, _rgb, "three numbers"),
            std=read("image_std", default.std, _rgb, "three numbers"),
        )

    def __call__(self, frames: Tensor) -> Tensor:
        """Frames uint8 RGB (n, H, W, 3) to pixel values float32 (n, 3, height, width)."""
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
            raise ValueError(f"expected frames uint8 (n, H, W, 3), n ≥ 1, got {frames.dtype} {tuple(frames.shape)}")
        pixels = frames.permute(0, 3, 1, 2)
        size = (self.height, self.width)
        if pixels.shape[-2:] != size:
            # CUDA has no antialiased uint8 resize; frames come from a decoder on the CPU anyway.
            mode = RESAMPLE[self.resample]
            pixels = F.interpolate(pixels.cpu(), size=size, mode=mode, antialias=True).to(frames.device)
        mean = torch.tensor(self.mean, device=frames.device)[:, None, None]
        std = torch.tensor(self.std, device=frames.device)[:, None, None]
        return (pixels * self.rescale - mean) / std


def _size(value: Any) -> tuple[int, int]:
    return int(value["height"]), int(value["width"])


def _rgb(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    if not all(isinstance(value, int | float) for value in values):
        raise TypeError("no numbers")
    return red, green, blue
