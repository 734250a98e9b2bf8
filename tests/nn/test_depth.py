"""The depth score as a source, against the cuts that the count policy makes by it, and by hand."""

import math

import torch

from ssm_sense.memory.cuts import DepthCuts
from ssm_sense.nn.depth import DepthScore

PLACES, WIDTH = 4, 8


def walk(seed: int, frames: int = 40) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(frames, PLACES, WIDTH, generator=draw).cumsum(0)


def test_it_is_the_depth_that_the_count_policy_cuts_by() -> None:
    latents = torch.stack([walk(0), walk(1)])
    source = DepthScore(PLACES, WIDTH)
    level, _ = source(latents, source.initial_state(2))
    standard = DepthScore(PLACES, WIDTH, standard=True)
    judged, _ = standard(latents, standard.initial_state(2))
    for i, stream in enumerate(latents):
        cuts = DepthCuts(alpha=0.5)
        told = [cuts.next(frame, None, float(t)) for t, frame in enumerate(stream)]
        assert math.isnan(told[0].surprise)
        assert level[i, 0].tolist() == [1.0] * PLACES
        torch.testing.assert_close(level[i, 1:, 0].double(), torch.tensor([cut.surprise for cut in told[1:]]).double())
        assert (judged[i, 1:, 2] > 0.5).tolist() == [cut.begins for cut in told[1:]]


def test_by_hand() -> None:
    angles = torch.tensor([0.0, 40.0, 60.0, 70.0, 130.0, 140.0]).deg2rad()
    latents = torch.stack([angles.cos(), angles.sin()], -1)[None, :, None]
    source = DepthScore(1, 2)
    level, _ = source(latents, source.initial_state(1))
    cos = lambda degrees: math.cos(math.radians(degrees))  # noqa: E731
    # The turns are 40, 20, 10, 60 and 10 degrees: ever more alike up to the fourth, which falls by cos 10 - cos 60.
    expected = [1.0, 0.0, 0.0, 0.0, cos(10) - cos(60), 0.0]
    torch.testing.assert_close(level[0, :, 0], torch.tensor(expected), atol=1e-6, rtol=0)


def test_any_cut_of_a_stream_gives_the_same() -> None:
    latents = torch.stack([walk(2), walk(3)])
    for standard in (False, True):
        source = DepthScore(PLACES, WIDTH, standard)
        whole, end = source(latents, source.initial_state(2))
        first, state = source(latents[:, :17], source.initial_state(2))
        rest, after = source(latents[:, 17:], state)
        assert torch.equal(torch.cat([first, rest], 1), whole)
        assert all(torch.equal(after[name], end[name]) for name in end)
        assert after.nbytes == state.nbytes
