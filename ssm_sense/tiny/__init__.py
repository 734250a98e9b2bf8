"""The tiny family: a SigLIP and a word-level tokenizer that ship with the package, and builders for more.

They are of the same classes as the real models and load through the same code, in milliseconds, without a network.
"""

from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssm_sense.tiny.build import build_language, new_siglip, save_siglip
    from ssm_sense.tiny.tokenizer import build_tokenizer

__all__ = ["build_language", "build_tokenizer", "folder", "new_siglip", "save_siglip"]


def folder() -> Path:
    """The shipped weights: `folder() / "siglip"` and `folder() / "tokenizer"`."""
    return Path(str(files("ssm_sense.tiny") / "weights"))


def __getattr__(name: str) -> Any:
    """The builders, which bring torch and transformers, are imported when they are asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'tokenizer' if name == 'build_tokenizer' else 'build'}"), name)
