"""The same cells as Ray tasks, on a Ray started here or on a cluster that runs already.

Every machine must see this code, and the current folder, at the same path. Commit, backend and device in a cell's
line are those of the machine that it ran on.
"""

import logging
import os
from collections.abc import Generator, Sequence
from typing import Any

from ssm_sense.errors import UserError
from ssm_sense.sweep.cell import Place, run_cell
from ssm_sense.sweep.plan import Cell

_OBJECT_STORE_BYTES = 100 << 20  # a cell's line is all that a task hands over
LOCAL = "local"
"""The address that stands for a Ray of our own, ended with the sweep."""


def run_on_ray(
    cells: Sequence[Cell], place: Place, address: str, workers: int, cpus: float = 1, gpus: float = 0
) -> Generator[dict[str, Any]]:
    """Run the cells as Ray tasks and yield each one's line as it ends; Ray decides how many at a time.

    address: of a running cluster ("auto" for the one on this machine, "HOST:PORT", "ray://HOST:PORT"), or "local" for
    one of our own with `workers` times `cpus` CPUs. cpus, gpus: what one cell takes.

    Raises UserError if Ray is not installed or the cluster cannot be reached or has no such machine.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--ray: expected the package ray (pip install 'ssm-sense[ray]'): {error}") from error

    ours = address == LOCAL
    try:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
        if ours:
            n_cpus = max(1, round(workers * cpus))
            ray.init(LOCAL, num_cpus=n_cpus, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **quiet)
        else:
            ray.init(address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"--ray {address}: {error}") from error
    try:
        check_fits(ray.cluster_resources(), cpus, gpus)
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(run_cell)
        left = {task.remote(cell, place): cell for cell in cells}
        try:
            while left:
                done, _ = ray.wait(list(left))
                cell = left.pop(done[0])
                try:
                    line = ray.get(done[0])
                except ray.exceptions.RayError as error:
                    line = _lost(cell, error)
                yield line
        finally:
            for reference in left:
                ray.cancel(reference, force=True)  # whose processes end with their parent, see `tied`
    finally:
        ray.shutdown()


def check_fits(resources: dict[str, float], cpus: float, gpus: float) -> None:
    """Raise UserError for a cell that wants more than there is: as a task, it would wait for ever."""
    for name, wanted in (("CPU", cpus), ("GPU", gpus)):
        if wanted > resources.get(name, 0):
            raise UserError(f"--ray: a cell wants {wanted:g} {name}, the cluster has {resources.get(name, 0):g}")


def _lost(cell: Cell, error: Exception) -> dict[str, Any]:
    """The line of a cell whose machine or worker died."""
    words = str(error).strip().splitlines() or [type(error).__name__]
    why = f"Ray lost the cell: {words[-1]}"
    return {"cell": cell.name, "grid": dict(cell.grid), "seed": cell.seed, "result": None, "error": why}
