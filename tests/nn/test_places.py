"""Places are known again by what their frames have in common; nothing is taken for another before that is learned."""

import math

import pytest
import torch

from ssm_sense.nn.places import Places
from ssm_sense.state import State

WIDTH, LOCATIONS, ROOMS = 8, 4, 6


def places(kept: int = 3) -> Places:
    torch.manual_seed(0)
    return Places(WIDTH, LOCATIONS, kinds=2, kept=kept, width=16)


def knowing(kept: int = 3) -> Places:
    """One that takes events for the same place where what describes them points the same way."""
    made = places(kept)
    torch.nn.init.constant_(made.bias, -0.8)
    return made


def tours(streams: int, frames: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (B, T, S, V) and rooms (B, T): rooms look alike but for some of the features, which also drift."""
    looks = torch.randn(streams, ROOMS, WIDTH)
    looks[..., WIDTH // 2 :] = 0
    order = torch.stack([torch.randperm(ROOMS)[: frames // 8] for _ in range(streams)])
    rooms = order.repeat_interleave(8, 1)
    drift = torch.randn(streams, frames // 8, WIDTH).repeat_interleave(8, 1)
    drift[..., : WIDTH // 2] = 0
    x = looks[torch.arange(streams)[:, None], rooms] + 2 * drift
    return x.unsqueeze(2) + 0.2 * torch.randn(streams, frames, LOCATIONS, WIDTH), rooms


def left(made: Places, sums: torch.Tensor, held: list[float], state: State, frames: float = 1.0) -> State:
    """The state after an event that held so much ended; nothing is forgotten."""
    at = made.recognise(sums[None, None], state)[:, 0]
    gone, after = made.leave(torch.ones(1), at, sums[None], torch.full((1,), frames), torch.tensor([held]), state)
    assert not gone.any()
    return after


@torch.no_grad()
def test_nothing_is_known_again_before_it_is_learned() -> None:
    made = places()
    sums = torch.randn(16)
    state = left(made, sums, [1.0, 1.0], made.initial_state(1))
    assert not made.recognise(sums[None, None], state).any()
    key = made.key(sums[None])
    assert float(torch.sigmoid(made.alike(key, key))) < 0.2


@torch.no_grad()
def test_a_place_holds_the_most_of_each_kind_and_its_key_is_weighed_by_frames() -> None:
    made = knowing()
    first = torch.randn(16)
    again = first + 0.1 * torch.randn(16)
    state = left(made, first, [1.0, 0.25], made.initial_state(1), frames=30)
    at = made.recognise(again[None, None], state)
    assert at.sum() == 1
    assert made.held(at, state).tolist() == [[[1.0, 0.25]]]
    assert not made.held(torch.zeros_like(at), state).any(), "of a new place nothing is known"
    state = left(made, again, [1.0, 2.0], state, frames=10)
    assert state["frames"].tolist() == [[40, 0, 0]]
    assert state["held"][0, 0].tolist() == [1.0, 2.0]
    keys = made.key(torch.stack([first, again]))
    expected = torch.nn.functional.normalize(30 * keys[0] + 10 * keys[1], dim=0)
    torch.testing.assert_close(state["key"][0, 0] / 127.0, expected, atol=1 / 127, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("seen", [2.0**20, 2.0**24, 2.0**30])
def test_a_stay_of_weeks_still_takes_in_what_it_shows(seen: float) -> None:
    made, never = places(), torch.zeros(1, 64, dtype=torch.bool)
    old, new = torch.rand(2, 1, 1, 16)
    sums, frames = seen * old[:, 0], torch.full((1,), seen)
    for _ in range(64):  # 4,096 frames
        _, all_sums, all_frames = made.stays(new.expand(1, 64, -1), never, sums, frames, made.unlike)
        sums, frames = all_sums[:, -1], all_frames[:, -1]
    before = seen / 2 ** max(1.0, math.log2(seen) - 20 + 1)
    torch.testing.assert_close(frames, torch.tensor([before + 4096]), rtol=1e-3, atol=0)
    torch.testing.assert_close(sums, before * old[:, 0] + 4096 * new[:, 0], rtol=1e-3, atol=0)


@torch.no_grad()
def test_a_stay_of_hours_is_summed_up_whole() -> None:
    made, hours = places(), 4 * 3600 * 30
    frames, never = torch.full((1,), float(hours)), torch.zeros(1, 1, dtype=torch.bool)
    sums, one = torch.rand(1, 16) * hours, torch.rand(1, 1, 16)
    _, after, number = made.stays(one, never, sums, frames, made.unlike)
    assert number.tolist() == [[hours + 1]]
    assert torch.equal(after, sums + one)


@torch.no_grad()
def test_a_place_is_kept_in_72_bytes_and_two_for_each_kind() -> None:
    assert places(4).initial_state(1).nbytes - places(3).initial_state(1).nbytes == 72 + 2 * 2


def test_it_learns_which_parts_of_a_stream_are_of_one_room() -> None:
    made = places()
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2)
    for _ in range(150):
        x, rooms = tours(16)
        found = torch.zeros_like(rooms, dtype=torch.bool)
        found[:, ::8] = True
        loss = made.loss(x, rooms, found)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        described = made.describe(tours(1)[0])[0]
        first, again = made.key(described[:5].sum(0)[None]), made.key(described[5:8].sum(0)[None])
        others = made.key(described[8:].unflatten(0, (-1, 8)).sum(1))
        assert torch.sigmoid(made.alike(first, again)) > 0.8
        assert (torch.sigmoid(made.alike(first, others)) < 0.5).all()
        parts = 8 + 5 + 10  # 40 frames, cut where rooms and tens begin, where events do, and every fourth by itself
        each = torch.stack([made.loss(x[None], r[None], found[:1]) for x, r in zip(*tours(16), strict=True)])
    assert float(each.mean()) * parts / (parts * (parts - 1) / 2) < 0.1, "over the pairs of parts of one stream"


@torch.no_grad()
def test_the_loss_counts_every_pair_of_parts_once_and_leaves_out_events_of_two_rooms() -> None:
    made = places()
    x = torch.randn(2, 24, LOCATIONS, WIDTH)
    rooms = torch.tensor([[3] * 14 + [5] * 10, [3] * 24])
    found = torch.zeros(2, 24, dtype=torch.bool)
    found[0, 8] = found[1, 12] = True
    described = made.describe(x)
    spans = [(0, 0, 10), (0, 10, 14), (0, 14, 20), (0, 20, 24), (1, 0, 10), (1, 10, 20), (1, 20, 24)]
    names = ["a", "a", "b", "b", "c", "c", "c"]
    spans += [(0, 0, 8), (1, 0, 12), (1, 12, 24)]  # the other event of the first stream is of 6 and of 10 frames
    names += ["a", "c", "c"]
    spans += [(stream, at, at + 1) for stream in range(2) for at in range(0, 24, 4)]
    names += ["a"] * 4 + ["b"] * 2 + ["c"] * 6
    keys = made.key(torch.stack([described[stream, start:stop].sum(0) for stream, start, stop in spans]))
    logits = made.alike(keys, keys)
    wrong = [
        torch.nn.functional.binary_cross_entropy_with_logits(logits[i, j], torch.tensor(float(names[i] == names[j])))
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]
    torch.testing.assert_close(made.loss(x, rooms, found), torch.stack(wrong).sum() / len(names))


@torch.no_grad()
def test_a_stay_ends_where_a_frame_is_unlike_it_or_before_that_is_set_with_an_event() -> None:
    made = knowing()
    looks = torch.randn(3, 16)
    described = (looks[[0, 0, 0, 1, 1, 0, 2, 2]] + 0.05 * torch.randn(8, 16)).unsqueeze(0)
    events = torch.zeros(1, 8, dtype=torch.bool)
    events[0, 1] = True
    blank = torch.zeros(1, 16), torch.zeros(1)
    begins, _, frames = made.stays(described, events, *blank, made.unlike)
    assert begins.tolist() == events.tolist()
    assert frames.tolist() == [[1, 1, 2, 3, 4, 5, 6, 7]]
    begins, sums, frames = made.stays(described, events, *blank, torch.tensor(0.0))
    assert begins.nonzero()[:, 1].tolist() == [3, 5, 6]
    assert frames.tolist() == [[1, 2, 3, 1, 2, 1, 1, 2]]
    torch.testing.assert_close(sums[:, 2], described[:, :3].sum(1))
    torch.testing.assert_close(sums[:, 5:7], described[:, 5:7])
    both = [begins[:, :4], sums[:, 3], frames[:, 3]]
    later, on, many = made.stays(described[:, 4:], events[:, 4:], both[1], both[2], torch.tensor(0.0))
    assert torch.cat([both[0], later], 1).equal(begins)
    torch.testing.assert_close(on[:, -1], sums[:, -1])
    assert many[:, -1].equal(frames[:, -1])


@torch.no_grad()
def test_a_place_holds_what_its_stays_showed_each_weighing_its_frames() -> None:
    made = knowing()
    sums = torch.randn(16)
    state = left(made, sums, [4.0, 1.0], made.initial_state(1), frames=30)
    at = made.recognise(sums[None, None], state)
    showed, frames = torch.tensor([[[2.0, 3.0]]]), torch.full((1, 1), 10.0)
    torch.testing.assert_close(made.joined(showed, frames, at, state), torch.tensor([[[3.5, 1.5]]]))
    torch.testing.assert_close(made.joined(showed, frames, torch.zeros_like(at), state), showed)


@torch.no_grad()
def test_a_place_that_was_visited_for_weeks_still_takes_in_what_changes_there() -> None:
    made = knowing()
    before, now = torch.randn(2, 16)
    now = before + 0.3 * now
    state = left(made, before, [4.0, 0.0], made.initial_state(1), frames=600_000.0)
    for _ in range(60):
        at = made.recognise(now[None, None], state)
        held = made.joined(torch.tensor([[[0.0, 4.0]]]), torch.full((1, 1), 60.0), at, state)[0, 0]
        state = left(made, now, held.tolist(), state, frames=60.0)
    assert int((state["frames"] > 0).sum()) == 1
    gone, come = made.held(made.recognise(now[None, None], state), state)[0, 0].tolist()
    assert gone < 0.4
    assert come > 3.6


@torch.no_grad()
def test_the_more_places_there_are_the_surer_one_must_be_known() -> None:
    made = knowing(kept=64)
    sums = torch.randn(16)
    state = left(made, sums, [1.0, 1.0], made.initial_state(1))
    logit = made.alike(made.key(sums[None]), state["key"][0, :1].float() / 127)
    made.bias.add_(0.1 * (1.0 - float(logit)))
    assert made.recognise(sums[None, None], state).any(), "its odds are e to one"
    many = state.replace(frames=torch.ones(1, 64))
    assert not made.recognise(sums[None, None], many).any(), "which is less than the root of 64"


def test_places_there_must_be() -> None:
    with pytest.raises(ValueError, match="kept: expected 1 or more, got 0"):
        Places(WIDTH, LOCATIONS, 2, 0)
