"""How a scan is laid on threads: lanes a channel, channels a block, segments of the length; see kernels/README.md.

Sizes of shared memory repeat what the kernels lay out there; the tests' guard behind it would notice a difference.
"""

from dataclasses import dataclass

from ssm_sense.ops.lean import CHUNK

MOST_STATES = 256
_FORWARD_THREADS = 128
_FORWARD = {1: (1, 1), 2: (1, 2), 4: (1, 4), 8: (2, 4), 16: (4, 4), 32: (8, 4), 64: (8, 8), 128: (16, 8), 256: (16, 16)}
_BACKWARD = {
    1: (1, 1),
    2: (1, 2),
    4: (1, 4),
    8: (2, 4),
    16: (4, 4),
    32: (8, 4),
    64: (16, 4),
    128: (32, 4),
    256: (32, 8),
}
# A channel on one lane needs no shuffles, but gives fewer threads: for where batch x channels fill the device.
_ONE_LANE = (1, 16)
_SHORTEST_SEGMENT = 4  # Chunks.


@dataclass(frozen=True)
class Layout:
    """``lanes`` x ``states`` hold a channel's states; a block of ``threads`` holds threads/lanes channels."""

    lanes: int
    states: int
    threads: int
    tiles: int

    @property
    def channels(self) -> int:
        """Of a block."""
        return self.threads // self.lanes


def _padded(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _fit(channels: int, lanes: int, states: int, most_threads: int) -> Layout:
    """As many blocks as channels need at this size, none of them much emptier than the others."""
    tiles = -(-channels // (most_threads // lanes))
    threads = -(-(-(-channels // tiles) * lanes) // 32) * 32
    return Layout(lanes, states, threads, -(-channels // (threads // lanes)))


def forward_layout(batch: int, channels: int, n: int, filling: int) -> Layout:
    """Raises ValueError for more than 256 states."""
    lanes, states = _FORWARD[_expect_states(n)]
    if (lanes, states) == _FORWARD[16] and batch * channels >= filling:
        lanes, states = _ONE_LANE
    return _fit(channels, lanes, states, _FORWARD_THREADS)


def backward_layout(channels: int, n: int, shared_limit: int) -> Layout:
    """The largest blocks whose shared memory is granted. Raises ValueError for more than 256 states."""
    lanes, states = _BACKWARD[_expect_states(n)]
    most_threads = 256 if states > 4 or lanes < 4 else 384
    while True:
        layout = _fit(channels, lanes, states, most_threads)
        if backward_shared_bytes(layout) <= shared_limit:
            return layout
        if most_threads <= 32:
            raise RuntimeError(f"a scan of {n} states needs more shared memory than the {shared_limit} bytes here")
        most_threads = max(32, most_threads // 64 * 32)


def segments(batch: int, length: int, layout: Layout, filling: int) -> tuple[int, int]:
    """(how many, steps in each): more than one only where the blocks would leave most of the device idle.

    A cut costs a second pass over the length, so it must at least double the threads.
    """
    chunks = -(-length // CHUNK)
    running = batch * layout.tiles * layout.threads
    wanted = filling // (2 * running)
    count = max(1, min(wanted, chunks // _SHORTEST_SEGMENT))
    if count < 2:
        return 1, chunks * CHUNK
    each = -(-chunks // count)
    return -(-chunks // each), each * CHUNK


def forward_shared_bytes(layout: Layout) -> int:
    """Of ``ssm_scan`` and ``ssm_scan_ends``: B, C, gate and keep of a tile, the moves of an exchange."""
    padded, steps = layout.lanes * layout.states, max(4, layout.lanes)
    tile = CHUNK if padded <= 64 else steps
    return 4 * (2 * tile * padded + 2 * tile) + 16 * steps * layout.channels


def adjoint_shared_bytes(layout: Layout) -> int:
    """Of ``ssm_adjoint_ends``."""
    return 4 * (CHUNK * layout.lanes * layout.states + 2 * CHUNK) + 16 * CHUNK * layout.channels


def backward_shared_bytes(layout: Layout) -> int:
    """Of ``ssm_scan_gradient``: a chunk's B, C, gate, keep and moves, states and totals by thread, sums by warp."""
    padded, rounds = layout.lanes * layout.states, CHUNK // 4
    by_thread = rounds * layout.states + 2 * (layout.states + 2)
    floats = 2 * CHUNK * padded + 2 * CHUNK + by_thread * layout.threads
    return 4 * floats + 16 * CHUNK * layout.channels + 4 * (layout.threads // 32) * (8 * padded + 8)


def _expect_states(n: int) -> int:
    if n > MOST_STATES:
        raise ValueError(f"selective_scan: A must have at most {MOST_STATES} states on CUDA, got N = {n}")
    return _padded(n)
