"""A folder takes one process at a time, and the next when that has ended, however it ended."""

import subprocess
import sys
from pathlib import Path

import pytest

from ssm_sense.errors import UserError
from ssm_sense.lock import alone_in

HOLD = """
import sys
from pathlib import Path
from ssm_sense.lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_a_second_is_told_and_goes_in_when_the_first_is_out(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with alone_in(folder):
        with pytest.raises(UserError, match=r"another process works there; wait for it$"), alone_in(folder):
            pass
        with alone_in(tmp_path):
            pass
    with alone_in(folder):
        pass


def test_of_several_folders_each_is_held_and_all_are_let_go(tmp_path: Path) -> None:
    rows, one, other = tmp_path / "rows", tmp_path / "one", tmp_path / "other"
    with alone_in(rows, one):
        with pytest.raises(UserError, match=f"{rows}: expected"), alone_in(other, rows):
            pass
        with alone_in(other):
            pass
    with alone_in(rows, rows / ".." / "rows"):
        pass


def test_another_process_is_kept_out_until_this_one_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(UserError, match="another process"), alone_in(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    with alone_in(tmp_path):
        pass
