"""Frames and texts in one space: SigLIP with both of its towers and their pooled embeddings."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerBase, SiglipModel, SiglipTextConfig

from ssm_sense import pretrained
from ssm_sense.errors import UserError
from ssm_sense.vision.preprocess import Preprocess
from ssm_sense.vision.siglip import FRAMES_AT_ONCE, read_preprocess, read_sizes
from ssm_sense.vision.tower import VisionTower


class SiglipTextTower(VisionTower):
    """Similarity of frames to texts, all that the NoSense baseline knows (arXiv 2511.16655).

    As a vision tower it has one spatial token: `encode` gives each frame's pooled embedding, of unit length, as
    (n, 1, V). A policy keeps those and compares them with `embed_texts` when the question comes.

    path: a checkpoint with both towers; a local folder or a hub id, such as google/siglip2-so400m-patch14-384.
    tokenizer: its folder; by default "tokenizer" beside the checkpoint's folder, or else the checkpoint's own.
    dtype: of the weights and the computation; embeddings are float32 whatever it is.
    """

    grid = 1

    def __init__(self, path: str, tokenizer: str | None = None, dtype: pretrained.Dtype = "float32") -> None:
        super().__init__()
        self.path = path
        self.tokenizer_path = tokenizer
        self.dtype: pretrained.Dtype = dtype
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.model: SiglipModel | None = None

    def load(self) -> Self:
        """Read the weights, frozen, and the tokenizer; does nothing when they are there."""
        if self.model is None:
            self.tokenizer = pretrained.load_tokenizer(self.folder, self.tokenizer_path)
            self.model = pretrained.load(SiglipModel, self.folder, self.dtype).requires_grad_(False)
        return self

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode: a frozen tower has nothing to train."""
        return super().train(False)

    @cached_property
    def folder(self) -> Path:
        """The local folder of the checkpoint."""
        return pretrained.resolve(self.path)

    @cached_property
    def text_config(self) -> SiglipTextConfig:
        """Sizes of the text tower. Raises UserError for a checkpoint without one, or with a broken one."""
        if pretrained.config_of(self.folder).get("model_type") == "siglip_vision_model":
            raise UserError(f"{self.folder}: expected a SigLIP with its text tower, got the vision tower alone")
        config: SiglipTextConfig = pretrained.read_config(SiglipTextConfig, self.folder)
        return config

    @cached_property
    def preprocess(self) -> Preprocess:
        """The checkpoint's own preprocessing."""
        return read_preprocess(self.folder, read_sizes(self.folder))

    @property
    def width(self) -> int:
        """V, the width that both towers share."""
        return self.text_config.projection_size or self.text_config.hidden_size

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights' bytes, the preprocessing and dtype."""
        return pretrained.digest(self.folder, "siglip pooled", self.preprocess, self.dtype)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames uint8 RGB (n, H, W, 3) to pooled embeddings of unit length, float32 (n, 1, V)."""
        model = self._loaded()
        with torch.inference_mode():
            pooled = [
                model.get_image_features(self.preprocess(chunk).to(model.device)).pooler_output
                for chunk in frames.split(FRAMES_AT_ONCE)
            ]
        return F.normalize(torch.cat(pooled).float(), dim=-1)[:, None].clone()

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to pooled embeddings of unit length, float32 (m, V).

        In lower case, and padded to the length that the text tower was trained with, for that is how SigLIP was
        trained: it pools its last position, padding or not.
        """
        model = self._loaded()
        assert self.tokenizer is not None
        length = self.text_config.max_position_embeddings
        words = [text.lower() for text in texts]
        tokens = self.tokenizer(
            words, padding="max_length", padding_side="right", truncation=True, max_length=length, return_tensors="pt"
        )
        with torch.inference_mode():
            pooled = model.get_text_features(tokens.input_ids.to(model.device)).pooler_output
        return F.normalize(pooled.float(), dim=-1).clone()

    def score(self, frames: Tensor, texts: Sequence[str]) -> Tensor:
        """Cosine similarity (n, m) of frames uint8 (n, H, W, 3) to m texts."""
        return self.encode(frames)[:, 0] @ self.embed_texts(texts).T

    def probability(self, similarity: Tensor) -> Tensor:
        """What SigLIP's own temperature and bias make of a cosine similarity: how likely the text fits."""
        model = self._loaded()
        return torch.sigmoid(similarity * model.logit_scale.float().exp() + model.logit_bias.float())

    def _loaded(self) -> SiglipModel:
        if self.model is None:
            raise RuntimeError(f"SiglipTextTower({self.path!r}): call load() before using it")
        return self.model
