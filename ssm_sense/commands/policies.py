"""A policy by its name, over a model by its folder, as `ssm-sense evaluate`, `tune` and the demo run them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssm_sense.errors import UserError
from ssm_sense.memory.catalogue import CLASSES, NOSENSE, OURS

if TYPE_CHECKING:
    from ssm_sense.memory.answering import AnsweringModel
    from ssm_sense.memory.policy import Policy
    from ssm_sense.memory.sliding_window import SlidingWindow
    from ssm_sense.stream import Session

POLICIES = ("model", "model-per-event", *OURS, *NOSENSE, *CLASSES)


def open_policy(policy: str, model: str, settings: Mapping[str, Any] | None = None, device: str = "cpu") -> "Session":
    """The session of a model folder, of a baseline that takes only a SigLIP with both towers, or of a policy that runs
    over a model of frame tokens, by its name in `memory.catalogue` or its class path, with settings of its own."""
    from ssm_sense.folder import load_model, weights_of
    from ssm_sense.memory.catalogue import build, build_nosense
    from ssm_sense.memory.per_event import PerEventMemory
    from ssm_sense.model import SsmSense
    from ssm_sense.stream import Session
    from ssm_sense.vision.siglip_text import SiglipTextTower

    policy = {path: name for name, path in {**OURS, **NOSENSE}.items()}.get(policy, policy)
    if policy in CLASSES or "." in policy:
        loaded, vision = load_model(Path(model))
        frame_tokens = of_frame_tokens(loaded, f"--policy {policy}")
        return Session(
            build(policy, frame_tokens.to(device), settings), vision.to(device), weights_of(Path(model), vision)
        )
    if policy in NOSENSE:
        tower = SiglipTextTower(model).load().to(device)
        return Session(build_nosense(policy, tower, settings), tower, tower.fingerprint)
    if settings and policy not in OURS:
        raise UserError(f"--policy {policy}: expected no settings, for it takes none, got {', '.join(settings)}")
    loaded, vision = load_model(Path(model))
    weights = weights_of(Path(model), vision)
    if policy == "model":
        return Session(loaded.to(device).memory(), vision.to(device), weights)
    if not isinstance(loaded, SsmSense):
        raise UserError(f"--policy {policy}: expected a model with event states, got {type(loaded).__name__}")
    ours = loaded.to(device)
    memory = build(policy, ours, settings) if policy in OURS else PerEventMemory(ours)
    return Session(memory, vision.to(device), weights)


def of_frame_tokens(model: "AnsweringModel", where: str) -> "SlidingWindow":
    """The model, which rivals run over. Raises UserError, which begins with ``where``, for another kind."""
    from ssm_sense.memory.sliding_window import SlidingWindow

    if isinstance(model, SlidingWindow):
        return model
    expected = "a model of frame tokens, such as configs/tiny/sliding_window.yaml trains"
    raise UserError(f"{where}: expected {expected}, got {type(model).__name__}")


def policy_label(memory: "Policy") -> str:
    """What rows and figures call a policy: "ours" for the recurrent one, else its class, as in "sliding_window"."""
    name = type(memory).__name__.removesuffix("Memory").replace("NoSense", "Nosense").replace("ReKV", "Rekv")
    return "ours" if name == "Recurrent" else re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def policy_settings(file: Path | None, budget_bytes: int | None) -> dict[str, Any]:
    """What a policy's file of settings says, and the budget, which stands in place of the file's.

    Raises UserError for a file that cannot be read or holds something else.
    """
    import yaml

    settings: Any = {}
    if file is not None:
        try:
            settings = yaml.safe_load(file.read_text()) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"--policy-config: {error}") from error
        if not isinstance(settings, dict):
            raise UserError(f"{file}: expected settings by name, got {type(settings).__name__}")
    return settings if budget_bytes is None else {**settings, "budget_bytes": budget_bytes}
