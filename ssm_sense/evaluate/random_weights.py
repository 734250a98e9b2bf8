"""Towers of real size with random weights, for what depends on shapes alone: time, bytes, multiplications."""

from functools import cached_property
from typing import Self, cast

from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerBase,
    Qwen2Config,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.layout import Layout
from ssm_sense.pretrained import DTYPES, Dtype
from ssm_sense.vision.preprocess import Preprocess
from ssm_sense.vision.siglip import SiglipTower, VisionSizes

SO400M = SiglipVisionConfig(
    hidden_size=1152,
    intermediate_size=4304,
    num_hidden_layers=27,
    num_attention_heads=16,
    image_size=384,
    patch_size=14,
)
"""SigLIP 2 so400m-patch14-384."""


def _qwen(width: int, inner: int, layers: int, heads: int, kv_heads: int, tied: bool) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=151_936 if tied else 152_064,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=tied,
    )


QWEN = {
    "0.5b": _qwen(896, 4864, 24, 14, 2, True),
    "1.5b": _qwen(1536, 8960, 28, 12, 2, True),
    "3b": _qwen(2048, 11008, 36, 16, 2, True),
    "7b": _qwen(3584, 18944, 28, 28, 4, False),
}
"""Qwen2.5 by size."""


def image_side(config: SiglipVisionConfig) -> int:
    """Pixels along one side of its square image."""
    return cast(int, config.image_size)


class RandomTower(SiglipTower):
    """A SigLIP whose weights are random."""

    def __init__(self, config: SiglipVisionConfig, grid: int, dtype: Dtype = "float32") -> None:
        super().__init__("random", grid=grid, dtype=dtype)
        self.config = config

    def load(self) -> Self:
        """Draw the weights; does nothing when they are there."""
        if self.model is None:
            # As `SiglipTower` leaves it: no layer above the one wanted, and no head.
            config = SiglipVisionConfig(**self.config.to_dict())
            config.num_hidden_layers += 1 + self.layer
            config.vision_use_head = False
            model: SiglipVisionModel = SiglipVisionModel(config).eval().to(dtype=DTYPES[self.dtype])
            self.model = model.requires_grad_(False)
        return self

    @cached_property
    def sizes(self) -> VisionSizes:
        """Of the configuration."""
        config = self.config
        pixels = image_side(config)
        return VisionSizes(config.hidden_size, config.num_hidden_layers, pixels, pixels // cast(int, config.patch_size))

    @cached_property
    def preprocess(self) -> Preprocess:
        """To the configuration's image size."""
        return Preprocess(image_side(self.config), image_side(self.config))


class RandomLanguage(CausalLM):
    """A causal language model whose weights are random; it reads prompts by a tokenizer whose ids it knows."""

    def __init__(self, config: Qwen2Config, tokenizer: PreTrainedTokenizerBase, dtype: Dtype = "float32") -> None:
        super().__init__("random", dtype=dtype)
        self.config, self.tokenizer = config, tokenizer

    def load(self) -> Self:
        """Draw the weights; does nothing when they are there."""
        if self.lm is None:
            self.layout = Layout(self.tokenizer)
            self.lm = AutoModelForCausalLM.from_config(self.config, dtype=DTYPES[self.dtype]).eval()
        return self

    @cached_property
    def width(self) -> int:
        """Q."""
        return int(self.config.hidden_size)
