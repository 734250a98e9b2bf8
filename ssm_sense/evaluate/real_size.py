"""What memory costs at real size: SigLIP 2 so400m and Qwen2.5 with random weights, ours beside full KV and Cambrian-S.

Time and bytes depend on shapes alone, so weights are drawn at random, and the caches of a long stream are filled with
random keys and values in place of watching it. Settings of ours are those of configs/train/qwen2.5, those of Cambrian-S
its paper's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple, cast

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    PreTrainedTokenizerBase,
    Qwen2Config,
    SiglipVisionConfig,
)

from ssm_sense.evaluate.cost import counted
from ssm_sense.evaluate.random_weights import RandomLanguage, RandomTower, image_side
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.cambrian_s import CambrianS
from ssm_sense.memory.consolidation import Held, tokens
from ssm_sense.memory.full_kv import FullKV
from ssm_sense.memory.kv_cache import KeyValues
from ssm_sense.memory.policy import Policy
from ssm_sense.memory.recurrent import RecurrentMemory
from ssm_sense.memory.sliding_window import SlidingWindow
from ssm_sense.model import SsmSense
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.pretrained import DTYPES, Dtype
from ssm_sense.stream import finish

GRID = 8
"""Tokens of a frame along one side, in every contender."""
PROMPT = "which of these rooms had the chair"
OPTIONS = ("A. hall", "B. kitchen", "C. study", "D. bedroom")
_WHOLE_EVERY = 8
"""One frame in so many is held whole in the memory that stands for Cambrian-S's long stream; the others are pooled."""


class Cost(NamedTuple):
    """Of one policy once it has watched so many frames: medians over the rounds, and the bytes it holds."""

    policy: str
    frames: int
    frame_ms: float
    answer_ms: float
    nbytes: int


class Flops(NamedTuple):
    """Of one frame for one size of language model, two a multiply-add: vision tower, our memory, and its tokens' first
    pass through the language model with nothing before them."""

    size: str
    vision: int
    ours: int
    prefill: int

    @property
    def memory_ratio(self) -> float:
        """What prefilling costs in units of our memory."""
        return self.prefill / self.ours

    @property
    def frame_ratio(self) -> float:
        """The same for the whole frame, vision tower included."""
        return (self.vision + self.prefill) / (self.vision + self.ours)


