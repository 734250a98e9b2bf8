"""Where segments begin, worked by hand."""

import math

import pytest
import torch

from ssm_sense.memory.cuts import DepthCuts, EverySeconds, ShotCuts, SurpriseCuts
from ssm_sense.nn.sources import AdjacentDifference
from ssm_sense.state import State


def begins(cuts, latents, told=None, seconds=None) -> list[int]:
    """Frames that begin a segment."""
    seconds = seconds or range(len(latents))
    told = told or [None] * len(latents)
    return [t for t, (x, w, s) in enumerate(zip(latents, told, seconds, strict=True)) if cuts.next(x, w, s).begins]


def test_every_so_many_seconds_from_the_cut_before(latents) -> None:
    assert begins(EverySeconds(3.0), latents[:10]) == [3, 6, 9]
    assert begins(EverySeconds(3.0), latents[:6], seconds=[0.0, 2.5, 3.5, 6.0, 6.5, 9.5]) == [2, 4, 5]
    with pytest.raises(ValueError, match="every_s: expected more than 0"):
        EverySeconds(0.0)


def test_above_the_threshold_and_never_at_the_first_frame(latents) -> None:
    told = [0.9, 0.38, 0.39, 0.4, 0.4, 0.1, 0.9]
    assert begins(SurpriseCuts(), latents[:7], told) == [3, 4, 6]
    same = latents[[0, 0, 0, 1, 1, 2]]
    assert begins(SurpriseCuts(), same) == begins(SurpriseCuts(AdjacentDifference(9, 12)), same) == [3, 5]


def test_shot_cuts_do_not_mind_steady_motion(latents) -> None:
    """The score of each frame is its step: 1 each, then 10; nothing is decided before two steps are known."""
    at = torch.tensor([0.0, 1.0, 2.0, 3.0, 13.0, 14.0, 15.0, 16.0, 17.0])
    moving = at[:, None, None].expand(-1, 9, 12)
    assert begins(ShotCuts(), moving) == [4]
    assert begins(ShotCuts(), moving, told=[1.0] * 9) == [4]
    # Twice the average is no cut at a ratio of 3, and one at 1.5.
    jump = torch.tensor([0.0, 1.0, 2.0, 3.0, 5.0])[:, None, None].expand(-1, 9, 12)
    assert (begins(ShotCuts(), jump), begins(ShotCuts(ratio=1.5), jump)) == ([], [4])


def test_depth_by_hand() -> None:
    """Frames are directions in a plane; s is the cosine of the step between neighbours."""
    steps = [0.5, 0.4, 0.3, 1.2, 0.3, 0.4]
    angles = [sum(steps[:i]) for i in range(7)]
    frames = torch.tensor([[[math.cos(a), math.sin(a)]] * 4 for a in angles])
    s = [math.cos(step) for step in steps]
    # Going back from each without a descent: up to the third s rises, so the depth is 0; the fourth falls to .36 from a
    # peak of .955; the fifth rises to that peak; the sixth falls from it a little.
    depths = [0.0, 0.0, 0.0, s[2] - s[3], 0.0, s[4] - s[5]]
    cuts = DepthCuts()
    seen = [cuts.next(frame, None, 0.0) for frame in frames]
    assert math.isnan(seen[0].surprise)
    assert [one.surprise for one in seen[1:]] == pytest.approx(depths, abs=1e-5)
    # mean + deviation / 2 of the depths so far is .15 + .13 at the fourth, .10 + .11 at the sixth.
    assert [one.begins for one in seen] == [False, False, False, False, True, False, False]


def test_a_climb_goes_on_over_several_descents() -> None:
    angles = torch.tensor([0.0, 0.1, 0.3, 0.6])
    frames = torch.stack([angles.cos(), angles.sin()], 1)[:, None].expand(-1, 4, 2)
    cuts = DepthCuts()
    depths = [cuts.next(frame, None, 0.0).surprise for frame in frames]
    assert depths[1:] == pytest.approx([0.0, math.cos(0.1) - math.cos(0.2), math.cos(0.1) - math.cos(0.3)], abs=1e-5)


@pytest.mark.parametrize("make", [lambda: EverySeconds(4.0), SurpriseCuts, ShotCuts, DepthCuts])
def test_saved_they_go_on_and_bytes_are_counted(make, latents) -> None:
    whole, first, rest = make(), make(), make()
    latents = latents.repeat_interleave(5, 0)
    want = begins(whole, latents[:30], seconds=range(30))
    assert want
    assert first.nbytes == 0
    head = begins(first, latents[:13], seconds=range(13))
    assert first.nbytes == State(first.state_dict()).nbytes > 0
    rest.load_state_dict(first.state_dict())
    tail = begins(rest, latents[13:30], seconds=range(13, 30))
    assert [*head, *(13 + t for t in tail)] == want
    rest.reset()
    assert rest.nbytes == 0
    assert begins(rest, latents[:30], seconds=range(30)) == want
