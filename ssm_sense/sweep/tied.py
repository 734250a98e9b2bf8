"""`python -m ssm_sense.sweep.tied MODULE WORD ...`: run a module that ends when its parent does, however that ends.

The parent holds the other end of standard input and writes nothing to it; when that closes, by the parent's will or by
its death, this process and its whole group are killed.
"""

import os
import runpy
import signal
import sys
import threading


def main(argv: list[str]) -> None:
    """Run the module that argv names, with the rest of it as its arguments."""
    threading.Thread(target=_end_with_parent, args=(os.dup(0),), daemon=True).start()
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent(pipe: int) -> None:
    while os.read(pipe, 4096):
        pass
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
