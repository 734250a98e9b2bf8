"""Worker processes that do not outlive the process that started them, nor hear the interrupt that is meant for it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable
from multiprocessing.process import BaseProcess


def start(crew: Iterable[BaseProcess]) -> None:
    """Start workers that ignore Ctrl-C from their first moment, while they still import."""
    if threading.current_thread() is not threading.main_thread():  # where signals cannot be set
        for process in crew:
            process.start()
        return
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for process in crew:
            process.start()
    finally:
        signal.signal(signal.SIGINT, heard)


def end_with_parent() -> None:
    """Called by a worker: it ignores Ctrl-C, and ends when the process that started it is gone, even by `kill -9`.

    Raises RuntimeError in a process that `multiprocessing` did not start.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent: expected a process that multiprocessing started")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
