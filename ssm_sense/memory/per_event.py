"""The per-event reading of counts as a policy of its own, so that it is evaluated like any other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ssm_sense.memory.policy import Answer, Observation
from ssm_sense.memory.recurrent import RecurrentMemory
from ssm_sense.memory.registered import Running
from ssm_sense.state import State

if TYPE_CHECKING:
    from ssm_sense.model import SsmSense

_TALLY = "per_event.tally"


class PerEventMemory(RecurrentMemory):
    """Our memory, but an announced question is asked of each event by itself and the numbers are added.

    A question with options, and one that was not announced, is answered from the whole memory as ever.

    Args:
        model: in eval mode.
    """

    query_aware: ClassVar[bool] = True

    def __init__(self, model: "SsmSense") -> None:
        self.running: list[Running] = []
        super().__init__(model)

    def expect(self, questions: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Forget the stream and all questions, and be ready for these: pairs of prompt and options."""
        self.running = [Running(prompt) for prompt in dict.fromkeys(p for p, options in questions if not options)]
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the questions stay, with nothing counted."""
        super().reset()
        self.running = [Running(one.prompt) for one in self.running]

    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """One frame on; where an event or a stay in a place begins, the one before is asked about first."""
        before = self.state
        seen = super().observe(latents, surprise, t_s)
        if seen.parted:
            self.running = [one.ended(self.read_event(before, one.prompt)) for one in self.running]
        return seen

    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """The sum over all events, the one in progress included; from the whole memory where there is none."""
        for one in self.running:
            if one.prompt == prompt and not options:
                return Answer(str(one.ended(self.read_event(self.state, prompt)).total))
        return super().read(prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """The recurrent state, and of each question (total, events, unread)."""
        return {**super().state_dict(), _TALLY: self._tally}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError unless as many questions were announced as it counted for."""
        tally = state.get(_TALLY, torch.zeros(0, 3))
        if len(tally) != len(self.running):
            raise ValueError(f"expected the state of {len(self.running)} announced questions, got {len(tally)}")
        super().load_state_dict({name: tensor for name, tensor in state.items() if name != _TALLY})
        counts = [[int(n) for n in row] for row in tally.tolist()]
        self.running = [
            one._replace(total=total, events=events, unread=unread)
            for one, (total, events, unread) in zip(self.running, counts, strict=True)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes of the recurrent state and the tally."""
        return self.state.nbytes + State({_TALLY: self._tally}).nbytes

    @property
    def _tally(self) -> Tensor:
        rows = [(one.total, one.events, one.unread) for one in self.running]
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
