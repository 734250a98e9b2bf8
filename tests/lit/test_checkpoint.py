"""Checkpoints appear whole or not at all, and the command line writes them so."""

from pathlib import Path

import pytest
import torch

from ssm_sense.lit.checkpoint import WholeFiles
from ssm_sense.lit.cli import StreamCLI
from ssm_sense.lit.data import TrainingData
from ssm_sense.lit.module import StreamModule

ROOT = Path(__file__).parents[2]


class Interrupted:
    """Cannot be written to its end."""

    def __reduce__(self) -> str:
        raise KeyboardInterrupt


def test_an_interrupted_checkpoint_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "last.ckpt"
    WholeFiles().save_checkpoint({"step": 1}, path)
    with pytest.raises(KeyboardInterrupt):
        WholeFiles().save_checkpoint({"step": 2, "bad": Interrupted()}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(TypeError, match="storage_options"):
        WholeFiles().save_checkpoint({}, path, storage_options={"s3": 1})


def test_the_command_line_writes_them_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / "configs" / "tiny" / "blind.yaml")
    cli = StreamCLI(StreamModule, TrainingData, args=["--config", config], run=False, subclass_mode_data=True)
    assert isinstance(cli.trainer.strategy.checkpoint_io, WholeFiles)


def test_what_a_kill_left_of_a_checkpoint_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    left, others = tmp_path / ".last.ckpt.1.partial", tmp_path / ".best.ckpt.1.partial"
    for file in (left, others):
        file.write_bytes(b"half of it")
    WholeFiles().save_checkpoint({"step": 1}, path)
    assert sorted(tmp_path.iterdir()) == sorted([path, others])
