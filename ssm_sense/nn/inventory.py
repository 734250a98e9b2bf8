"""What of K kinds of things a stream has shown: in view, seen in this event, how many of them, and how many so far."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.peak_pool import PeakPool
from ssm_sense.state import State

ROWS = ("so far", "here", "seen here", "in view")
"""What is kept of each kind: two counts, and how likely it was seen in the event in progress, and is in view now."""
COUNTS = 2
"""The first rows are counts, the others probabilities."""
_QUIET = -3.0
"""Bias under which an event holds, and a place shows, about .05 of everything before anything is learned."""
_YES = 5.0
"""Weight of a yes beside a no: of forty kinds few are in view, but it is asked of those as often as of others."""
_COUNT = 4.0
"""Weight of counts beside yes and no."""
_EPSILON = 1e-6


class Inventory(nn.Module):
    """K kinds of things, looked for at every place of every frame, and added up over events.

    A frame's latents are read place by place: whether a kind is in view is what all places say together. What an event
    held is read from the maxima of what all its places showed, in whatever order: a frame seen twice adds nothing.
    Where an event ends, how many it held is added to a sum that is never reset, exact however many events there were;
    a room that comes back is counted again. It looks by itself, not through the temporal encoder, whose features tell
    events apart, and are worse at that when they are also taught to count.

    Args:
        vision_width: V of the latents.
        places: S.
        kinds: K.
        width: features of a place, and of an event.
    """

    def __init__(self, vision_width: int, places: int, kinds: int, width: int = 256) -> None:
        super().__init__()
        if kinds < 1:
            raise ValueError(f"kinds: expected 1 or more, got {kinds}")
        self.kinds = kinds
        self.place = nn.Parameter(torch.zeros(places, vision_width))
        self.look = nn.Linear(vision_width, width)
        self.in_view = nn.Linear(width, kinds)
        self.pool = PeakPool(width, 1)
        self.up = nn.Linear(width, width)
        self.held = nn.Linear(width, kinds)
        self.seen = nn.Linear(width, kinds)
        for quiet in (self.held, self.in_view):
            nn.init.constant_(quiet.bias, _QUIET)

    def initial_state(self, streams: int) -> State:
        """``pool.…``, the event in progress; ``ended`` (B, K), sums; ``now`` (B, 3, K), the other newest rows."""
        blank = self.place.new_zeros(streams, len(ROWS) - 1, self.kinds, dtype=torch.float32)
        return State.join({"pool": self.pool.initial_state(streams), "ended": blank[:, 0].clone(), "now": blank})

    def forward(self, x_BTSV: Tensor, boundary_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Standardised latents and where events begin, to the `ROWS` after each frame (B, T, 4, K), and the state."""
        h = F.gelu(self.look(x_BTSV + self.place))
        view = torch.sigmoid(self.in_view(h).logsumexp(2))
        pooled, pool = self.pool(h, boundary_BT, state.sub("pool"))
        event = F.gelu(self.up(pooled.squeeze(2)))
        here = F.softplus(self.held(event))
        now = torch.stack([here, torch.sigmoid(self.seen(event)), view], dim=2).float()
        before = torch.cat([state["now"][:, :1], now[:, :-1, 0]], dim=1)
        ended = torch.cat([state["ended"].unsqueeze(1), before * boundary_BT.unsqueeze(-1)], dim=1).cumsum(1)[:, 1:]
        rows = torch.cat([(ended + now[:, :, 0]).unsqueeze(2), now], dim=2)
        return rows, State.join({"pool": pool, "ended": ended[:, -1], "now": now[:, -1]})

    def read(self, state: State) -> Tensor:
        """The `ROWS` after the newest frame: (B, 4, K)."""
        now = state["now"]
        return torch.cat([(state["ended"] + now[:, 0]).unsqueeze(1), now], dim=1)

    def alone(self, state: State) -> State:
        """A copy that remembers no event but the one in progress."""
        return state.replace(ended=torch.zeros_like(state["ended"]))


def inventory_loss(found: Tensor, true: Tensor) -> Tensor:
    """How wrong the `ROWS` are: (..., 4, K) each, the truth negative where nobody knows.

    Of counts about relatively, the smooth L1 of log(1 + n); of yes and no the cross-entropy, a yes weighing as many
    times a no as makes one half the place to divide them where yes and no are asked of equally often.
    """
    known = true >= 0
    counts, answers = (part.clamp_min(0).float() for part in true.tensor_split([COUNTS], dim=-2))
    number, likely = found.float().tensor_split([COUNTS], dim=-2)
    wrong = F.smooth_l1_loss(torch.log1p(number), torch.log1p(counts), reduction="none", beta=0.1)
    likely = likely.clamp(_EPSILON, 1 - _EPSILON)
    unlikely = -(_YES * answers * likely.log() + (1 - answers) * torch.log1p(-likely))
    each = torch.cat([_COUNT * wrong, unlikely], dim=-2)
    return torch.where(known, each, 0.0).sum() / known.sum().clamp_min(1)
