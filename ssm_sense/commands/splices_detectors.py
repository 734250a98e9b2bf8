"""The detectors of `ssm-sense splices`, in families that share one training: what each makes of streams."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssm_sense.errors import UserError
from ssm_sense.evaluate.calibrate import Watched, calibrate
from ssm_sense.folder import load_model
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.lfp_window import LFPWindow
from ssm_sense.memory.unasked import train_closed_loop, train_window
from ssm_sense.model import SsmSense
from ssm_sense.nn.depth import DepthScore
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LatentScale, LFPHead, surprise
from ssm_sense.nn.probe import train_probe
from ssm_sense.nn.shift import FeatureShift, train_recurrent
from ssm_sense.nn.sources import AdjacentDifference, EmaDistance, RandomSurprise, ShotCut, SurpriseSource
from ssm_sense.nn.stateless import train_stateless
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.nn.unlikeness import Unlikeness

DECAY = 0.8
"""Of every moving average here."""
WIDTH, LAYERS = 128, 2

_TOGETHER = 4

_WEIGHTS = Path(__file__).parents[1] / "tiny/weights"
_SHIPPED, _TINY_LM = _WEIGHTS / "model", _WEIGHTS / "language/llm"


class Clip(NamedTuple):
    """One stream of a condition with its truth."""

    latents: Tensor
    """(T, S, V), as the vision tower gives them."""
    seconds: Tensor
    """(T,) float64."""
    moments: Mapping[str, Sequence[float]]
    """Seconds of "event", "decoy" and "needle"."""


Levels = list[np.ndarray]
"""Of every clip, surprise of each frame, (T,) float32."""
Detector = Callable[[Sequence[Clip]], Levels]
Family = Callable[[Sequence[Clip], Sequence[Clip], int, int | None], dict[str, Detector]]
"""(training clips, validation clips of the same condition, seed, steps) to detectors; steps None takes its own."""


def plain(train: Sequence[Clip], val: Sequence[Clip], seed: int, steps: int | None) -> dict[str, Detector]:
    """What needs no training but the latents' scale."""
    places, vision_width = train[0].latents.shape[1:]
    return _sources(
        _scale(train),
        {
            "EMA": EmaDistance(places, vision_width, DECAY),
            "adjacent": AdjacentDifference(places, vision_width),
            "depth": DepthScore(places, vision_width),
            "depth (standard)": DepthScore(places, vision_width, standard=True),
            "shot cut": ShotCut(places, vision_width),
            "random": RandomSurprise(seed),
        },
    )


