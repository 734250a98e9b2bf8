"""A memory between a frame encoder and a linear reader: what it can hold, without vision tower and language model."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.bank import EventBank
from ssm_sense.nn.deltanet import DeltaEpisode
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.frame_bank import FrameBank
from ssm_sense.nn.lfp import surprise
from ssm_sense.state import State


class FrameEncoder(nn.Module):
    """A linear map and what two layers add to it. A norm of each frame would hide which frames hold more than a room.

    Args:
        vision_width: V.
        width: D.
    """

    def __init__(self, vision_width: int, width: int) -> None:
        super().__init__()
        self.straight = nn.Linear(vision_width, width, bias=False)
        nn.init.orthogonal_(self.straight.weight)
        self.bent = nn.Sequential(nn.Linear(vision_width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., V), of length about 1, to (..., D)."""
        x = x * x.shape[-1] ** 0.5
        return self.straight(x) + self.bent(x)


def surprise_within(frames_BEFV: Tensor) -> Tensor:
    """(B, E): the most that a frame of an event surprised who expected it to be like the one before it in that event.

    What an event's first frame surprises by is left out: that it begins is given. An event of one frame has 0.
    """
    wrong = surprise(frames_BEFV[:, :, :-1], frames_BEFV[:, :, 1:])
    return F.pad(wrong, (1, 0)).amax(2)


class LatentReader(nn.Module):
    """Watches events of F latents each, and answers questions by one linear map of what a probe finds.

    Events come whole, with true boundaries: their frames are the places of the memory's input, one step an event.
    For a memory that pools all places of all frames of an event, that is the same as frame after frame.

    Args:
        memory: any that stands in the episode's place.
        vision_width: V.
        needles: (K, V) codes in which it is asked where a needle stands.
        others: questions that are no needle's, each with a learned probe.
        places: answers to where.
        counts: the last so many of ``others`` are answered by a number.
        most: the highest number told apart.
    """

    def __init__(
        self,
        memory: Episode | EventBank | DeltaEpisode | FrameBank,
        vision_width: int,
        others: int,
        places: int,
        counts: int,
        most: int,
    ) -> None:
        super().__init__()
        width = memory.width
        self.memory, self.counts = memory, counts
        self.encoder = FrameEncoder(vision_width, width)
        self.others = nn.Parameter(torch.randn(others, width))
        self.probe_norm = nn.RMSNorm(width)
        if not isinstance(memory, FrameBank):
            # An event is at first pooled to the mean of its frames, in the space in which questions are asked.
            with torch.no_grad():
                memory.pool.value.weight.copy_(torch.eye(width).repeat(memory.tokens, 1))
        self.place = nn.Linear(memory.tokens * width, places)
        self.number = nn.Linear(memory.tokens * width, most + 1)

    def initial_state(self, streams: int) -> State:
        """Of B streams that have seen nothing."""
        return self.memory.initial_state(streams)

    def watch(self, frames_BEFV: Tensor, state: State) -> State:
        """E events on. The first of a stream closes no event, whatever its boundary says, for there was none."""
        events = torch.ones(frames_BEFV.shape[:2], dtype=torch.bool, device=frames_BEFV.device)
        begun = state["begun"] if "begun" in state else events.new_zeros(events.shape[0])
        events[:, 0] = begun
        inner = State({name: tensor for name, tensor in state.items() if name != "begun"})
        after = self.memory(self.encoder(frames_BEFV), events, inner, surprise_within(frames_BEFV))
        return after.replace(begun=torch.ones_like(begun))

    def answer(self, state: State, codes_RV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits: where each of R needles stands (B, R, places), and the others: places, then numbers.

        The event in progress is flushed into a copy.
        """
        inner = State({name: tensor for name, tensor in state.items() if name != "begun"})
        probes = self.probe_norm(torch.cat([self.encoder(codes_RV), self.others]))
        found = self.memory.read(self.memory.flush(inner), probes).flatten(2)
        needles, numbers = len(codes_RV), found.shape[1] - self.counts
        return (
            self.place(found[:, :needles]),
            self.place(found[:, needles:numbers]),
            self.number(found[:, numbers:]),
        )


def held_bytes(model: LatentReader, state: State) -> int:
    """Bytes of the memory of all streams together, the event in progress included."""
    if isinstance(model.memory, FrameBank):
        return model.memory.nbytes(state)
    return state.nbytes - (state["begun"].numel() if "begun" in state else 0)
