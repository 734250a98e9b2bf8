"""Policies by name, for those that run over any trained model of frame tokens.

A policy of one's own needs no entry here: its class path, such as ``my_package.policy.Mine``, is as good as a name.
"""

from argparse import ArgumentError
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from ssm_sense.memory.kv_cache import FrameTokens
    from ssm_sense.memory.policy import Policy

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


def build(policy: str, model: "FrameTokens", settings: Mapping[str, Any] | None = None) -> "Policy":
    """A policy over a loaded model.

    Args:
        policy: a name of `CLASSES`, or the path of a class whose first argument is called ``model``.
        settings: its other arguments, as they stand in a YAML file: objects as ``class_path`` and ``init_args``. The
            defaults are those of the policy's paper.

    Raises:
        UserError: for a policy that there is not, and for settings that it does not take.
    """
    from jsonargparse import ArgumentParser

    policy_class = _class(policy)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(policy_class, None, skip={"model"}, instantiate=False)
    try:
        parsed = parser.parse_object(dict(settings or {}))
        arguments = parser.instantiate_classes(parsed)
        built: Policy = policy_class(model, **vars(arguments))
    except UserError:
        raise
    except (ArgumentError, ValueError, TypeError) as error:
        raise UserError(f"policy {policy}: {error}") from error
    return built


def _class(policy: str) -> Any:
    module, _, name = CLASSES.get(policy, policy).rpartition(".")
    try:
        if module:
            return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"policy {policy}: {error}") from error
    raise UserError(f"expected a policy among {', '.join(CLASSES)}, or a class path, got {policy!r}")
