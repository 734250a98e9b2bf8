"""Low-rank adapters on a language model (LoRA, Hu et al. 2021, arXiv 2106.09685), by peft."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ssm_sense.errors import UserError


@dataclass(frozen=True)
class Lora:
    """Adapters of rank r beside linear layers: W x + (alpha / rank) · B A x, with A and B trained and W frozen.

    rank: r.
    alpha: what the adapters' output is scaled by, times the rank.
    dropout: on the adapters' input; above 0, a run that is resumed draws other numbers than it would have.
    targets: names of the layers, such as [q_proj, v_proj]; None takes every linear layer but the last.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: list[str] | None = None


def adapt(lm: PreTrainedModel, lora: Lora) -> None:
    """Put adapters into a model, in float32, and freeze all else; B begins at 0, so nothing changes yet.

    Raises UserError where peft is not installed, or no layer has such a name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError(f"lora: expected peft, which `pip install ssm-sense[lora]` brings ({error})") from error
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # a float is scaled by just as well
        lora_dropout=lora.dropout,
        target_modules=lora.targets if lora.targets is not None else "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        inject_adapter_in_model(config, lm)
    except ValueError as error:
        raise UserError(f"lora: {error}") from error
    for name, parameter in lm.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if "lora_" in name:
            parameter.data = parameter.data.float()


def merged(lm: PreTrainedModel) -> PreTrainedModel:
    """A model on the CPU in which the adapters are part of the weights; the one given stays as it is."""
    from peft.tuners.lora import LoraLayer

    weights: dict[str, Tensor] = {}
    layers: dict[str, Any] = {name: layer for name, layer in lm.named_modules() if isinstance(layer, LoraLayer)}
    for name, tensor in lm.state_dict().items():
        if "lora_" in name:
            continue
        owner, _, kind = name.rpartition(".base_layer.")
        if owner in layers and kind == "weight":
            delta = layers[owner].get_delta_weight("default")
            tensor = (tensor.float() + delta.float()).to(tensor.dtype)
        weights[name.replace(".base_layer.", ".")] = tensor.detach().cpu()
    with torch.device("meta"):
        plain = type(lm)(lm.config)
    plain.load_state_dict(weights, assign=True)
    plain.tie_weights()
    plain.generation_config = lm.generation_config
    return plain
