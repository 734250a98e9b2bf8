"""What produced a row: policy and settings, config, seed, commit, backend, device, versions."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ssm_sense.ops import backend
from ssm_sense.provenance import commit_of, package_versions


@dataclass(frozen=True)
class RunInfo:
    """The provenance that every row of a run carries.

    name: the run, unique in its folder. policy: the memory policy's name. settings: its settings and those of the
    evaluation, JSON values. config: the file or folder the model came from. blind: the model was shown a grey frame
    instead of the stream. scorer: a name of `metrics.score.SCORERS`.
    command: what was typed, for whoever wants the number again. flops: floating-point operations of a frame in the
    "vision" tower, to which a clip's rows add those in "memory"; empty where nobody counted.
    weights, questions: digests that name the model's weights and the table of questions; "" where nobody knows.
    """

    name: str
    policy: str
    seed: int
    config: str
    commit: str
    backend: str
    device: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    blind: bool = False
    scorer: str = "robust-2"
    command: str = ""
    flops: Mapping[str, int] = field(default_factory=dict)
    weights: str = ""
    questions: str = ""

    @classmethod
    def here(
        cls,
        name: str,
        policy: str,
        seed: int,
        config: str,
        device: torch.device | str = "cpu",
        settings: Mapping[str, Any] | None = None,
        blind: bool = False,
        scorer: str = "robust-2",
        command: str = "",
        flops: Mapping[str, int] | None = None,
        weights: str = "",
        questions: str = "",
    ) -> "RunInfo":
        """A run of this code on this machine: commit, backend, device and versions are looked up."""
        return cls(
            name=name,
            policy=policy,
            seed=seed,
            config=config,
            commit=commit_of(Path(__file__)),
            backend=backend(torch.device(device).type),
            device=describe_device(torch.device(device)),
            settings=dict(settings or {}),
            versions=package_versions(),
            blind=blind,
            scorer=scorer,
            command=command,
            flops=dict(flops or {}),
            weights=weights,
            questions=questions,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What must not change when a run is resumed: all but command, commit, backend, device, versions, flops, and
        digests that nobody knows."""
        digests = {"weights": self.weights, "questions": self.questions}
        return {
            "run": self.name,
            "policy": self.policy,
            "settings": dict(self.settings),
            "blind": self.blind,
            "config": self.config,
            "seed": self.seed,
            "scorer": self.scorer,
            **{name: digest for name, digest in digests.items() if digest},
        }

    @property
    def columns(self) -> dict[str, Any]:
        """The fields that a row takes from its run."""
        fields = asdict(self)
        return {"run": fields.pop("name"), **fields}


def describe_device(device: torch.device) -> str:
    """The device with its model, such as "cuda (NVIDIA H200)" or "cpu (x86_64, 2 threads)"."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"
    return device.type
