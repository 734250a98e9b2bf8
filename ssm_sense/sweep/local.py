"""Several cells at a time on this machine: a thread for each, which waits for the cell's processes."""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from ssm_sense.sweep.cell import Place, run_cell
from ssm_sense.sweep.plan import Cell


def run_here(
    cells: Sequence[Cell], place: Place, workers: int, begun: Callable[[Cell], None] = lambda _: None
) -> Generator[dict[str, Any]]:
    """Run the cells, `workers` at a time, and yield each one's line as it ends.

    begun: told of each cell as it begins. Whatever ends the iteration ends the cells' processes.
    """
    stop = threading.Event()

    def run(cell: Cell) -> dict[str, Any]:
        begun(cell)
        return run_cell(cell, place, stop)

    with ThreadPoolExecutor(workers) as pool:
        left: set[Future[dict[str, Any]]] = {pool.submit(run, cell) for cell in cells}
        try:
            while left:
                done, left = wait(left, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
