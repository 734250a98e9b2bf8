"""What the commands that train share: mistakes are told in a line, and before anything is trained."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from ssm_sense.errors import UserError

_CHOSEN_BY_LIGHTNING = ("last", "best", "hpc", "registry")


class CommandLine(LightningCLI):
    """A LightningCLI that refuses a ``--folder`` that cannot be written and a ``--ckpt_path`` that is no checkpoint."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Read what was typed. Raises UserError for places that will not do."""
        super().parse_arguments(parser, args)
        asked = self.config.get(str(self.config.get("subcommand")), self.config)
        if (folder := asked.get("folder")) is not None:
            _check_folder(Path(folder))
        checkpoint = asked.get("ckpt_path")
        if checkpoint is not None and str(checkpoint).partition(":")[0] not in _CHOSEN_BY_LIGHTNING:
            _check_checkpoint(Path(checkpoint))


def train(cli: type[LightningCLI], *parts: Any, argv: Sequence[str] | None, prog: str, **options: Any) -> None:
    """Run a command line over ``parts``, a module and its data.

    argv: begins with the subcommand's name. prog: what stands before it where it is typed. options: of LightningCLI.
    Raises UserError for what Lightning takes for a wrong setting.
    """
    # The usage that would be made up names each of some hundred options, in front of every error.
    usages = {name: {"usage": f"{prog} {name} --config FILE [--OPTION VALUE ...]"} for name in cli.subcommands()}
    options |= {
        "args": None if argv is None else list(argv),
        "seed_everything_default": 0,
        "save_config_kwargs": {"overwrite": True},
        "parser_kwargs": {"prog": prog, **usages},
    }
    # Said whenever arguments are handed over, even those that were typed, with all of them, twice.
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    try:
        cli(*parts, **options)
    except MisconfigurationException as error:
        raise UserError(str(error)) from error


def _check_folder(folder: Path) -> None:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"--folder {folder}: expected a folder that can be written to, but {there} is none")


def _check_checkpoint(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"--ckpt_path {path}: expected a checkpoint, but there is no such file")
    if not is_zipfile(path):
        raise UserError(f"--ckpt_path {path}: expected a whole checkpoint, as training writes it, but this is none")
