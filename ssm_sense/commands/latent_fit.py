"""`ssm-sense latent fit`: LightningCLI over the latent world."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser

from ssm_sense.errors import UserError
from ssm_sense.evaluate.latent import recall_by_load, write_rows
from ssm_sense.lit.command_line import CommandLine, train
from ssm_sense.lit.latent import LatentData, LatentModule


class LatentCLI(CommandLine):
    """Adds the folder that the trained module is written to, and gives the data the module's world."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--folder`` and ``--result``."""
        parser.add_argument("--folder", type=str | None, default=None, help="write the trained module here")
        parser.add_argument(
            "--result", type=str | None, default=None, help="write recall by load here, as `latent load` does"
        )

    def instantiate_classes(self) -> None:
        """Build all, with one world for both."""
        super().instantiate_classes()
        self.datamodule.world = self.model.world

    def before_fit(self) -> None:
        """Raise UserError for several devices, which would all draw the same streams and write the same files."""
        if self.trainer.world_size > 1:
            raise UserError(f"latent fit: expected one device, got {self.trainer.world_size}: say --trainer.devices 1")

    def after_fit(self) -> None:
        """Write model.ckpt, which `LatentModule.load_from_checkpoint` reads, and what was asked for."""
        folder, result = self._get(self.config, "folder"), self._get(self.config, "result")
        if folder is not None:
            self.trainer.save_checkpoint(Path(folder) / "model.ckpt", weights_only=True)
        if result is not None:
            module = self.model.cpu().eval()
            write_rows(recall_by_load(module.model, module.world), Path(result))


def fit(argv: Sequence[str]) -> int:
    """Train; ``argv`` begins with "fit"."""
    train(LatentCLI, LatentModule, LatentData, argv=argv, prog="ssm-sense latent")
    return 0
