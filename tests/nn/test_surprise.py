"""The surprise policy on cases worked by hand, whole and cut into frames."""

import pytest
import torch

from ssm_sense.nn.surprise import SurprisePolicy


def decide(levels: list[float], policy: SurprisePolicy, fps: float = 1.0):
    wrong = torch.tensor(levels).view(1, -1, 1).expand(1, -1, 4)
    seconds = torch.arange(len(levels), dtype=torch.float64)[None] / fps
    return policy(wrong, seconds, policy.initial_state(1))[0]


def test_an_event_begins_at_an_upward_crossing_after_the_shortest_event() -> None:
    policy = SurprisePolicy(threshold=0.5, shortest_event_s=3.0)
    #         start   crossing at 3  stays up  down  too soon at 6 s?        crossing at 8
    levels = [1.0, 0.1, 0.2, 0.9, 0.8, 0.1, 0.9, 0.2, 0.7]
    boundary = decide(levels, policy).boundary[0].tolist()
    assert [t for t, here in enumerate(boundary) if here] == [3, 6]
    boundary = decide(levels, SurprisePolicy(threshold=0.5, shortest_event_s=4.0)).boundary[0].tolist()
    assert [t for t, here in enumerate(boundary) if here] == [6]


def test_the_shortest_event_is_a_time_not_a_number_of_frames() -> None:
    policy = SurprisePolicy(threshold=0.5, shortest_event_s=3.0)
    levels = [1.0, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1]
    found = decide(levels, policy, fps=2.0).boundary[0].tolist()
    assert [t for t, here in enumerate(found) if here] == [6]


@pytest.mark.parametrize("fps", [10, 24, 25, 30])
def test_an_event_may_begin_just_when_the_shortest_ends_wherever_in_the_stream(fps: int) -> None:
    policy = SurprisePolicy(threshold=0.5, shortest_event_s=3.0)
    for begins in range(1, 200):
        levels = [0.1] * (begins + 3 * fps + 1)
        levels[begins] = levels[begins + 3 * fps] = 0.9
        wrong = torch.tensor(levels).view(1, -1, 1)
        state = policy.initial_state(1).replace(began_s=torch.full((1,), -9.0, dtype=torch.float64))
        state = state.replace(started=torch.ones(1, dtype=torch.bool))
        seconds = torch.tensor([[n / fps for n in range(len(levels))]], dtype=torch.float64)
        found = policy(wrong, seconds, state)[0].boundary[0].nonzero().flatten().tolist()
        assert found == [begins, begins + 3 * fps]


def test_frame_0_is_never_a_boundary_and_a_boundary_opens_every_gate() -> None:
    policy = SurprisePolicy(threshold=0.5, shortest_event_s=0.0)
    decision = decide([1.0, 0.0, 1.0], policy)
    assert decision.boundary.tolist() == [[False, False, True]]
    assert decision.keep.tolist() == [[1.0, 1.0, 0.0]]
    assert torch.equal(decision.gate[0, 2], torch.ones(4))


def test_the_gate_lies_between_floor_and_one_and_acts_per_location() -> None:
    policy = SurprisePolicy(floor=0.3, centre=0.5, width=0.1, threshold=9.0)
    wrong = torch.tensor([[[0.5, -5.0, 5.0]]])
    gate = policy(wrong, torch.zeros(1, 1, dtype=torch.float64), policy.initial_state(1))[0].gate
    torch.testing.assert_close(gate, torch.tensor([[[0.65, 0.3, 1.0]]]))


OPTIONS = [{}, {"reset_width": 0.1}, {"normalise_frames": 10, "threshold": 1.0, "centre": 0.0}]


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "soft", "normalised"])
@pytest.mark.parametrize("cut", [1, 17, 50])
def test_cutting_changes_nothing(cut: int, options: dict[str, float]) -> None:
    torch.manual_seed(0)
    policy = SurprisePolicy(**{"threshold": 0.6, "shortest_event_s": 2.0, **options})
    wrong, seconds = torch.rand(2, 60, 4).sqrt(), torch.arange(60, dtype=torch.float64).repeat(2, 1)
    whole, end = policy(wrong, seconds, policy.initial_state(2))
    first, middle = policy(wrong[:, :cut], seconds[:, :cut], policy.initial_state(2))
    second, end_of_cut = policy(wrong[:, cut:], seconds[:, cut:], middle)
    assert whole.boundary.any()
    assert torch.equal(torch.cat([first.boundary, second.boundary], 1), whole.boundary)
    # A vectorised sigmoid may differ from its own tail loop in the last bit.
    torch.testing.assert_close(torch.cat([first.gate, second.gate], 1), whole.gate, atol=1e-7, rtol=0)
    torch.testing.assert_close(torch.cat([first.keep, second.keep], 1), whole.keep, atol=1e-7, rtol=0)
    assert all(torch.equal(end[k], end_of_cut[k]) for k in end)


def test_true_events_replace_found_ones() -> None:
    policy = SurprisePolicy(threshold=0.5)
    true = torch.tensor([[True, False, True]])
    seconds = torch.arange(3, dtype=torch.float64)[None]
    found = policy(torch.ones(1, 3, 4), seconds, policy.initial_state(1), true)[0].boundary
    assert found.tolist() == [[False, False, True]]


def test_the_policy_learns_through_the_gate_alone() -> None:
    policy = SurprisePolicy()
    wrong = torch.rand(1, 5, 4)
    seconds = torch.arange(5, dtype=torch.float64)[None]
    policy(wrong, seconds, policy.initial_state(1))[0].gate.sum().backward()
    assert policy.centre.grad is not None
    assert policy.log_width.grad is not None


