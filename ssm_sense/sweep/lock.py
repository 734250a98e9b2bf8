"""One sweep at a time in a folder: a second would not see which cells the first has begun, and run them too."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssm_sense.errors import UserError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep others out of a folder, which is made where it is missing, for as long as this process is inside.

    The lock ends with its process, however that ends. Raises UserError where another is inside.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            told = f"{folder}: expected a folder in which nothing runs, but another sweep works there"
            raise UserError(f"{told}; wait for it, or name another with --work") from error
        yield
