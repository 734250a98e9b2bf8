"""Models of the real ones' classes, small enough for a laptop's processor, with random weights."""

import copy
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from ssm_sense.pretrained import quiet
from ssm_sense.tiny.statements import IMAGE_SIZE
from ssm_sense.tiny.tokenizer import build_tokenizer

BILINEAR = 2
"""PIL's number for the resampling of SigLIP 2."""


def build_language(
    folder: Path,
    vocabulary: Iterable[str],
    hidden: int = 128,
    layers: int = 3,
    heads: int = 4,
    max_tokens: int = 4096,
    seed: int = 0,
    meanings: Callable[[list[str]], Tensor] | None = None,
) -> None:
    """Write a Qwen2 to folder/llm and its word-level tokenizer to folder/tokenizer.

    hidden: Q. max_tokens: the longest sequence that its positions are meant for.
    meanings: texts to embeddings (n, Q), such as a SigLIP's text tower gives. Each word's embedding then begins as the
        meaning of the text "a <word>", so that things seen and their names lie close together before anything is
        learned. Everything else is random. Embeddings begin with norm 1, about that of pretrained models.
    They load through the same code as the real ones: `CausalLM(str(folder / "llm")).load()`.
    """
    tokenizer = build_tokenizer(folder / "tokenizer", vocabulary)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=max_tokens,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    embeddings = cast(nn.Embedding, model.get_input_embeddings()).weight.data
    if meanings is not None:
        words = {token: i for token, i in tokenizer.get_vocab().items() if token.isalpha()}
        given = meanings([f"a {word}" for word in words])
        if given.shape != (len(words), hidden):
            raise ValueError(f"meanings: expected embeddings ({len(words)}, {hidden}), got {tuple(given.shape)}")
        embeddings[list(words.values())] = given - given.mean(0)
    embeddings.copy_(F.normalize(embeddings, dim=1))
    model.save_pretrained(folder / "llm")


def new_siglip(
    tokenizer: PreTrainedTokenizerBase,
    hidden: int = 128,
    layers: int = 4,
    heads: int = 4,
    text_layers: int = 2,
    text_length: int = 20,
    image_size: int = IMAGE_SIZE,
    patch_size: int = 16,
    seed: int = 0,
) -> SiglipModel:
    """A SigLIP with random weights: V = `hidden`, (image_size / patch_size)² patches."""
    text = SiglipTextConfig(
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_attention_heads=heads,
        vocab_size=len(tokenizer),
        num_hidden_layers=text_layers,
        max_position_embeddings=text_length,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    vision = SiglipVisionConfig(
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        image_size=image_size,
        patch_size=patch_size,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    # Where SigLIP starts (arXiv 2303.15343): a temperature of 10, and a bias that calls most pairs no match.
    torch.nn.init.constant_(model.logit_scale, math.log(10.0))
    torch.nn.init.constant_(model.logit_bias, -10.0)
    return model


def save_siglip(model: SiglipModel, folder: Path) -> None:
    """Write weights (in half precision), config and preprocessing as any SigLIP on the hub has them."""
    size = model.vision_model.config.image_size
    with quiet():
        copy.deepcopy(model).half().save_pretrained(folder)
        SiglipImageProcessorPil(size={"height": size, "width": size}, resample=BILINEAR).save_pretrained(folder)