class Rig:
    """All contenders over one language model.

    Args:
        vision, qwen: sizes of the towers.
        tokenizer: whose ids the language model knows.
        dtype: of both towers; our memory is float32, as in training.
        width, layers: D and the temporal blocks of ours.
    """

    def __init__(
        self,
        vision: SiglipVisionConfig,
        qwen: Qwen2Config,
        tokenizer: PreTrainedTokenizerBase,
        dtype: Dtype = "float32",
        device: str = "cpu",
        width: int = 512,
        layers: int = 4,
    ) -> None:
        self.device = torch.device(device)
        # Drawn where they are used: a large model's weights need not pass through the host.
        with self.device:
            self.vision = RandomTower(vision, GRID, dtype).load()
            self.language = RandomLanguage(qwen, tokenizer, dtype).load()
            self.ours = our_model(self.language, vision.hidden_size, width, layers).eval()
            self.window = SlidingWindow(self.language, self.language.width, vision.hidden_size, GRID**2, GRID).eval()
        self.latents = torch.randn(GRID**2, vision.hidden_size, device=self.device)
        self.picture = torch.randint(0, 256, (1, image_side(vision), image_side(vision), 3), dtype=torch.uint8)

    def policies(self, frames: int) -> dict[str, Policy]:
        """Each contender, having watched so many frames."""
        full, cambrian, ours = FullKV(self.window), CambrianS(self.window), RecurrentMemory(self.ours)
        if frames:
            held = self._random(frames * GRID**2)
            full.load_state_dict({"keys": held.keys, "values": held.values})
            whole = GRID**2 + (_WHOLE_EVERY - 1) * (GRID // cambrian.pool) ** 2
            cambrian.sensory = [self._held(GRID**2, 1.0) for _ in range(min(frames, cambrian.window))]
            left = min(frames - len(cambrian.sensory), _WHOLE_EVERY * cambrian.budget_tokens // whole)
            cambrian.memory = [
                self._held(GRID**2, 1.0) if i % _WHOLE_EVERY == 0 else self._held((GRID // cambrian.pool) ** 2, 0.0)
                for i in range(left)
            ]
            while tokens(cambrian.memory) > cambrian.budget_tokens:
                cambrian.memory.pop()
        return {"ours": ours, "full-kv": full, "cambrian-s": cambrian}

    def _held(self, count: int, surprise: float) -> Held:
        return Held(self._random(count), surprise)

    def _random(self, count: int) -> KeyValues:
        config = self.language.config
        width = config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, cast(int, config.num_key_value_heads), count, width)
        dtype = DTYPES[self.language.dtype]
        return KeyValues(*(torch.randn(shape, dtype=dtype, device=self.device) for _ in range(2)))


def our_model(language: CausalLM, vision_width: int, width: int, layers: int) -> SsmSense:
    """Ours as configs/train/qwen2.5 has it, at D of `width`."""
    return SsmSense(
        encoder=TemporalEncoder(vision_width, width, GRID, layers, heads=8),
        head=LFPHead(width, vision_width, vision_width),
        policy=SurprisePolicy(),
        episode=Episode(width, tokens=4, layers=2),
        language=language,
        language_width=language.width,
        event_probes=4,
        episode_probes=8,
        frame_side=GRID,
        window=32,
    )


def costs(
    rig: Rig, frames: Sequence[int], rounds: int, told: Callable[[Cost], object] = lambda cost: None
) -> list[Cost]:
    """What a frame and an answer cost every policy after each of these lengths, one policy after the other in each
    round. `told` hears of each as it is known."""
    found = []
    for length in frames:
        policies = rig.policies(length)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in policies}
        for round_ in range(rounds + 1):
            for name, policy in policies.items():
                frame_ms = _ms(rig.device, partial(policy.observe, rig.latents, None, float(length + round_)))
                answer_ms = _ms(rig.device, partial(policy.read, PROMPT, OPTIONS))
                if round_:  # the first warms up
                    times[name].append((frame_ms, answer_ms))
        for name, policy in policies.items():
            seen, answered = (median(one) for one in zip(*times[name], strict=True))
            found.append(Cost(name, length, seen, answered, policy.nbytes))
            told(found[-1])
    return found


def vision_ms(rig: Rig, rounds: int) -> float:
    """Milliseconds to see one frame, the median over rounds."""
    return median([_ms(rig.device, partial(rig.vision.encode, rig.picture)) for _ in range(rounds + 1)][1:])


def flops(rig: Rig, sizes: dict[str, Qwen2Config]) -> Iterator[Flops]:
    """What a frame takes by multiplication, counted for each language model without its weights.

    Matrix products, convolutions and attention, as `torch.utils.flop_counter` counts them.
    """
    vision = counted(partial(rig.vision.encode, rig.picture))
    memory = RecurrentMemory(rig.ours)
    memory.observe(rig.latents, None, 0.0)
    ours = counted(partial(memory.observe, rig.latents, None, 1.0))
    for size, config in sizes.items():
        with torch.device("meta"):
            lm = AutoModelForCausalLM.from_config(config)
            embeds = torch.empty(1, GRID**2, config.hidden_size, dtype=lm.dtype)
        prefill = counted(partial(_prefill, lm, embeds))
        yield Flops(size, vision, ours, prefill)


def _prefill(lm: torch.nn.Module, embeds: Tensor) -> None:
    """Through all layers; the vocabulary is left out, for of a frame no word is wanted."""
    with torch.no_grad():
        lm.get_submodule("model")(inputs_embeds=embeds, past_key_values=DynamicCache(), use_cache=True)


def clock(device: torch.device) -> Callable[[], float]:
    """What milliseconds are read from: where one thread of a CPU works, its own time, which others' work does not
    lengthen; else the clock on the wall."""
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def _ms(device: torch.device, work: Callable[[], object]) -> float:
    now = clock(device)
    finish(device)
    begun = now()
    work()
    finish(device)
    return (now() - begun) * 1e3
