"""SigLIP patch features, resized to the grid of spatial tokens."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from ssm_sense import pretrained
from ssm_sense.errors import UserError
from ssm_sense.vision.preprocess import Preprocess
from ssm_sense.vision.tower import VisionTower

FRAMES_AT_ONCE = 64
"""Frames in one forward pass; bounds the memory that `encode` needs, whatever it is given."""


@dataclass(frozen=True)
class VisionSizes:
    """Of an image encoder: V, its layers, the pixels and the patches along one side of its square image."""

    width: int
    layers: int
    image_size: int
    side: int


class SiglipTower(VisionTower):
    """A frozen SigLIP or fixed-resolution SigLIP 2 image encoder.

    path: a local folder or a hub id, such as google/siglip2-so400m-patch14-384.
    layer: which hidden state to take, counted from the end: -1 is the last layer's output (before the final
        norm), -2 the penultimate layer's, as Cambrian-S takes it.
    pooling: how the patches become the grid: "bilinear" interpolation, as in Cambrian-S, or the "average" of the
        patches in each cell.
    grid: side of the square of spatial tokens, S = grid² (8 in Cambrian-S).
    dtype: of the weights and the computation; latents are float32 whatever it is.

    Nothing is read until `load` (or `width`, which needs the config alone), so that a configuration instantiates
    without a network. Source: Cambrian-S (arXiv 2511.04670), `mm_vision_select_layer -2`, 27×27 patches to 8×8.
    """

    def __init__(
        self,
        path: str,
        layer: int = -2,
        pooling: Literal["bilinear", "average"] = "bilinear",
        grid: int = 8,
        dtype: pretrained.Dtype = "float32",
    ) -> None:
        super().__init__()
        if layer >= 0:
            raise ValueError(f"layer: expected a negative number, counted from the end, got {layer}")
        if grid < 1:
            raise ValueError(f"grid: expected at least 1, got {grid}")
        self.path = path
        self.layer = layer
        self.pooling = pooling
        self.grid = grid
        self.dtype: pretrained.Dtype = dtype
        self.model: SiglipVisionModel | None = None

    def load(self) -> Self:
        """Read the weights, frozen and without the layers above `layer`; does nothing when they are there."""
        if self.model is None:
            sizes = self.sizes
            model: SiglipVisionModel = pretrained.load(SiglipVisionModel, self.folder, self.dtype)
            # The hidden state wanted becomes the last one, and what lies above it costs nothing.
            del model.encoder.layers[sizes.layers + 1 + self.layer :]
            model.set_submodule("post_layernorm", nn.Identity())
            model.use_head = False
            del model.head
            self.model = model.requires_grad_(False)
        return self

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode: a frozen tower has nothing to train."""
        return super().train(False)

    @cached_property
    def folder(self) -> Path:
        """The local folder of the checkpoint."""
        return pretrained.resolve(self.path)

    @cached_property
    def sizes(self) -> VisionSizes:
        """Of the image encoder. Raises UserError where they cannot serve `layer` or `grid`."""
        sizes = read_sizes(self.folder)
        if -self.layer > sizes.layers + 1:
            raise UserError(f"layer {self.layer}: {self.path} has only {sizes.layers} layers")
        if self.grid > sizes.side:
            raise UserError(f"grid {self.grid}: {self.path} sees only {sizes.side}×{sizes.side} patches")
        return sizes

    @cached_property
    def preprocess(self) -> Preprocess:
        """The checkpoint's own preprocessing."""
        return read_preprocess(self.folder, self.sizes)

    @property
    def width(self) -> int:
        """V, read from the checkpoint's config."""
        return self.sizes.width

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights' bytes, the preprocessing, layer, pooling, grid and dtype."""
        settings = (self.preprocess, self.layer, self.pooling, self.grid, self.dtype)
        return pretrained.digest(self.folder, "siglip", *settings)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames uint8 RGB (n, H, W, 3), of any size, to latents float32 (n, S, V), without gradient.

        S runs row by row from the top left. The latents are ordinary tensors that can be trained on.
        """
        if self.model is None:
            raise RuntimeError(f"SiglipTower({self.path!r}): call load() before encode()")
        with torch.inference_mode():
            latents = torch.cat([self._encode(chunk) for chunk in frames.split(FRAMES_AT_ONCE)])
        return latents.clone()

    def _encode(self, frames: Tensor) -> Tensor:
        assert self.model is not None
        pixels = self.preprocess(frames).to(self.model.device)
        patches = self.model(pixels).last_hidden_state.float()
        if self.grid == self.sizes.side:
            return patches
        square = patches.unflatten(1, (self.sizes.side, self.sizes.side)).permute(0, 3, 1, 2)
        size = (self.grid, self.grid)
        if self.pooling == "bilinear":
            square = F.interpolate(square, size=size, mode="bilinear", align_corners=False)
        else:
            square = F.adaptive_avg_pool2d(square, size)
        return square.flatten(2).transpose(1, 2)


def read_sizes(folder: Path) -> VisionSizes:
    """The image encoder's sizes of a SigLIP checkpoint.

    Raises UserError for any other model, for a broken config, and for the NaFlex variants of SigLIP 2, whose image
    size varies.
    """
    kind = pretrained.config_of(folder).get("model_type")
    if kind in ("siglip2", "siglip2_vision_model"):
        raise UserError(f"{folder}: a NaFlex checkpoint; expected a fixed-resolution SigLIP 2, such as *-patch14-384")
    if kind not in ("siglip", "siglip_vision_model"):
        raise UserError(f"{folder}: expected a SigLIP checkpoint, got model_type {kind!r}")
    config = pretrained.read_config(SiglipVisionConfig, folder)
    if not isinstance(config.image_size, int) or not isinstance(config.patch_size, int):
        raise UserError(f"{folder}: expected square images and patches, got {config.image_size}, {config.patch_size}")
    side = config.image_size // config.patch_size
    return VisionSizes(config.hidden_size, config.num_hidden_layers, config.image_size, side)


def read_preprocess(folder: Path, sizes: VisionSizes) -> Preprocess:
    """The checkpoint's preprocessing, checked to give images of the size that the encoder was built for."""
    preprocess = Preprocess.from_folder(folder)
    if (preprocess.height, preprocess.width) != (sizes.image_size, sizes.image_size):
        came = f"{preprocess.height}×{preprocess.width}"
        raise UserError(f"{folder}: the encoder expects {sizes.image_size}² pixels, its preprocessing gives {came}")
    return preprocess
