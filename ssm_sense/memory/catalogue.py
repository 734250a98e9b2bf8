"""Policies by name: over any trained model of frame tokens, over ours, and the two of NoSense over a SigLIP.

A policy of one's own needs no entry here: its class path, such as ``my_package.policy.Mine``, is as good as a name.
"""

import inspect
import json
from argparse import ArgumentError
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from ssm_sense.memory.kv_cache import FrameTokens
    from ssm_sense.memory.policy import Policy
    from ssm_sense.model import SsmSense
    from ssm_sense.vision.siglip_text import SiglipTextTower

CLASSES = {
    "sliding-window": "ssm_sense.memory.sliding_window.SlidingWindowMemory",
    "attention-sinks": "ssm_sense.memory.attention_sinks.AttentionSinks",
    "last-frames": "ssm_sense.memory.last_frames.LastFrames",
    "uniform-frames": "ssm_sense.memory.uniform_frames.UniformFrames",
    "full-kv": "ssm_sense.memory.full_kv.FullKV",
    "movie-chat": "ssm_sense.memory.movie_chat.MovieChat",
    "ma-lmm": "ssm_sense.memory.ma_lmm.MaLmm",
    "cambrian-s": "ssm_sense.memory.cambrian_s.CambrianS",
    "cambrian-count": "ssm_sense.memory.cambrian_count.CambrianCount",
    "uniform-sum": "ssm_sense.memory.segment_sum.UniformSum",
    "shot-cut-sum": "ssm_sense.memory.segment_sum.ShotCutSum",
    "depth-sum": "ssm_sense.memory.segment_sum.DepthSum",
    "rekv": "ssm_sense.memory.rekv.ReKV",
}
"""Name to class path; a class takes the model first, and its other arguments are its settings."""
OURS = {"kept-frames": "ssm_sense.memory.kept_frames.KeptFrames"}
"""The same for those over an `SsmSense`."""
NOSENSE = {
    "nosense": "ssm_sense.memory.nosense.NoSense",
    "nosense-ahead": "ssm_sense.memory.nosense.NoSenseAhead",
}
"""The same for those over a SigLIP; their settings are those of the reader that they share."""
_READER = "ssm_sense.memory.similarity.SimilarityReader"


def build(policy: str, model: "FrameTokens | SsmSense", settings: Mapping[str, Any] | None = None) -> "Policy":
    """A policy over a loaded model.

    Args:
        policy: a name of `CLASSES` or `OURS`, or the path of a class whose first argument is called ``model``.
        settings: its other arguments, as they stand in a YAML file: objects as ``class_path`` and ``init_args``. The
            defaults are those of the policy's paper.

    Raises:
        UserError: for a policy that there is not, and for settings that it does not take.
    """
    built: Policy = _made(policy, model, settings)
    return built


def build_nosense(policy: str, tower: "SiglipTextTower", settings: Mapping[str, Any] | None = None) -> "Policy":
    """A policy of `NOSENSE` over a loaded SigLIP, with settings of `SimilarityReader`; UserError as from `build`."""
    built: Policy = _class(NOSENSE[policy])(_made(policy, tower, settings))
    return built


def all_settings(policy: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every setting of a policy as it stands in a YAML file: what is given, and the defaults of what is not.

    Raises UserError as `build` does, but for values that only the policy itself refuses.
    """
    parser, parsed = _parsed(policy, settings)
    plain: dict[str, Any] = json.loads(parser.dump(parsed, format="json", skip_none=False))
    return plain


def _made(policy: str, over: Any, settings: Mapping[str, Any] | None) -> Any:
    """What takes a policy's settings, over a model or a tower."""
    parser, parsed = _parsed(policy, settings)
    try:
        return _taker(policy)(over, **vars(parser.instantiate_classes(parsed)))
    except UserError:
        raise
    except (ArgumentError, ValueError, TypeError) as error:
        raise UserError(f"policy {policy}: {error}") from error


def _parsed(policy: str, settings: Mapping[str, Any] | None) -> "tuple[ArgumentParser, Namespace]":
    """Settings, checked against the annotations of what takes them."""
    from jsonargparse import ArgumentParser

    taker = _taker(policy)
    over = next(iter(inspect.signature(taker).parameters))  # a model or a tower
    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_class_arguments(taker, None, skip={over}, instantiate=False)
        return parser, parser.parse_object(dict(settings or {}))
    except (ArgumentError, ValueError, TypeError) as error:
        raise UserError(f"policy {policy}: {error}") from error


def _taker(policy: str) -> Any:
    return _class(_READER if policy in NOSENSE else policy)


def _class(policy: str) -> Any:
    module, _, name = {**CLASSES, **OURS}.get(policy, policy).rpartition(".")
    try:
        if module:
            return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"policy {policy}: {error}") from error
    raise UserError(f"expected a policy among {', '.join((*CLASSES, *OURS))}, or a class path, got {policy!r}")
