"""What a cell's numbers were made on: backend, device, versions."""

import platform
from functools import cache

from ssm_sense.provenance import package_versions


@cache
def machine() -> dict[str, object]:
    """Of this machine, by the names of a row's fields."""
    import torch

    from ssm_sense import ops

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.cuda.get_device_name() if kind == "cuda" else platform.machine()
    return {"backend": ops.backend(kind), "device": f"{kind} ({device})", "versions": package_versions()}
