"""The `ssm-sense` command: a table of subcommands, each imported only when it is called.

Importing this module costs neither torch nor Lightning, so that `ssm-sense --help` answers at once.
"""

import difflib
import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from ssm_sense import __version__
from ssm_sense.errors import UserError

TRAINING = {
    "fit": "train a system described by a YAML file",
    "validate": "run its validation loop",
    "test": "run its test loop, on --data.test",
}
"""Subcommands of Lightning's own CLI, which wants its arguments whole, the subcommand's name included."""

COMMANDS = {
    "stream": "watch a video file and answer questions while it runs",
    "evaluate": "run a memory policy over a dataset and write rows.jsonl",
    "calibrate": "pick the event threshold and the write gate on validation streams",
    "tune": "pick the settings of another memory policy on validation streams",
    "sweep": "run a grid of commands, several at a time, and report means over seeds",
    "report": "turn rows.jsonl into tables, figures and one HTML page",
    "world": "render indoor walkthroughs with exact truth",
    "data": "check datasets, score answers, export rendered sets",
    "features": "cache vision latents of a folder of videos",
    "latent": "train a memory on streams of latents, and ask what it holds",
    "splices": "see whether surprise stands at events or at splices",
    "demo": "see the whole system at work, small, on this machine",
    "bench": "measure speed and memory on this machine",
    "info": "print versions, backend and device",
}
"""Subcommands of our own, each `ssm_sense.commands.<name>:main(argv) -> int`."""

RECURRENT = {*TRAINING, "stream", "evaluate", "calibrate", "latent", "splices", "demo", "bench"}
"""Those that run the recurrence, and say so once if it runs slowly for want of its native kernels."""

USER_ERROR_STATUS = 2
SYSTEM_ERROR_STATUS = 1
INTERRUPTED_STATUS = 130

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the operating system says of a write without naming the file."""


def usage() -> str:
    """The text of `ssm-sense --help`."""
    rows = [f"  {name:<10} {summary}" for name, summary in {**TRAINING, **COMMANDS}.items()]
    return "\n".join(
        (
            "usage: ssm-sense [--help] [--version] COMMAND ...",
            "",
            "A video-language model that watches a stream that never ends, with memory that never grows.",
            "",
            "commands:",
            *rows,
            "",
            "`ssm-sense COMMAND --help` describes each.",
        )
    )


def resolve(name: str) -> Callable[[list[str]], int | None]:
    """Import what `name` stands for and return its `main`.

    Raises UserError for a name that is not in the tables, naming the nearest that is.
    """
    if name in TRAINING:
        return import_module("ssm_sense.lit.cli").main
    if name in COMMANDS:
        return import_module(f"ssm_sense.commands.{name}").main
    names = [*TRAINING, *COMMANDS]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}"
    raise UserError(f"no command {name!r}; {hint}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status.

    argv: the arguments after the program's name; those of the process when None.
    A UserError becomes one line on stderr and status 2, what the operating system refuses (a folder that cannot be
    written to, a full disk) one line and status 1, an interrupt one line and status 130. Where whoever reads our
    output has closed it, we end without a word, with status 1. Any other exception is a fault of ours and keeps its
    traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else USER_ERROR_STATUS
    if arguments[0] == "--version":
        print(f"ssm-sense {__version__}")
        return 0
    name = arguments[0]
    try:
        command = resolve(name)
        if name in RECURRENT and not {"-h", "--help"} & set(arguments):
            _warn_without_native()
        return command(arguments if name in TRAINING else arguments[1:]) or 0
    except UserError as error:
        print(f"ssm-sense: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR_STATUS
    except BrokenPipeError:
        # Python would complain of the closed pipe once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SYSTEM_ERROR_STATUS
    except OSError as error:
        if error.filename is None and error.errno not in DISK_FULL:
            raise
        place = "" if error.filename is None else f"{error.filename}: "
        print(f"ssm-sense: {place}{error.strerror}", file=sys.stderr)
        return SYSTEM_ERROR_STATUS
    except KeyboardInterrupt:
        print("ssm-sense: interrupted", file=sys.stderr)
        return INTERRUPTED_STATUS


def _warn_without_native() -> None:
    from ssm_sense import ops

    warning = ops.without_native()
    if warning is not None:
        print(f"ssm-sense: warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
