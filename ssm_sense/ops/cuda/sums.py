"""Partial sums of blocks, and the one launch that adds them in a fixed order (``kernels/sums.cuh``)."""

import torch
from torch import Tensor

from ssm_sense.ops.cuda.program import Launcher, Program, addresses

_JOBS = 8
_WORDS = 6


class Sums:
    """Hands out memory for partial sums and for their totals, then launches all the additions at once."""

    def __init__(self, program: Program, x: Tensor) -> None:
        self.program, self.x = program, x
        self.words: list[int] = []
        self.most = 0
        self.alive: list[Tensor] = []

    def over_first(self, parts: int, like: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """(parts, *like) to be added over the first dimension, and like's shape for the totals, in float32."""
        if like is None:
            return None, self.x.new_empty(0, dtype=torch.float32)
        return self._add(1, parts, like.numel(), torch.empty(like.shape, dtype=torch.float32, device=like.device))

    def over_tiles(self, tiles: int, like: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """(batch, tiles, ...) to be added over tiles, and the totals: B and C in x's dtype, scalars in float32."""
        if like is None:
            return None, self.x.new_empty(0, dtype=torch.float32)
        dtype = self.x.dtype if like.dim() == 3 else torch.float32
        total = torch.empty(like.shape, dtype=dtype, device=like.device)
        return self._add(like.shape[0], tiles, like[0].numel(), total)

    def _add(self, outer: int, count: int, inner: int, total: Tensor) -> tuple[Tensor, Tensor]:
        part = torch.empty(outer * count * inner, dtype=torch.float32, device=total.device)
        self.words += [*addresses(part, total), outer, count, inner, int(total.dtype != torch.float32)]
        self.most = max(self.most, total.numel())
        self.alive.append(part)
        return part, total

    def launch(self, launcher: Launcher) -> None:
        jobs = len(self.words) // _WORDS
        words = self.words + [0] * (_JOBS * _WORDS - len(self.words))
        blocks = min(-(-self.most // 256), 1 << 16)
        launcher.launch(self.program, "ssm_sums", (blocks, jobs), 256, 0, words, self.x.device)
