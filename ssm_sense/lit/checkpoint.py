"""Checkpoints that a kill cannot damage."""

from glob import escape
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from ssm_sense.state import write_whole


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and then renames it, so that a kill leaves the old file or the new one.

    Lightning's own way stages it in the system's temporary folder, from where it is copied if that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write to a local path; raises TypeError where ``storage_options`` ask for more."""
        if storage_options is not None:
            raise TypeError(f"storage_options: expected None, got {storage_options!r}")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{escape(path.name)}.*.partial"):  # by a kill; one process alone writes here
            left.unlink(missing_ok=True)
        write_whole(path, lambda partial: torch.save(checkpoint, partial))