def closed(train: Sequence[Clip], val: Sequence[Clip], seed: int, steps: int | None) -> dict[str, Detector]:
    """The model itself, calibrated on validation clips; and the shift of its encoder's features."""
    places, vision_width = train[0].latents.shape[1:]
    grid = int(places**0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SsmSense(
            TemporalEncoder(vision_width, WIDTH, grid, LAYERS),
            LFPHead(WIDTH, vision_width),
            SurprisePolicy(),
            Episode(WIDTH, tokens=1, layers=1),  # which prediction does not touch
            CausalLM(str(_TINY_LM)),
            language_width=WIDTH,
            window=128,
            rescans=0,
        )
        train_closed_loop(model, [clip.latents for clip in train], steps or 100, seed, frames=48, progress=False)
    found = calibrate(model, [Watched(c.latents, c.seconds, c.moments["event"]) for c in val]).chosen
    with torch.no_grad():
        model.policy.threshold.fill_(found.threshold)
    return _of_model("closed loop", model)


def shipped(train: Sequence[Clip], val: Sequence[Clip], seed: int, steps: int | None) -> dict[str, Detector]:
    """The model that comes with the package, trained on tours to answer questions, as it is.

    That a frame is unlike its place is supervised, as the probe is: keys learned from true rooms, of other streams.

    Raises UserError for latents of another grid than it watches.
    """
    model, _ = load_model(_SHIPPED)
    assert isinstance(model, SsmSense)
    if (places := train[0].latents.shape[1]) != model.encoder.places:
        expected = f"latents of {model.encoder.places} places, which the shipped model watches"
        raise UserError(f"expected {expected}, got {places}: render with another --grid, or leave it out of --families")
    assert model.inventory is not None
    unlike = {"shipped model, unlike its place": Unlikeness(model.inventory.places, places)}
    return {**_of_model("shipped model", model), **_sources(model.scale, unlike)}


def recurrent(train: Sequence[Clip], val: Sequence[Clip], seed: int, steps: int | None) -> dict[str, Detector]:
    """The same architecture with the loop open."""
    scale = _scale(train)
    source = train_recurrent([scale(c.latents) for c in train], steps or 150, seed, WIDTH, LAYERS)
    return _sources(scale, {"open loop": source, "open loop, shift": FeatureShift(source.encoder, DECAY)})


def stateless(train: Sequence[Clip], val: Sequence[Clip], seed: int, steps: int | None) -> dict[str, Detector]:
    """The same architecture without state."""
    scale = _scale(train)
    latents = [scale(c.latents) for c in train]
    source = train_stateless(latents, steps or 400, seed, WIDTH, LAYERS, progress=False)
    shift = FeatureShift(source.encoder, DECAY, memory=False)
    return _sources(scale, {"stateless LFP": source, "stateless LFP, shift": shift})


def window(train: Sequence[Clip], val: Sequence[Clip], seed: int, steps: int | None) -> dict[str, Detector]:
    """Cambrian-S's predictor: a head on a language model's hidden states."""
    places, vision_width = train[0].latents.shape[1:]
    language = CausalLM(str(_TINY_LM)).load()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LFPWindow(language, language.width, vision_width, places, frame_side=int(places**0.5))
        train_window(model, [c.latents for c in train], steps or 100, seed, frames=48, progress=False)

    @torch.inference_mode()
    def watch(clips: Sequence[Clip]) -> Levels:
        levels = []
        for clip in clips:
            latents = clip.latents[None].float()
            wrong = surprise(model.predictions(latents)[:, :-1], model.target(latents)[:, 1:]).mean(-1)
            levels += _levels(torch.cat([wrong.new_ones(1, 1), wrong], dim=1))
        return levels

    return {"LFP on LLM states": watch}


def probe(train: Sequence[Clip], val: Sequence[Clip], seed: int, steps: int | None) -> dict[str, Detector]:
    """The supervised ceiling, trained on true events."""
    scale = _scale(train)
    begins = [torch.tensor(at(c.seconds.numpy(), c.moments["event"]) > 0) for c in train]
    return _sources(scale, {"probe": train_probe([scale(c.latents) for c in train], begins, steps or 300)})


def oracles(train: Sequence[Clip], val: Sequence[Clip], seed: int, steps: int | None) -> dict[str, Detector]:
    """1 where the truth says so, 0 elsewhere."""

    def told(kinds: Sequence[str]) -> Detector:
        def watch(clips: Sequence[Clip]) -> Levels:
            return [at(c.seconds.numpy(), [t for kind in kinds for t in c.moments[kind]]) for c in clips]

        return watch

    return {"oracle of events": told(["event"]), "oracle of splices": told(["splice"])}


FAMILIES: dict[str, Family] = {
    "plain": plain,
    "oracles": oracles,
    "shipped": shipped,
    "closed": closed,
    "recurrent": recurrent,
    "stateless": stateless,
    "window": window,
    "probe": probe,
}
UNTRAINED, SEEDLESS = ("plain", "oracles", "shipped"), ("oracles", "probe", "shipped")
"""Families that are the same whatever the condition to train on; and those that are the same for every seed."""


def at(seconds: np.ndarray, moments_s: Iterable[float]) -> np.ndarray:
    """(T,) float32: 1 at the first frame at or after each moment, 0 elsewhere."""
    level = np.zeros(len(seconds), dtype=np.float32)
    frames = np.searchsorted(seconds, [t - 1e-6 for t in moments_s])
    level[frames[frames < len(seconds)]] = 1.0
    return level


def _of_model(name: str, model: SsmSense) -> dict[str, Detector]:
    """A model's own surprise, and the shift of its encoder's features."""
    model.requires_grad_(False).eval()

    @torch.inference_mode()
    def loop(clips: Sequence[Clip]) -> Levels:
        latents, seconds = torch.stack([c.latents for c in clips]), torch.stack([c.seconds for c in clips])
        trace, _ = model.observe(latents, seconds, model.initial_state(len(clips)))
        return _levels(trace.surprise.mean(-1))

    shifts = {
        f"{name}, shift": FeatureShift(model.encoder, DECAY, memory=False),
        f"{name}, shift with state": FeatureShift(model.encoder, DECAY),
    }
    return {name: loop, **_sources(model.scale, shifts)}


def _scale(train: Sequence[Clip]) -> LatentScale:
    scale = LatentScale(train[0].latents.shape[-1])
    scale.fit(torch.cat([c.latents.flatten(0, 1) for c in train]))
    return scale


def _sources(scale: LatentScale, sources: Mapping[str, SurpriseSource]) -> dict[str, Detector]:
    """Each watches clips side by side, a few at a time: what keeps no state has one for every frame meanwhile."""

    def watcher(source: SurpriseSource) -> Detector:
        @torch.inference_mode()
        def watch(clips: Sequence[Clip]) -> Levels:
            levels: Levels = []
            state = source.initial_state(len(clips))
            for some in torch.arange(len(clips)).split(_TOGETHER):
                latents = scale(torch.stack([clips[i].latents for i in some]))
                level, _ = source(latents, state.select(some))
                levels += _levels(level.mean(-1))
            return levels

        return watch

    return {name: watcher(source.eval()) for name, source in sources.items()}


def _levels(level_BT: Tensor) -> Levels:
    return list(level_BT.float().cpu().numpy())
