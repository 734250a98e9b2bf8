"""One at a time where rows are kept: a second sweep or evaluation would run the same again, and lose rows."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ssm_sense.errors import UserError


@contextmanager
def alone_in(*folders: Path) -> Iterator[None]:
    """Keep others out of folders, which are made where they are missing, for as long as this process is inside.

    The locks end with their process, however that ends. Raises UserError where another is inside one of them.
    """
    with ExitStack() as held:
        for folder in {folder.resolve(): folder for folder in folders}.values():
            folder.mkdir(parents=True, exist_ok=True)
            file = held.enter_context(open(folder / ".lock", "w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                told = f"{folder}: expected a folder in which nothing runs, but another process works there"
                raise UserError(f"{told}; wait for it") from error
        yield
