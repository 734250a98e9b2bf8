"""Random language models on disk: a Qwen2 and a Llama with the plain layout, a Qwen3 with a chat template."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.tiny import build_language

WORDS = ["user assistant think which room holds the red chair", "how many beds are there", "kitchen bathroom A B C"]
TEMPLATE = (
    "{% for m in messages %}{{ m.role }} : {{ m.content }} ! {% endfor %}"
    "{% if add_generation_prompt %}assistant : {% if enable_thinking %}think{% endif %}{% endif %}"
)
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 2,
}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    roots = {name: tmp_path_factory.mktemp(name) for name in ("qwen2", "llama", "chat")}
    for root in roots.values():
        build_language(root, WORDS, hidden=32, layers=2)
    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(roots["llama"] / "llm")
    Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)).save_pretrained(roots["chat"] / "llm")
    tokenizer = AutoTokenizer.from_pretrained(roots["chat"] / "tokenizer")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(roots["chat"] / "tokenizer")
    return {name: root / "llm" for name, root in roots.items()}


@pytest.fixture(params=["qwen2", "llama", "chat"])
def language(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> CausalLM:
    """Freshly loaded, and with larger weights than at initialisation, so that context matters."""
    model = CausalLM(str(checkpoints[request.param])).load().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(5)
    return model
