"""Every training config under configs/ loads, offline, into the system that it describes.

Settings of policies, configs/policies, are loaded by tests/memory/test_catalogue.py.
"""

from pathlib import Path

import pytest
import torch

from ssm_sense.lit.cli import StreamCLI
from ssm_sense.lit.data import TrainingData
from ssm_sense.lit.module import StreamModule

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.yaml") if path.parent.name != "policies")


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 3


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_config_instantiates(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli = StreamCLI(
        StreamModule,
        TrainingData,
        args=["--config", str(path)],
        run=False,
        seed_everything_default=0,
        subclass_mode_data=True,
    )
    assert sum(p.numel() for p in cli.model.parameters()) > 0 or cli.model.model.language_width > 0
    assert callable(cli.model.optimizer)
    # Two groups, as `StreamModule.configure_optimizers` makes them; the language model's own are not loaded here.
    optimizer = cli.model.optimizer([{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)])
    assert cli.model.lr_scheduler is None or cli.model.lr_scheduler(optimizer).total_steps == cli.trainer.max_steps
