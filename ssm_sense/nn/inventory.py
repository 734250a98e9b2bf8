"""What of K kinds of things a stream has shown: in view, seen at this place, how many of them, and how many so far."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.peak_pool import PeakPool
from ssm_sense.nn.places import Places
from ssm_sense.nn.rates import Rates
from ssm_sense.state import State

ROWS = ("so far", "here", "seen here", "in view")
"""What is kept of each kind: two counts, and how likely it was seen at this place, and is in view now."""
COUNTS = 2
"""The first rows are counts, the others probabilities."""
_QUIET = -3.0
"""Bias under which an event holds, and a location shows, about .05 of everything before anything is learned."""
_YES = 5.0
"""Weight of a yes beside a no: of forty kinds few are in view, but it is asked of those as often as of others."""
_COUNT = 4.0
"""Weight of counts beside yes and no."""
_EPSILON = 1e-6


class Inventory(nn.Module):
    """K kinds of things, looked for at every location of every frame, and added up over the places that were seen.

    A frame's latents are read location by location: whether a kind is in view is what all locations say together. What
    a stay in a place showed is read from the maxima of what all its locations showed, in whatever order: a frame seen
    twice adds nothing. A place holds what its stays showed on the whole: a room seen again is not counted again
    (`Places`, which says where stays end; before that is calibrated they end with events). There were as many so far as
    all places held, those included that were forgotten; what is read of that is corrected for how often the stream
    meets a kind at all, where that was calibrated (`Rates`).

    It looks by itself, not through the temporal encoder, whose features tell events apart, and are worse at that when
    they are also taught to count.

    Args:
        vision_width: V of the latents.
        locations: S.
        kinds: K.
        width: features of a location, and of an event.
        kept: places that are known again.
    """

    def __init__(self, vision_width: int, locations: int, kinds: int, width: int = 256, kept: int = 128) -> None:
        super().__init__()
        if kinds < 1:
            raise ValueError(f"kinds: expected 1 or more, got {kinds}")
        self.kinds = kinds
        self.place = nn.Parameter(torch.zeros(locations, vision_width))
        self.look = nn.Linear(vision_width, width)
        self.in_view = nn.Linear(width, kinds)
        self.pool = PeakPool(width, 1)
        self.up = nn.Linear(width, width)
        self.held = nn.Linear(width, kinds)
        self.seen = nn.Linear(width, kinds)
        self.places = Places(vision_width, locations, kinds, kept)
        self.rates = Rates(kinds)
        for quiet in (self.held, self.in_view):
            nn.init.constant_(quiet.bias, _QUIET)

    def initial_state(self, streams: int) -> State:
        """``peak`` (B, D), ``sums`` (B, W) and ``frames`` (B,) of the stay in progress, ``places.…``, and counts.

        Those are ``forgotten`` (B, K), what places held that are kept no more, ``rates.…`` of them, and ``now``
        (B, 4, K), the newest rows.
        """
        blank = self.place.new_zeros
        return State.join(
            {
                "peak": self.pool.initial_state(streams)["peak"],
                "sums": blank(streams, self.places.width),
                "frames": blank(streams),
                "places": self.places.initial_state(streams),
                "forgotten": blank(streams, self.kinds),
                "rates": self.rates.initial_state(streams),
                "now": blank(streams, len(ROWS), self.kinds),
            }
        )

    def forward(self, x_BTSV: Tensor, boundary_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Standardised latents and where events begin, to the `ROWS` after each frame (B, T, 4, K), and the state.

        The rows are as they are learned from the truth, without correction.
        """
        h = F.gelu(self.look(x_BTSV + self.place))
        view = torch.sigmoid(self.in_view(h).logsumexp(2))
        with torch.no_grad():  # Places learn from their own loss alone.
            described, unlike = self.places.describe(x_BTSV), self.places.unlike
            begins_BT, sums, frames = self.places.stays(described, boundary_BT, state["sums"], state["frames"], unlike)
        peak = self.pool.peaks(h, begins_BT, state)
        begun = begins_BT.any(0).nonzero().squeeze(1).tolist()
        rows, ledger = [], (state.sub("places"), state["forgotten"], state.sub("rates"))
        last = state["peak"], state["sums"], state["frames"]
        starts = sorted({0, *begun})
        sizes = [stop - start for start, stop in pairwise([*starts, x_BTSV.shape[1]])]
        for start, *event in zip(starts, *(part.split(sizes, 1) for part in (peak, sums, frames)), strict=True):
            if start in begun:
                ledger = self._leave(begins_BT[:, start], *last, *ledger)
            rows.append(self._rows(event[0], event[1], event[2], *ledger[:2]))
            last = event[0][:, -1], event[1][:, -1], event[2][:, -1]
        found = torch.cat([torch.cat(rows, dim=1), view.unsqueeze(2)], dim=2)
        after: dict[str, State | Tensor] = {
            "peak": last[0],
            "sums": last[1],
            "frames": last[2],
            **dict(zip(("places", "forgotten", "rates"), ledger, strict=True)),
            "now": found[:, -1],
        }
        return found, State.join(after)

    def _leave(
        self, left_B: Tensor, peak: Tensor, sums: Tensor, frames: Tensor, places: State, forgotten: Tensor, rates: State
    ) -> tuple[State, Tensor, State]:
        """The places, and what is forgotten, after the stays in progress ended where ``left_B``."""
        at = self.places.recognise(sums.unsqueeze(1), places)
        held = self.places.joined(self._hold(peak)[0].unsqueeze(1), frames.unsqueeze(1), at, places)[:, 0]
        left = (left_B & (frames > 0)).to(peak.dtype)
        gone, after = self.places.leave(left, at[:, 0], sums, frames, held, places)
        return after, forgotten + gone, self.rates.forget(gone, (gone > 0).any(1), rates)

    def _rows(self, peak_BTD: Tensor, sums_BTW: Tensor, frames_BT: Tensor, places: State, forgotten: Tensor) -> Tensor:
        """All `ROWS` but the last, (B, T, 3, K)."""
        held, seen = self._hold(peak_BTD)
        at = self.places.recognise(sums_BTW, places)
        before, here = self.places.held(at, places), self.places.joined(held, frames_BT, at, places)
        elsewhere = (forgotten + places["held"].to(held).sum(1)).unsqueeze(1) - before
        return torch.stack([elsewhere + here, here, torch.maximum(seen, before.clamp(max=1))], dim=2)

    def _hold(self, peak: Tensor) -> tuple[Tensor, Tensor]:
        """How many of each kind, and how likely any: (..., K) each."""
        event = F.gelu(self.up(self.pool.norm(peak)))
        return F.softplus(self.held(event)), torch.sigmoid(self.seen(event))

    def read(self, state: State) -> Tensor:
        """The `ROWS` after the newest frame: (B, 4, K). Of kinds whose usual rate is known the counts are corrected."""
        now = state["now"]
        counts = torch.stack(self.rates.count(*self.held_by_places(state), state.sub("rates")), dim=1)
        return torch.cat([torch.where(self.rates.known, counts, now[:, :COUNTS]), now[:, COUNTS:]], dim=1)

    def held_by_places(self, state: State) -> tuple[Tensor, Tensor]:
        """What the places that are kept hold, uncorrected, this one last: (B, M + 1, K); which there are (B, M + 1)."""
        places = state.sub("places")
        at = self.places.recognise(state["sums"].unsqueeze(1), places)[:, 0]
        held = torch.cat([places["held"].to(state["now"]), state["now"][:, 1:COUNTS]], dim=1)
        return held, torch.cat([(places["frames"] > 0) & (at == 0), state["frames"].unsqueeze(1) > 0], dim=1)

    def alone(self, state: State) -> State:
        """A copy that remembers no stay but the one in progress."""
        blank = self.initial_state(len(state["now"]))
        peak, sums, frames = (state[name].unsqueeze(1) for name in ("peak", "sums", "frames"))
        rows = self._rows(peak, sums, frames, blank.sub("places"), blank["forgotten"])
        now = torch.cat([rows[:, 0], state["now"][:, -1:]], dim=1)
        return blank.replace(**{name: state[name] for name in ("peak", "sums", "frames")}, now=now)


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