def test_the_threshold_follows_the_quantile() -> None:
    policy = SurprisePolicy(threshold=0.0, event_rate=0.25, momentum=0.5)
    for _ in range(30):
        policy.follow(torch.arange(101).float()[None])
    assert policy.threshold.item() == pytest.approx(75.0, abs=1e-4)


def test_options_that_are_off_leave_no_trace() -> None:
    plain, on = SurprisePolicy(), SurprisePolicy(reset_width=0.1, normalise_frames=50)
    assert set(plain.state_dict()) == set(on.state_dict()) == {"centre", "log_width", "threshold"}
    assert set(plain.initial_state(2)) == {"previous", "began_s", "started"}
    assert set(on.initial_state(2)) == {"previous", "began_s", "started", "weight", "sum", "squares"}


def test_a_soft_reset_keeps_less_the_more_a_boundary_surprises() -> None:
    policy = SurprisePolicy(threshold=0.5, shortest_event_s=0.0, reset_width=0.1)
    decision = decide([1.0, 0.2, 0.5001, 0.2, 0.7, 0.2, 1.5], policy)
    assert decision.boundary[0].tolist() == [False, False, True, False, True, False, True]
    keep = decision.keep[0]
    assert torch.equal(keep[[0, 1, 3, 5]], torch.ones(4))
    wanted = [0.5, float(torch.sigmoid(torch.tensor(-2.0))), 0.0]
    torch.testing.assert_close(keep[[2, 4, 6]], torch.tensor(wanted), atol=1e-3, rtol=0)
    assert torch.equal(decision.gate[0, [2, 4, 6]], torch.ones(3, 4))


def test_normalised_surprise_by_hand() -> None:
    """The running sums written out, for the level that crossings are judged by (`previous` of the state)."""
    policy, levels = SurprisePolicy(normalise_frames=4), [1.0, 0.3, 0.5, 0.1, 0.9]
    state, found = policy.initial_state(1), []
    for t, level in enumerate(levels):
        _, state = policy(torch.full((1, 1, 4), level), torch.tensor([[float(t)]]), state)
        found.append(state["previous"].item())
    weight = total = squares = 0.0
    for t, level in enumerate(levels):
        mean = total / max(weight, 1.0)
        deviation = ((squares - mean * total + 4 * 0.01) / (weight + 4)) ** 0.5
        assert found[t] == pytest.approx((level - mean) / deviation, rel=1e-4)
        if t:
            weight, total, squares = 0.75 * weight + 1, 0.75 * total + level, 0.75 * squares + level**2


def test_normalised_events_are_the_same_in_a_calm_and_in_a_restless_stream() -> None:
    """What is taken for unusual does not depend on the scale and offset of a stream's surprise."""
    torch.manual_seed(0)
    calm = 0.2 + 0.01 * torch.rand(1, 200)
    calm[0, 50::25] += 0.08
    streams = torch.cat([calm, 0.1 + 5 * calm]).unsqueeze(-1).expand(-1, -1, 4).clone()
    streams[:, 0] = 1.0
    seconds = torch.arange(200, dtype=torch.float64).repeat(2, 1)
    policy = SurprisePolicy(threshold=2.0, normalise_frames=30)
    boundary = policy(streams, seconds, policy.initial_state(2))[0].boundary[:, 30:]
    assert torch.equal(boundary[0], boundary[1])
    assert [t + 30 for t, here in enumerate(boundary[0].tolist()) if here] == list(range(50, 200, 25))
    plain = SurprisePolicy(threshold=0.25)
    assert not torch.equal(*plain(streams, seconds, plain.initial_state(2))[0].boundary[:, 30:])


def test_the_threshold_follows_what_the_stream_itself_would_see() -> None:
    torch.manual_seed(0)
    policy = SurprisePolicy(threshold=0.0, event_rate=0.25, momentum=1.0, normalise_frames=10)
    wrong, seconds = torch.rand(2, 41, 1), torch.arange(41, dtype=torch.float64).repeat(2, 1)
    state, levels = policy.initial_state(2), []
    for t in range(41):
        _, state = policy(wrong[:, t : t + 1], seconds[:, t : t + 1], state)
        levels.append(state["previous"])
    policy.follow(wrong[:, 1:, 0])
    wanted = torch.quantile(torch.stack(levels[1:], 1), 0.75)
    assert policy.threshold.item() == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"floor": 0.0}, "floor"),
        ({"width": 0.0}, "width"),
        ({"event_rate": 1.0}, "event_rate"),
        ({"reset_width": 0.0}, "reset_width"),
        ({"normalise_frames": 0.5}, "normalise_frames"),
    ],
)
def test_bad_settings_are_named(bad: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SurprisePolicy(**bad)


@pytest.mark.parametrize("options", [{}, {"normalise_frames": 8}])
def test_a_batch_that_overflowed_leaves_the_threshold(options: dict[str, int]) -> None:
    policy = SurprisePolicy(threshold=0.5, **options)
    policy.follow(torch.tensor([[0.1, float("nan"), 0.2, 0.3]]))
    assert float(policy.threshold) == 0.5
    policy.follow(torch.rand(4, 50))
    assert 0 < float(policy.threshold) != 0.5


def test_a_picture_that_is_held_leaves_the_threshold() -> None:
    policy = SurprisePolicy(threshold=0.5)
    policy.follow(torch.zeros(8, 1))
    assert float(policy.threshold) == 0.5
    policy.follow(torch.zeros(8, 2))
    assert float(policy.threshold) < 0.5
