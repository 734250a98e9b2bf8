"""Which parts of a model are trained, and how fast."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from ssm_sense.errors import UserError


def train_only(model: nn.Module, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Freeze all of a loaded model but the parts that are named; return these as an optimizer's groups.

    Args:
        rates: from the name of a part to its learning rate. A name stands for the parameter or module that is called
            so, and all below it; ``*`` stands for any letters: ``language``, ``*_connector``, ``encoder.blocks.0``. A
            parameter goes with the first name that fits.

    Raises:
        UserError: for a name that no parameter goes with, or only such as are frozen already, as a language model is
            with ``freeze``.
    """
    groups: dict[str, dict[str, Any]] = {name: {"params": [], "lr": rate, "name": name} for name, rate in rates.items()}
    for name, parameter in model.named_parameters():
        part = next((p for p in rates if fnmatchcase(name, p) or fnmatchcase(name, f"{p}.*")), None)
        if part is None:
            parameter.requires_grad_(False)
        elif parameter.requires_grad:
            groups[part]["params"].append(parameter)
    for name, group in groups.items():
        if not group["params"]:
            parts = ", ".join(dict.fromkeys(n.split(".")[0] for n, _ in model.named_parameters()))
            raise UserError(f"model.rates: nothing that can be trained is called {name!r}; the parts are {parts}")
    return list(groups.values())
