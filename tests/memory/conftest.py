"""Tiny random language models of three families, models of frame tokens over them, and what every policy must do."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.policy import Policy
from ssm_sense.memory.sliding_window import SlidingWindow
from ssm_sense.pretrained import Dtype
from ssm_sense.state import State

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

    def make(
        family: str = "qwen2",
        layers: int = 2,
        begun: bool = False,
        window: int = 5,
        side: int = 2,
        dtype: Dtype = "float32",
    ) -> SlidingWindow:
        folder = str(family_folder(family, layers))
        language = CausalLM(folder, tokenizer=str(language_folder / "tokenizer"), dtype=dtype)
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


PROMPT, OPTIONS = "how many chairs are there", ["A. one", "B. two"]


def watch(policy: Policy, latents: torch.Tensor, start: int = 0, surprises: Sequence[float | None] = ()) -> list[int]:
    """Show frames at one a second; the bytes held after each."""
    sizes = []
    for t, one in enumerate(latents):
        policy.observe(one, surprises[t] if surprises else None, float(start + t))
        sizes.append(policy.nbytes)
    return sizes


def scores(policy: Policy) -> torch.Tensor:
    """Log-likelihoods of the two options."""
    return torch.tensor(policy.read(PROMPT, OPTIONS).log_likelihoods)


def plain(model, tokens: torch.Tensor) -> torch.Tensor:
    """The same by a plain forward pass of the language model over tokens (n, Q)."""
    with torch.no_grad():
        return model.language.score(tokens[None], PROMPT, ["A", "B"])


def contract(make: Callable[[], Policy], latents: torch.Tensor, cut: int, surprises: Sequence[float] = ()) -> None:
    """Reading leaves no trace, a saved stream goes on, bytes are those of the state, and reset forgets everything."""
    before, after = (surprises[:cut], surprises[cut:]) if surprises else ((), ())
    asked, quiet, resumed = make(), make(), make()
    empty = asked.nbytes, asked.read(PROMPT, OPTIONS)
    for t, one in enumerate(latents[:cut]):
        for policy in (asked, quiet):
            policy.observe(one, before[t] if before else None, float(t))
            assert policy.nbytes == State(policy.state_dict()).nbytes
        asked.read(PROMPT)
    resumed.load_state_dict({name: tensor.clone() for name, tensor in quiet.state_dict().items()})
    assert resumed.nbytes == quiet.nbytes
    for policy in (asked, quiet, resumed):
        watch(policy, latents[cut:], cut, after)
    assert asked.read(PROMPT, OPTIONS) == quiet.read(PROMPT, OPTIONS) == resumed.read(PROMPT, OPTIONS)
    assert resumed.read(PROMPT) == quiet.read(PROMPT)
    assert all(torch.equal(resumed.state_dict()[name], tensor) for name, tensor in quiet.state_dict().items())
    resumed.reset()
    assert (resumed.nbytes, resumed.read(PROMPT, OPTIONS)) == empty
    fresh = make()
    watch(resumed, latents[:cut], 0, before)
    watch(fresh, latents[:cut], 0, before)
    assert resumed.read(PROMPT, OPTIONS) == fresh.read(PROMPT, OPTIONS)


@pytest.fixture
def checks() -> SimpleNamespace:
    """`watch`, `scores`, `plain`, `contract` and the prompt, for tests that live in files of their own."""
    return SimpleNamespace(watch=watch, scores=scores, plain=plain, contract=contract, prompt=PROMPT)
