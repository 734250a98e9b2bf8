"""Tiny random language models of three families, and models of frame tokens over them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.sliding_window import SlidingWindow

FAMILIES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
}
OPENING = "this is ."
"""What goes before a stream, where a test asks for that."""


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory, language_folder: Path) -> Callable[[str, int], Path]:
    """Writes a model of a family with so many layers; queries have twice the heads of keys."""
    made: dict[tuple[str, int], Path] = {}

    def write(family: str, layers: int) -> Path:
        if (family, layers) not in made:
            tokenizer = CausalLM(str(language_folder / "llm")).load().layout.tokenizer
            config_class, model_class = FAMILIES[family]
            config = config_class(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=layers,
                num_attention_heads=4,
                num_key_value_heads=2,
                head_dim=8,
                initializer_range=0.2,
                max_position_embeddings=4096,
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
            torch.manual_seed(0)
            folder = tmp_path_factory.mktemp(f"{family}-{layers}")
            model_class(config).save_pretrained(folder)
            made[family, layers] = folder
        return made[family, layers]

    return write


@pytest.fixture
def frame_tokens(family_folder, language_folder) -> Callable[..., SlidingWindow]:
    """Makes a `SlidingWindow` of 4 tokens a frame over latents of 12 features at 3 × 3 places."""

    def make(family: str = "qwen2", layers: int = 2, begun: bool = False, window: int = 5, side: int = 2):
        language = CausalLM(str(family_folder(family, layers)), tokenizer=str(language_folder / "tokenizer"))
        language.load().eval()
        if begun:
            language.layout.__dict__["before"] = language.layout.prompt(OPENING)
        torch.manual_seed(1)
        model = SlidingWindow(language, 32, vision_width=12, places=9, frame_side=side, window=window).eval()
        # Tokens long enough for random weights to tell frames apart.
        torch.nn.init.normal_(model.connector.straight.weight, std=0.5)
        return model

    return make


@pytest.fixture
def latents() -> torch.Tensor:
    """Forty frames (40, 9, 12)."""
    return torch.randn(40, 9, 12, generator=torch.Generator().manual_seed(2))
