"""What the ops check where tensors enter: device, dtype and shape, with a message that names the argument."""

from collections.abc import Sequence

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
FLOATS = (*HALF, torch.float32, torch.float64)


def state_dtype(x: Tensor) -> torch.dtype:
    """float32 for half-precision x, x's own dtype otherwise."""
    return torch.float32 if x.dtype in HALF else x.dtype


def expect_input(op: str, x: object) -> Tensor:
    """x (batch, length, E), floating, no dimension empty. Raises ValueError."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{op}: x must be a tensor (batch, length, E), got {type(x).__name__}")
    if x.layout != torch.strided:
        raise ValueError(f"{op}: x must be a dense tensor, got layout {x.layout}")
    if x.dtype not in FLOATS:
        raise ValueError(f"{op}: x must be float16, bfloat16, float32 or float64, got {x.dtype}")
    if x.dim() != 3 or 0 in x.shape:
        raise ValueError(f"{op}: x must have shape (batch, length, E), each at least 1, got {tuple(x.shape)}")
    return x


def expect(
    op: str, name: str, value: object, letters: str, shape: tuple[int, ...], dtypes: Sequence[torch.dtype], x: Tensor
) -> None:
    """value is a tensor of this shape, of one of these dtypes, on x's device. Raises ValueError naming it."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{op}: {name} must be a tensor ({letters}), got {type(value).__name__}")
    if value.shape != shape:
        raise ValueError(f"{op}: {name} must have shape ({letters}) = {tuple(shape)}, got {tuple(value.shape)}")
    if value.layout != torch.strided:
        raise ValueError(f"{op}: {name} must be a dense tensor, got layout {value.layout}")
    if value.dtype not in dtypes:
        wanted = " or ".join(str(dtype) for dtype in dict.fromkeys(dtypes))
        raise ValueError(f"{op}: {name} must be {wanted} when x is {x.dtype}, got {value.dtype}")
    if value.device != x.device:
        raise ValueError(f"{op}: {name} must be on {x.device} as x is, got {value.device}")
