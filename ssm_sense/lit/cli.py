"""`ssm-sense fit | validate | test | predict`: LightningCLI over the system and its data."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from ssm_sense.folder import save_folder
from ssm_sense.lit.data import StreamData
from ssm_sense.lit.module import StreamModule
from ssm_sense.vision.siglip import SiglipTower


class StreamCLI(LightningCLI):
    """Adds the vision tower whose features are trained on, and the folder that the trained model is written to."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--vision`` and ``--folder``."""
        parser.add_argument("--vision", type=SiglipTower, help="the frozen tower that made the cached features")
        parser.add_argument("--folder", type=str | None, default=None, help="write the trained model here")

    def after_fit(self) -> None:
        """Write the model folder."""
        folder = self._get(self.config, "folder")
        if folder is None or not self.trainer.is_global_zero:
            return
        model_config = self._get(self.config, "model").model
        vision_config = self._get(self.config, "vision")
        vision = self._get(self.config_init, "vision")
        save_folder(Path(folder), self.model.model, model_config.as_dict(), vision, vision_config.as_dict())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of Lightning's subcommands; ``argv`` begins with its name."""
    StreamCLI(
        StreamModule,
        StreamData,
        args=None if argv is None else list(argv),
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
    )
    return 0
