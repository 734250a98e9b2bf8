"""`ssm-sense fit | validate | test`: LightningCLI over the system and its data."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser

from ssm_sense.folder import save_folder
from ssm_sense.lit.command_line import CommandLine, train
from ssm_sense.lit.data import TrainingData
from ssm_sense.lit.module import StreamModule
from ssm_sense.lit.start import check_vision
from ssm_sense.vision.siglip import SiglipTower


class StreamCLI(CommandLine):
    """Adds the vision tower whose features are trained on, and the folder that the trained model is written to."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--vision`` and ``--folder``; data are streams unless a configuration says otherwise."""
        parser.add_argument("--vision", type=SiglipTower, help="the frozen tower that makes the latents")
        parser.add_argument("--folder", type=str | None, default=None, help="write the trained model here")
        parser.set_defaults(
            {
                "data": {"class_path": "ssm_sense.lit.data.StreamData"},
                "trainer.plugins": [{"class_path": "ssm_sense.lit.checkpoint.WholeFiles"}],
            }
        )

    def instantiate_classes(self) -> None:
        """Build all, and give the data the vision tower."""
        super().instantiate_classes()
        self.datamodule.vision = self._get(self.config_init, "vision")

    def before_fit(self) -> None:
        """Refuse to start from a model that watched other latents."""
        start, vision = self.model.start, self._get(self.config, "vision")
        if start is not None and vision is not None:
            check_vision(Path(start), vision.as_dict()["init_args"])

    def after_fit(self) -> None:
        """Write the model folder."""
        folder = self._get(self.config, "folder")
        if folder is None or not self.trainer.is_global_zero:
            return
        model_config = self._get(self.config, "model").model.as_dict()
        # The adapters are merged into what is saved.
        model_config["init_args"]["language"]["init_args"].pop("lora", None)
        vision_config = self._get(self.config, "vision")
        vision = self._get(self.config_init, "vision")
        save_folder(Path(folder), self.model.model, model_config, vision, vision_config.as_dict())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of Lightning's subcommands; ``argv`` begins with its name."""
    train(StreamCLI, StreamModule, TrainingData, argv=argv, prog="ssm-sense", subclass_mode_data=True)
    return 0
