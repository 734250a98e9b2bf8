"""A model on disk: a folder that holds all it takes to watch a stream and answer.

config.yaml         model and vision tower as class paths with arguments
model.safetensors   everything trained but the language model
vision/             the frozen tower, as `SiglipTower` reads it
llm/, tokenizer/    the language model, as `CausalLM` reads it
calibration.json    what `ssm-sense calibrate` picked and on what; a readable copy of what model.safetensors says
"""

import json
import os
import shutil
from argparse import ArgumentError
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ssm_sense.errors import UserError
from ssm_sense.memory.answering import AnsweringModel
from ssm_sense.pretrained import digest
from ssm_sense.state import save_tensors, write_whole
from ssm_sense.stream import Session
from ssm_sense.vision.siglip import SiglipTower
from ssm_sense.vision.tower import VisionTower

_LANGUAGE = "language."
_WEIGHTS, _CALIBRATION = "model.safetensors", "calibration.json"
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader that jsonargparse builds on: the two differ in what they refuse, such as tabs."""


def save_folder(
    folder: Path,
    model: AnsweringModel,
    model_config: Mapping[str, Any],
    vision: SiglipTower,
    vision_config: Mapping[str, Any],
) -> None:
    """Write a loaded model and its vision tower.

    All is written beside the folder first and takes its place after that, model.safetensors last: a full disk leaves
    the old model whole, a kill at any moment that, the new model, or a folder without model.safetensors, which does not
    load. The new model is then beside the folder still, but for what of it has taken its place.

    Args:
        folder: made if missing; a model that it held before is replaced, what else is in it stays.
        model_config, vision_config: ``class_path`` and ``init_args`` that built them. Paths of weights in them are
            dropped, for the folder brings its own.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model": _without_paths(model_config), "vision": _without_paths(vision_config)}
    weights = {k: v.detach().contiguous().cpu() for k, v in model.state_dict().items() if not k.startswith(_LANGUAGE)}
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
        model.language.save(draft)
        save_tensors(weights, draft / _WEIGHTS)
        shutil.copytree(vision.folder, draft / "vision")
        (draft / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _take_place(draft, folder)
    draft.rmdir()


def _take_place(draft: Path, folder: Path) -> None:
    """Move a model from its draft. Between the old model and the new one there is no model.safetensors."""
    for name in (_CALIBRATION, _WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    for part in sorted(draft.iterdir(), key=lambda part: part.name == _WEIGHTS):
        if (folder / part.name).is_dir():
            shutil.rmtree(folder / part.name)
        os.replace(part, folder / part.name)


def load_session(folder: Path) -> Session:
    """A session that is ready to watch. Raises UserError for a folder that is not a model, or a damaged one."""
    model, vision = load_model(folder)
    return Session(model.memory(), vision, weights_of(folder, vision))


def weights_of(folder: Path, vision: VisionTower) -> str:
    """Names what decides a model folder's answers: its config, its weights, its language model's, and its tower."""
    configs = [path.read_bytes() for path in sorted(folder.glob("*.yaml"))]
    return digest(folder, vision.fingerprint, digest(folder / "llm"), configs)


def load_model(folder: Path) -> tuple[AnsweringModel, SiglipTower]:
    """The model, in eval mode with all its weights, and its vision tower.

    Only classes of this package are built, and no others imported, so a folder from a stranger runs none of its own
    code. Raises UserError for a folder that asks for others, that is not a model, or that is damaged.
    """
    config = _read_config(folder)
    if not (folder / _WEIGHTS).is_file():
        raise UserError(f"{folder}: expected a {_WEIGHTS}, which comes last; this model was not written to its end")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=AnsweringModel)
    parser.add_argument("--vision", type=SiglipTower)
    try:
        parsed = parser.parse_object(config)
        # A class that was named without its module has it by now.
        _refuse_foreign(folder, (name for key, name in _leaves(parsed.as_dict()) if key == "class_path"))
        built = parser.instantiate_classes(parsed)
        model: AnsweringModel = built.model
        model.load()
        vision: SiglipTower = built.vision.load()
        weights = load_file(folder / _WEIGHTS)
        found = model.load_state_dict(weights, strict=False)
    except UserError:
        raise
    except (ArgumentError, SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{folder}: this model cannot be built: {error}") from error
    wrong = [k for k in found.missing_keys if not k.startswith(_LANGUAGE)] + found.unexpected_keys
    if wrong:
        raise UserError(f"{folder}: model.safetensors does not fit config.yaml: {', '.join(wrong[:3])}")
    return model.eval(), vision


def store_calibration(folder: Path, values: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Give a model on disk what was calibrated, such as τ and the centre of the gate, and say what it was picked on.

    model.safetensors is written anew with the values and the record in its header, so that a kill at any moment
    leaves the old values with the old record or the new ones with the new; every other tensor keeps its bytes.

    Args:
        folder: of a model.
        values: by the names of the model's tensors.
        record: JSON values.

    Raises:
        UserError: for a folder that holds no model with such tensors.
    """
    path = folder / _WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
        weights = load_file(path)
        for name, value in values.items():
            weights[name] = value.to(weights[name])
    except (SafetensorError, OSError, KeyError) as error:
        raise UserError(f"{folder}: expected a model with {' and '.join(values)} ({error})") from error
    text = json.dumps(dict(record), indent=2)
    write_whole(path, lambda partial: save_tensors(weights, partial, {**header, "calibration": text}))
    write_whole(folder / _CALIBRATION, lambda partial: partial.write_text(text + "\n", encoding="utf-8"))


def read_calibration(folder: Path) -> dict[str, Any] | None:
    """What `store_calibration` recorded beside the values that model.safetensors holds; None if nobody calibrated."""
    path = folder / _WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("calibration")
        return None if text is None else json.loads(text)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: damaged or missing ({error})") from error


def default() -> Path:
    """The model shipped with the package."""
    return Path(str(files("ssm_sense.tiny") / "weights" / "model"))


def _without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """A plain copy without ``path`` and ``tokenizer``."""
    plain = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            plain[key] = _without_paths(value)
        elif key not in ("path", "tokenizer"):
            plain[key] = value
    return plain


def _read_config(folder: Path) -> dict[str, Any]:
    """What config.yaml says, with the folder's own paths. Nothing in it names a class of others with its module."""
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{folder}: expected a model folder with a config.yaml ({error})") from error
    if not isinstance(config, dict) or set(config) != {"model", "vision"}:
        raise UserError(f"{path}: expected the keys model and vision, got {config if config is None else list(config)}")
    _refuse_foreign(path, (value for key, value in _leaves(config) if key == "class_path" or _may_name_class(value)))
    _init_args(config["vision"], f"{path}: vision")["path"] = str(folder / "vision")
    arguments = _init_args(config["model"], f"{path}: model")
    language = _init_args(arguments.setdefault("language", {}), f"{path}: model.language")
    language.update(path=str(folder / "llm"), tokenizer=str(folder / "tokenizer"))
    return config


def _init_args(config: Any, where: str) -> dict[str, Any]:
    """The arguments in a class's config, to be added to. Raises UserError, which begins with ``where``."""
    arguments = config.setdefault("init_args", {}) if isinstance(config, dict) else None
    if not isinstance(arguments, dict):
        raise UserError(f"{where}: expected a class_path and init_args, got {config!r}")
    return arguments


def _leaves(config: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a config that holds no others, with the key that it stands under."""
    if isinstance(config, Mapping):
        for inner, value in config.items():
            yield from _leaves(value, inner)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _leaves(value, key)
    else:
        yield key, config


def _refuse_foreign(where: Path, names: Iterable[Any]) -> None:
    for name in names:
        if not (isinstance(name, str) and _is_path(name) and name.startswith("ssm_sense.")):
            raise UserError(f"{where}: expected classes of ssm_sense only, got {name!r}")


def _is_path(text: str) -> bool:
    """Whether a text looks like a class with its module."""
    return "." in text and all(part.isidentifier() for part in text.split("."))


def _may_name_class(value: Any) -> bool:
    """Where a class is wanted, jsonargparse imports what a string names, even if only as YAML it names something."""
    if not isinstance(value, str):
        return False
    if _is_path(value):
        return True
    try:
        node = yaml.compose(value, Loader=_YAML)
    except yaml.YAMLError:
        return False  # jsonargparse takes it for a text too
    if isinstance(node, yaml.ScalarNode):
        return node.value != value and _may_name_class(node.value)
    return node is not None
