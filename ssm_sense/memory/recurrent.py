"""Our model as a memory policy: all it holds is the recurrent state."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ssm_sense.memory.policy import Answer, Held, Observation, Sighting, answer
from ssm_sense.nn.sightings import in_order
from ssm_sense.state import State

if TYPE_CHECKING:
    from ssm_sense.model import SsmSense

_STAY = "inventory.frames"
"""Of the state: how many frames the stay in progress has."""


class RecurrentMemory:
    """Streams one video through `SsmSense`, frame by frame, in exact closed loop.

    Args:
        model: in eval mode, with its language model loaded, by the time the first question comes.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True

    def __init__(self, model: "SsmSense") -> None:
        self.model = model
        self.reset()

    @torch.inference_mode()
    def reset(self) -> None:
        """Forget the stream."""
        self.state = self.model.initial_state(1)

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """One frame on; the surprise is the model's own."""
        seconds = torch.tensor([[t_s]], dtype=torch.float64, device=latents.device)
        frames = self.state.get(_STAY)
        trace, self.state = self.model.observe(latents[None, None], seconds, self.state)
        decision = trace.decision
        moved = None if frames is None else bool((frames > 0) & (self.state[_STAY] == 1))
        return Observation(float(trace.surprise.mean()), float(decision.gate.mean()), bool(decision.boundary), moved)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the state; asking changes no byte of it."""
        return answer(self.model.language, self.model.prefix(self.state, prompt), prompt, options)

    @torch.inference_mode()
    def read_event(self, state: State, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer as if the event in progress in ``state``, one of this memory's, were all that was ever seen."""
        return answer(self.model.language, self.model.prefix(self.model.alone(state), prompt), prompt, options)

    @torch.inference_mode()
    def inventory(self) -> dict[str, Held]:
        """Of each concept of the model's what was seen of it; empty where it keeps no inventory."""
        if self.model.inventory is None:
            return {}
        rows = self.model.inventory.read(self.state.sub("inventory"))[0]
        return {name: Held(*row) for name, row in zip(self.model.concepts, rows.T.tolist(), strict=True)}

    def sightings(self) -> list[Sighting]:
        """Of each thing that the model seeks the surest, one a moment, in order of time; empty where it seeks none."""
        if self.model.sightings is None:
            return []
        tables = self.model.sightings.read(self.state.sub("sightings"))[0, ..., 0].unbind(1)
        found = [
            Sighting(thing, self.model.concepts[place], float(when[place]), float(sure[place]))
            for thing, (sure, when) in zip(self.model.sought, tables, strict=True)
            for place in in_order(sure, when, len(sure)).tolist()
        ]
        return sorted(found, key=lambda one: one.t_s)

    def state_dict(self) -> Mapping[str, Tensor]:
        """The recurrent state."""
        return dict(self.state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError if it is of another shape of model."""
        expected = {k: v.shape for k, v in self.model.initial_state(1).items()}
        found = {k: v.shape for k, v in state.items()}
        if expected != found:
            wrong = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
            raise ValueError(f"expected the state of this model, got one that differs in {', '.join(wrong)}")
        self.state = State(state).to(self.model.scale.mean.device)

    @property
    def nbytes(self) -> int:
        """Bytes of the recurrent state."""
        return self.state.nbytes
