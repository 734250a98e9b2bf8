"""Where a stage of training begins: at the model folder that the stage before it wrote."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ssm_sense.errors import UserError
from ssm_sense.memory.answering import AnsweringModel

_LANGUAGE = "language."
_VISION = {"layer": -2, "pooling": "bilinear", "grid": 8}
"""What decides the latents, besides the weights, and what it is where a folder does not say."""


def start_from(model: AnsweringModel, folder: Path, new: Sequence[str] = ()) -> None:
    """Load a model, its language model included, with the weights of a model folder.

    The folder's model may have watched a coarser grid: what it learned of a place then holds for all places that this
    one was divided into. Parts that are ``new`` begin at random, whether the folder has them or not, and in whatever
    shape. Nothing but safetensors and the language model's own files is read. Raises UserError where the
    folder holds no model, or one that does not fit: every weight must be there, in the same shape, and no other.
    """
    path = folder / "model.safetensors"
    if not path.is_file() or not (folder / "llm").is_dir():
        raise UserError(f"{folder}: expected a model folder to start from, such as the stage before this one wrote")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged ({error})") from error
    model.language.move(str(folder / "llm"), str(folder / "tokenizer"))
    model.load()
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(_LANGUAGE)}
    for part in new:
        added = [name for name in wanted if name == part or name.startswith(f"{part}.")]
        if not added:
            raise UserError(f"new: expected parts of this model, got {part!r}")
        for name in added:
            wanted.pop(name, None)
        for name in [name for name in weights if name == part or name.startswith(f"{part}.")]:
            del weights[name]
    for name, dims in model.places_in.items():
        if name in weights and name in wanted:
            for dim in dims:
                weights[name] = _divide(weights[name], dim, wanted[name].shape[dim])
    wrong = [f"{name} is missing" for name in wanted.keys() - weights.keys()]
    wrong += [f"{name} is not of this model" for name in weights.keys() - wanted.keys()]
    wrong += [
        f"{name} is {tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"{folder}: its weights do not fit this model: {'; '.join(sorted(wrong)[:3])}{more}")
    model.load_state_dict(weights, strict=False)


def _divide(weight: Tensor, dim: int, places: int) -> Tensor:
    """A weight with S places along `dim`, each repeated for those of a finer grid; as it is where that divides not."""
    side, finer = math.isqrt(weight.shape[dim]), math.isqrt(places)
    if side**2 != weight.shape[dim] or finer**2 != places or finer % side:
        return weight
    grid = weight.movedim(dim, 0).unflatten(0, (side, side))
    grid = grid.repeat_interleave(finer // side, 0).repeat_interleave(finer // side, 1)
    return grid.flatten(0, 1).movedim(0, dim).contiguous()


def check_vision(folder: Path, vision_config: Mapping[str, Any]) -> None:
    """Raise UserError where a model folder was trained on latents made in another way.

    A finer grid that theirs divides is no other way. vision_config: arguments of the `SiglipTower` that makes them now.
    """
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = config["vision"]["init_args"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: expected a model folder with a config.yaml ({error})") from error
    for name, default in _VISION.items():
        theirs, ours = found.get(name, default), vision_config.get(name, default)
        finer = name == "grid" and isinstance(theirs, int) and isinstance(ours, int) and theirs > 0 == ours % theirs
        if theirs != ours and not finer:
            raise UserError(f"{folder}: was trained on latents with vision.{name} {theirs}, got {ours}")
