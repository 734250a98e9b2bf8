"""Compiling by NVRTC, which torch's CUDA wheels bring, and the cache of what it made.

A program is compiled once for each architecture and compiler, in a second or two, and kept in ``cache_folder()``.
Processes that start together may compile the same program; each writes a file of its own and renames it into place.
"""

import hashlib
import os
import platform
import tempfile
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ssm_sense.ops.cuda.program import Program, digest, sources

_SUM_BYTES = 32


class CudaUnavailable(RuntimeError):
    """CUDA kernels cannot be compiled or loaded here; the message says what is missing."""


@cache
def bindings(name: str) -> Any:
    """``cuda.bindings.nvrtc`` or ``cuda.bindings.driver``, imported on first use only. Raises CudaUnavailable."""
    try:
        module = import_module(f"cuda.bindings.{name}")
        # The library itself is looked for at the first call.
        module.nvrtcVersion() if name == "nvrtc" else module.cuDriverGetVersion()
    except (ImportError, RuntimeError, OSError) as error:
        raise CudaUnavailable(
            "the CUDA kernels need cuda-bindings, NVRTC (both come with torch's own CUDA wheels since 2.11) and "
            f"NVIDIA's driver; cuda.bindings.{name} did not load: {error}"
        ) from error
    return module


def checked(what: str, result: tuple[Any, ...]) -> Any:
    """The value of a call of the bindings, which return (status, value). Raises CudaUnavailable naming the call."""
    status, *values = result
    if int(status) != 0:
        raise CudaUnavailable(f"{what} failed: {getattr(status, 'name', status)}")
    return values[0] if values else None


def version() -> str:
    """NVRTC's, e.g. "13.0"."""
    status, major, minor = bindings("nvrtc").nvrtcVersion()
    checked("nvrtcVersion", (status,))
    return f"{major}.{minor}"


def architecture(major: int, minor: int) -> str:
    """What to compile for on a device of this compute capability: its own machine code, or the newest PTX below it."""
    wanted = 10 * major + minor
    known = sorted(checked("nvrtcGetSupportedArchs", bindings("nvrtc").nvrtcGetSupportedArchs()))
    if wanted in known:
        return f"sm_{wanted}"
    older = [arch for arch in known if arch < wanted]
    if not older:
        raise CudaUnavailable(
            f"NVRTC {version()} compiles for compute capability {known[0] / 10} and later, "
            f"this device has {major}.{minor}"
        )
    return f"compute_{older[-1]}"


def compile_program(program: Program, target: str, *options: str) -> tuple[bytes, str]:
    """(machine code or, for a ``compute_`` target, PTX; the compiler's log). Raises CudaUnavailable with that log."""
    nvrtc = bindings("nvrtc")
    texts = dict(sources())
    main = texts.pop(program.file)
    headers = [text.encode() for text in texts.values()]
    names = [name.encode() for name in texts]
    created = nvrtc.nvrtcCreateProgram(main.encode(), program.file.encode(), len(names), headers, names)
    handle = checked("nvrtcCreateProgram", created)
    try:
        flags = [f"--gpu-architecture={target}", *program.options(), *options]
        (status,) = nvrtc.nvrtcCompileProgram(handle, len(flags), [flag.encode() for flag in flags])
        log = _room(checked("nvrtcGetProgramLogSize", nvrtc.nvrtcGetProgramLogSize(handle)))
        checked("nvrtcGetProgramLog", nvrtc.nvrtcGetProgramLog(handle, log))
        text = log.rstrip(b"\0 \n").decode(errors="replace")
        if int(status) != 0:
            raise CudaUnavailable(f"NVRTC {version()} did not compile {program.file} for {target}:\n{text}")
        kind = "PTX" if target.startswith("compute_") else "CUBIN"
        size = checked(f"nvrtcGet{kind}Size", getattr(nvrtc, f"nvrtcGet{kind}Size")(handle))
        code = _room(size)
        checked(f"nvrtcGet{kind}", getattr(nvrtc, f"nvrtcGet{kind}")(handle, code))
        return code[:size], text
    finally:
        nvrtc.nvrtcDestroyProgram(handle)


def _room(size: int) -> bytes:
    """``size`` bytes and one more, for the bindings to write into.

    They write into an object that Python takes for immutable. One of a single byte, the size of an empty log, is shared
    by the whole process, and b" " would be b"\\0" everywhere from then on.
    """
    return bytes(size + 1)


def cache_folder() -> Path:
    """SSM_SENSE_CACHE if set, else ``ssm_sense`` in the user's cache folder."""
    own = os.environ.get("SSM_SENSE_CACHE")
    if own:
        return Path(own)
    if platform.system() == "Windows" and "LOCALAPPDATA" in os.environ:
        return Path(os.environ["LOCALAPPDATA"]) / "ssm_sense"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssm_sense"


def compiled(program: Program, target: str) -> bytes:
    """The program's code, from the cache if it is there and whole, else compiled and put there."""
    path = cache_folder() / f"{digest(program, version(), target)}.bin"
    try:
        kept = path.read_bytes()
    except OSError:
        kept = b""
    code = kept[_SUM_BYTES:]
    if code and hashlib.sha256(code).digest() == kept[:_SUM_BYTES]:
        return code
    code, _ = compile_program(program, target)
    _keep(path, hashlib.sha256(code).digest() + code)
    return code


def _keep(path: Path, content: bytes) -> None:
    """Readers see the whole file or none, whoever else writes it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".part", delete=False) as fresh:
            fresh.write(content)
        Path(fresh.name).replace(path)
    except OSError as error:
        warnings.warn(
            f"compiled CUDA kernels could not be kept in {path.parent} ({error}), so every process compiles them anew; "
            "set SSM_SENSE_CACHE to a folder that can be written",
            stacklevel=2,
        )
