"""Pretrained Hugging Face weights: from a local folder or the hub, loaded safely, whole and silently."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging

from ssm_sense.errors import UserError

Dtype = Literal["float32", "bfloat16", "float16"]
DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
"""What a checkpoint needs; pickled weights are never among it."""

PROBE = "which room"
"""Every tokenizer must give this back, or own that it does not know it."""


def resolve(path: str) -> Path:
    """The local folder of a checkpoint, downloaded into the Hugging Face cache first where `path` is a hub id.

    Raises UserError where `path` is neither an existing folder nor a repository that can be reached.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or folder.is_absolute() or len(folder.parts) != 2 or path.startswith("."):
        raise UserError(f"{path}: expected a folder with a Hugging Face checkpoint, or a hub id such as owner/name")
    try:
        return Path(snapshot_download(path, allow_patterns=WANTED, ignore_patterns=["*/*"]))
    except (HFValidationError, RepositoryNotFoundError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: no such folder, and not to be had from the Hugging Face hub ({reason})") from error


def config_of(folder: Path) -> dict[str, Any]:
    """The raw config.json of a checkpoint. Raises UserError where there is none."""
    expected = f"{folder}: expected a readable config.json of a Hugging Face checkpoint"
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{expected} ({error})") from error
    if not isinstance(config, dict):
        raise UserError(f"{expected}, got {config!r}")
    return config


def read_config(config_class: Any, folder: Path) -> Any:
    """A checkpoint's config as a transformers class. Raises UserError for that of another model, or a broken one."""
    kind = config_of(folder).get("model_type")
    with _refusing(f"{folder}: expected a config for {config_class.__name__}, got one of model_type {kind!r}"):
        return config_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load(model_class: Any, folder: Path, dtype: Dtype) -> Any:
    """An instance of a transformers class, from safetensors in a local folder, in `dtype` and in eval mode.

    Weights of other towers in the same file are ignored; a weight that is missing raises UserError, for a
    randomly initialised layer would work and answer nonsense. So do weights that are cut off, a checkpoint of another
    model, and one that needs code of its own.
    """
    name, kind = model_class.__name__, config_of(folder).get("model_type")
    with _refusing(f"{folder}: expected weights as safetensors for {name}, got those of model_type {kind!r}"):
        model, found = model_class.from_pretrained(
            folder,
            dtype=DTYPES[dtype],
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are found below
            output_loading_info=True,
        )
    wrong = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if wrong:
        listed = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise UserError(f"{folder}: the weights do not fit {name}: missing or misshapen {listed}")
    return model.eval()


def load_tokenizer(folder: Path, path: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer at `path`, or else the one in `folder`, or else that of the folder "tokenizer" beside `folder`.

    Raises UserError where there is none, and where it loses text: transformers lets a config.json in the tokenizer's
    own folder decide its class, silently, even against the tokenizer's own files.
    """
    if path is not None:
        home = resolve(path)
    else:
        home = folder if (folder / "tokenizer_config.json").is_file() else folder.resolve().parent / "tokenizer"
        if not home.is_dir():
            raise UserError(f"{folder}: expected a tokenizer in it, or in a folder {home.name!r} beside it")
    with _refusing(f"{home}: expected a tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(home, local_files_only=True, trust_remote_code=False)
    ids = tokenizer(PROBE, add_special_tokens=False).input_ids
    back = str(tokenizer.decode(ids, skip_special_tokens=True))
    if tokenizer.unk_token_id not in ids and back.replace(" ", "").lower() != PROBE.replace(" ", ""):
        raise UserError(
            f"{home}: a tokenizer that encodes {PROBE!r} as {back!r}; keep its files in a folder without a config.json"
        )
    return tokenizer


def digest(folder: Path, *settings: object) -> str:
    """16 hexadecimal digits that name the weights in `folder` together with `settings`, the same on any machine."""
    sha = hashlib.sha256(repr(settings).encode())
    for file in sorted(folder.glob("*.safetensors")):
        with open(file, "rb") as stream:
            sha.update(hashlib.file_digest(stream, "sha256").digest())
    return sha.hexdigest()[:16]


@contextmanager
def _refusing(expected: str) -> Iterator[None]:
    """Turns into a UserError whatever transformers raises over a checkpoint, which are errors of any class."""
    try:
        with quiet():
            yield
    except Exception as error:
        reason = f"{type(error).__name__}: {shorten(str(error), 200)}"
        if "trust_remote_code" in str(error):
            reason = "it needs code of its own, which is never run"
        raise UserError(f"{expected} ({reason})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars, reports and warnings; what they would report, `load` checks itself."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
