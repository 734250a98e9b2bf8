"""The fixed point over a window is the sequential form, or says that it is not."""

import pytest
import torch

from ssm_sense.nn.closed_loop import ClosedLoop
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.state import State

FRAMES, WIDTH, TOLERANCE = 16, 12, 1e-6


@torch.no_grad()
@pytest.mark.parametrize("reset_width", [None, 0.01, 0.05, 0.3])
def test_what_has_settled_is_the_sequential_form(reset_width: float | None) -> None:
    """With a floor of 1 no gate ever moves, and soft resets move alone: they have to settle as well."""
    for seed in range(12):
        torch.manual_seed(seed)
        encoder, head = TemporalEncoder(WIDTH, 16, 2, 2).eval(), LFPHead(16, WIDTH)
        torch.nn.init.normal_(head.down.weight, std=0.3)
        policy = SurprisePolicy(threshold=1.0, centre=1.0, floor=1.0, shortest_event_s=1.0, reset_width=reset_width)
        rooms = torch.randn(1, FRAMES // 6 + 1, 4, WIDTH).repeat_interleave(6, 1)[:, :FRAMES]
        x = rooms + 0.3 * torch.randn(1, FRAMES, 4, WIDTH)
        seconds = torch.arange(FRAMES, dtype=torch.float64)[None]
        parts = {"event": encoder.initial_state(1), "policy": policy.initial_state(1)}
        state = State.join({**parts, "predicted": torch.zeros(1, 4, WIDTH)})
        settled, _, _ = ClosedLoop(encoder, head, policy, FRAMES, TOLERANCE).solve(x, seconds, state, None)
        exact, _, _ = ClosedLoop(encoder, head, policy, 0, TOLERANCE).solve(x, seconds, state, None)
        torch.testing.assert_close(settled, exact, rtol=0, atol=1e-4)
