"""The same cells on a Ray of this machine's own."""

import builtins
import importlib.util

import pytest

from ssm_sense.errors import UserError
from ssm_sense.sweep.cluster import check_fits, run_on_ray
from ssm_sense.sweep.local import run_here


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: run it on Python 3.14 or older")
def test_ray_gives_the_lines_that_this_machine_gives(plan, place) -> None:
    made = plan(grid={"value": [1, 2], "mode": {"plain": "ok", "broken": "fail"}}, seeds=[0])
    ours = list(run_here(made.cells, place(made), 1))
    theirs = list(run_on_ray(made.cells, place(made), "local", workers=2))

    def plainly(lines):
        # A commit may be made while the test runs.
        known = ({**line, "seconds": None, "commit": None} for line in lines)
        return sorted(known, key=lambda line: line["cell"])

    assert plainly(theirs) == plainly(ours)
    assert sum(line["error"] is not None for line in theirs) == 2


def test_a_cell_that_fits_nowhere_is_refused() -> None:
    check_fits({"CPU": 2.0}, 2, 0)
    with pytest.raises(UserError, match="a cell wants 1 GPU, the cluster has 0"):
        check_fits({"CPU": 2.0}, 1, 1)
    with pytest.raises(UserError, match="a cell wants 4 CPU, the cluster has 2"):
        check_fits({"CPU": 2.0}, 4, 0)


def test_without_ray_it_is_said_how_to_get_it(plan, place, monkeypatch) -> None:
    importing = builtins.__import__

    def refuse(name, *rest):
        if name == "ray":
            raise ImportError("no ray")
        return importing(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    made = plan()
    with pytest.raises(UserError, match=r"pip install 'ssm-sense\[ray\]'"):
        next(run_on_ray(made.cells, place(made), "local", 1))
