"""`State`: everything a stream's memory holds, as one value."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ssm_sense.errors import UserError

_FORMAT = "ssm_sense.state.v1"


class State(Mapping[str, Tensor]):
    """An immutable mapping of dotted names to tensors, such as ``event.0.ssm``.

    Nothing here changes a tensor in place, and every method that changes something returns a new `State`, so a
    state may be kept, forked and replayed freely: ``y, state = f(x, state)``.
    """

    __slots__ = ("_tensors",)

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor):
                raise TypeError(f"state {name!r}: expected a tensor, got {type(tensor).__name__}")
        self._tensors = dict(tensors)

    @classmethod
    def join(cls, parts: "Mapping[str, State | Tensor]") -> "State":
        """One state of several: a part that is a state gets its key as a prefix, ``key.name``."""
        tensors: dict[str, Tensor] = {}
        for key, part in parts.items():
            if isinstance(part, Tensor):
                tensors[key] = part
            else:
                tensors.update({f"{key}.{name}": tensor for name, tensor in part.items()})
        return cls(tensors)

    def sub(self, prefix: str) -> "State":
        """The part that `join` put under ``prefix``, without the prefix (empty if there is none)."""
        start = prefix + "."
        return State({k[len(start) :]: v for k, v in self._tensors.items() if k.startswith(start)})

    def replace(self, **tensors: Tensor) -> "State":
        """This state with some tensors exchanged (names without dots) or added."""
        return State({**self._tensors, **tensors})

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}: {tuple(v.shape)} {str(v.dtype)[6:]}" for k, v in self._tensors.items())
        return f"State({inside}; {self.nbytes:,} bytes)"

    @property
    def nbytes(self) -> int:
        """Bytes held by all tensors together."""
        return sum(t.numel() * t.element_size() for t in self._tensors.values())

    def to(self, device: torch.device | str) -> "State":
        """The same state on another device; dtypes stay, for they are part of the recurrence's contract."""
        return State({k: v.to(device) for k, v in self._tensors.items()})

    def detach(self) -> "State":
        """The same values without their gradient history."""
        return State({k: v.detach() for k, v in self._tensors.items()})

    def clone(self) -> "State":
        """A copy that shares no memory; also what turns inference tensors into ones that can be trained on."""
        return State({k: v.clone() for k, v in self._tensors.items()})

    def select(self, index: Tensor) -> "State":
        """The streams ``index`` (n,) of a batch: every tensor's first axis is B."""
        return State({k: v.index_select(0, index) for k, v in self._tensors.items()})

    def save(self, path: str | Path, metadata: Mapping[str, object] | None = None) -> None:
        """Write a safetensors file, whole or not at all: a kill at any moment leaves the old file or the new one.

        Names may share a tensor here; in the file each has bytes of its own.
        """
        header = {"format": _FORMAT, "metadata": json.dumps(dict(metadata or {}))}
        tensors = _apart({k: v.detach().contiguous().cpu() for k, v in self._tensors.items()})
        write_whole(Path(path), lambda partial: save_tensors(tensors, partial, header))

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> "State":
        """Read what `save` wrote. Raises `UserError` for a missing, damaged or foreign file."""
        return cls.load_with_metadata(path, device)[0]

    @classmethod
    def load_with_metadata(cls, path: str | Path, device: str = "cpu") -> "tuple[State, dict[str, object]]":
        """The state and the metadata given to `save`."""
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: expected a state file written by State.save, but there is no such file")
        try:
            with safe_open(path, framework="pt", device=device) as file:
                header = file.metadata() or {}
                if header.get("format") != _FORMAT:
                    found = header.get("format", "no format at all")
                    raise UserError(f"{path}: expected a state file ({_FORMAT}), found {found}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
                return cls(tensors), json.loads(header["metadata"])
        except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
            raise UserError(f"{path}: damaged state file ({error})") from error


def save_tensors(tensors: Mapping[str, Tensor], path: Path, header: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, which may be read by whom other new files may: safetensors' own are its owner's alone.

    Raises OSError where the system refuses to, which safetensors tells in words alone.
    """
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(dict(tensors), path, None if header is None else dict(header))
        path.chmod(mode)
    except SafetensorError as error:
        if (told := re.search(r"os error (\d+)", str(error))) is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from error


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file that appears under its name whole, in place of the old one, or not at all.

    The file is on disk before it gets its name, and the name before this returns, so that neither a kill nor a
    power cut at any moment leaves anything but the old file or the new one.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        _force_to_disk(partial)
        os.replace(partial, path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _force_to_disk(path.absolute().parent)
    finally:
        partial.unlink(missing_ok=True)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, copied where they share memory with one before them, which safetensors refuses to write."""
    apart: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        apart[name] = tensor.clone() if tensor.untyped_storage().data_ptr() in seen else tensor
        seen.add(apart[name].untyped_storage().data_ptr())
    return apart


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
