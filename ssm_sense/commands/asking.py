"""`--ask-at` and `--draws`: when rendered streams are asked besides at their end, and how often each time."""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any

from ssm_sense.errors import UserError


def add_asking(add: Callable[..., Any]) -> None:
    """add: a parser's ``add_argument``."""
    add("--ask-at", type=float, nargs="+", metavar="M", help="ask rendered streams at these minutes too, in one pass")
    add("--draws", type=int, default=1, metavar="N", help="the most recall questions at each of these; default: 1")


def check_asking(arguments: argparse.Namespace) -> None:
    """Raises UserError for times and numbers that cannot be."""
    for minutes in arguments.ask_at or ():
        if not 0 < minutes < math.inf:
            raise UserError(f"--ask-at: expected minutes above 0, got {minutes:g}")
    if arguments.draws < 1 or (arguments.draws > 1 and not arguments.ask_at):
        raise UserError(f"--draws: expected 1, or more with --ask-at, which says when, got {arguments.draws}")


def check_reached(arguments: argparse.Namespace, minutes: Sequence[float | None]) -> None:
    """minutes: lengths of the streams, None where there is none. Raises UserError for a time that no stream reaches."""
    longest = max(math.inf if length is None else length for length in minutes)
    if max(arguments.ask_at or [0]) > longest:
        raise UserError(f"--ask-at: expected minutes up to {longest:g}, got {max(arguments.ask_at):g}")


def asking_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What of it decides the rows."""
    return {
        **({"ask_at": sorted(arguments.ask_at)} if arguments.ask_at else {}),
        **({"draws": arguments.draws} if arguments.draws > 1 else {}),
    }
