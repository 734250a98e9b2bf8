"""`ssm-sense info`: what is installed, what runs the recurrence, and on which device."""

import argparse
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "torch", "lightning", "transformers", "torchmetrics", "safetensors", "av", "decord", "numba", "numpy", "pyarrow",
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Print one line for each fact, for a person or a bug report."""
    argparse.ArgumentParser(prog="ssm-sense info", description=__doc__).parse_args(argv)
    import torch

    from ssm_sense import __version__, ops

    devices = [f"cpu ({platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads)"]
    devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    facts = {
        "ssm-sense": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        **{package: _installed(package) for package in PACKAGES},
        "backend": f"{ops.backend()} (of {', '.join(ops.available())})",
        **({"on cuda": f"{ops.backend('cuda')} (of {', '.join(ops.available('cuda'))})"} if devices[1:] else {}),
        "devices": ", ".join(devices),
    }
    for name, fact in facts.items():
        print(f"{name:<13} {fact}")
    return 0


def _installed(package: str) -> str:
    """A package's version, by its metadata: importing them all would take seconds."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
