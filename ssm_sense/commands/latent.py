"""`ssm-sense latent fit | load | length`: train a memory on streams of latents, and ask what it holds."""

import argparse
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from ssm_sense.errors import UserError
from ssm_sense.metrics.interval import FEWEST_STREAMS

if TYPE_CHECKING:
    from ssm_sense.lit.latent import LatentModule

_CHECKPOINT = "model.ckpt"


def main(argv: list[str]) -> int:
    """Train, or measure and write a list of rows as JSON."""
    if argv[:1] == ["fit"]:
        from ssm_sense.commands.latent_fit import fit

        return fit(argv)
    arguments = _parse(argv)
    module = _load(arguments.model)
    from ssm_sense.evaluate.latent import recall_by_length, recall_by_load, write_rows

    try:
        world = module.world if arguments.decoys is None else module.world.with_decoys(arguments.decoys)
        if arguments.test == "load":
            shape = (arguments.loads, arguments.events, arguments.streams, arguments.seed)
            rows = recall_by_load(module.model, world, *shape)
        else:
            shape = (arguments.minutes, arguments.facts, arguments.streams, arguments.seed)
            rows = [
                {"kind": kind, **row}
                for kind in arguments.kinds
                for row in recall_by_length(module.model, world, *shape, strange=kind == "strange")
            ]
    except ValueError as error:
        raise UserError(str(error)) from error
    write_rows(rows, arguments.out)
    for row in rows:
        print(
            f"{row.get('kind', '')}  load {row['load']:>4}  {row['minutes']:>5.4g} min  recall {row['recall']:.3f} "
            f"[{row['recall_low']:.3f}, {row['recall_high']:.3f}]  {row['bits']:6.1f} bits in "
            f"{row['state_bytes']:,.0f} bytes"
        )
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ssm-sense latent", description=__doc__)
    tests = parser.add_subparsers(dest="test", required=True, metavar="fit | load | length")
    tests.add_parser("fit", help="train what a YAML file describes; `ssm-sense latent fit --help`")
    load = tests.add_parser("load", help="recall against the number of facts")
    load.add_argument("--loads", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128], metavar="N")
    load.add_argument("--events", type=int, default=150, metavar="N", help="of every stream; default: %(default)s")
    length = tests.add_parser("length", help="recall against the length of the stream")
    length.add_argument("--minutes", type=int, nargs="+", default=[10, 30, 60, 120, 240], metavar="N")
    length.add_argument("--facts", type=int, default=16, metavar="N", help="of every stream; default: %(default)s")
    length.add_argument(
        "--kinds",
        nargs="+",
        choices=["same", "strange"],
        default=["same"],
        help="of needles and walks: as in training, or those that it never had; default: same",
    )
    for test in (load, length):
        test.add_argument("--model", type=Path, required=True, metavar="DIR", help="what `latent fit --folder` wrote")
        test.add_argument("--out", type=Path, required=True, metavar="FILE", help="the rows, as JSON")
        test.add_argument("--streams", type=int, default=64, metavar="N", help="5 or more; default: %(default)s")
        test.add_argument(
            "--decoys", type=float, metavar="SHARE", help="of events that hold one; default: as the model was trained"
        )
        test.add_argument("--seed", type=int, default=2_000_000, help="of the test streams; default: %(default)s")
    arguments = parser.parse_args(argv)
    # Half of the facts are early ones and half late ones; intervals are over streams, and below five there is none.
    least = {"loads": 1, "events": 1, "facts": 2, "streams": FEWEST_STREAMS, "seed": 0}
    for name, low in least.items():
        value = getattr(arguments, name, low)
        found = min(value) if isinstance(value, list) else value
        if found < low:
            raise UserError(f"--{name}: expected {low} or more, got {found}")
    return arguments


def _load(folder: Path) -> "LatentModule":
    path = folder / _CHECKPOINT
    if not path.is_file():
        raise UserError(f"{path}: expected what `ssm-sense latent fit --folder {folder}` writes, but there is no file")
    from ssm_sense.lit.latent import LatentModule

    try:
        with warnings.catch_warnings():
            # It would advise us not to save the memory's class path, from which the memory is built again.
            warnings.filterwarnings("ignore", message="Attribute 'memory' is an instance of")
            return LatentModule.load_from_checkpoint(path, map_location="cpu").eval()
    except (argparse.ArgumentError, UnpicklingError, OSError, EOFError, KeyError, TypeError, RuntimeError) as error:
        told = str(error).partition("\n")[0]
        raise UserError(f"{path}: not what `ssm-sense latent fit` writes: {type(error).__name__}: {told}") from error
