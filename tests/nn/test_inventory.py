"""An inventory adds what places held, whatever the cut, and nothing twice; it learns what is there and how much."""

import pytest
import torch

from ssm_sense.nn.inventory import ROWS, Inventory, inventory_loss

KINDS = 5
KEPT = {"atol": 0.0, "rtol": 2**-8}
"""What a place held is kept to a half of the last of bfloat16's eight bits."""


def inventory(kinds: int = KINDS, kept: int = 8) -> Inventory:
    torch.manual_seed(0)
    made = Inventory(vision_width=8, locations=4, kinds=kinds, width=16, kept=kept)
    torch.nn.init.normal_(made.held.weight)
    return made


def knowing(kept: int = 8) -> Inventory:
    """One that takes two events for the same place if their latents point the same way."""
    made = inventory(kept=kept)
    torch.nn.init.normal_(made.places.down.weight)
    torch.nn.init.constant_(made.places.bias, -0.8)
    return made


def events(frames: int, *at: int) -> torch.Tensor:
    boundary = torch.zeros(1, frames, dtype=torch.bool)
    boundary[:, list(at)] = True
    return boundary


@torch.no_grad()
def test_so_far_is_the_sum_over_events_and_all_else_of_the_one_in_progress() -> None:
    model, x = inventory(), torch.randn(1, 20, 4, 8)
    rows, after = model(x, events(20, 6, 13), model.initial_state(1))
    assert rows.shape == (1, 20, len(ROWS), KINDS)
    parts = [model(part, events(part.shape[1]), model.initial_state(1))[0] for part in x.split([6, 7, 7], 1)]
    torch.testing.assert_close(torch.cat(parts, 1)[:, :, 1:], rows[:, :, 1:])
    torch.testing.assert_close(sum(part[:, -1, 1] for part in parts), rows[:, -1, 0], **KEPT)
    torch.testing.assert_close(model.read(after), rows[:, -1])
    alone = model.read(model.alone(after))
    torch.testing.assert_close(alone[:, 0], rows[:, -1, 1])
    torch.testing.assert_close(alone[:, 1:], rows[:, -1, 1:])
    assert (rows >= 0).all()
    assert (rows[:, :, 2:] <= 1).all()


@torch.no_grad()
def test_what_is_seen_again_in_an_event_adds_nothing_and_its_order_does_not_matter() -> None:
    model, x = inventory(), torch.randn(1, 10, 4, 8)
    once, _ = model(x, events(10), model.initial_state(1))
    again, _ = model(torch.cat([x, x.flip(1)], 1), events(20), model.initial_state(1))
    torch.testing.assert_close(again[:, -1, :3], once[:, -1, :3])
    torch.testing.assert_close(again[:, -1, 3], once[:, 0, 3], msg="in view is of the newest frame alone")


@torch.no_grad()
def test_before_anything_was_seen_there_is_nothing() -> None:
    model = inventory()
    assert not model.read(model.initial_state(3)).any()


@torch.no_grad()
def test_a_place_that_comes_back_holds_the_mean_of_its_stays_and_is_not_counted_again() -> None:
    model = knowing()
    rooms = torch.randn(3, 1, 1, 8) * 3
    walk = torch.tensor([0, 1, 2, 0, 1, 1, 2])
    x = (rooms[walk] + torch.randn(7, 5, 4, 8) * 0.1).flatten(0, 1).unsqueeze(0)
    rows, after = model(x, events(35, 5, 10, 15, 20, 25, 30), model.initial_state(1))
    visits = [model(part, events(5), model.initial_state(1)) for part in x.split(5, 1)]
    shown = [[found[:, -1, 1] for at, (found, _) in zip(walk, visits, strict=True) if at == room] for room in range(3)]
    held = [torch.stack(each).mean(0) for each in shown]
    torch.testing.assert_close(rows[:, -1, 0], sum(held), **KEPT)
    torch.testing.assert_close(rows[:, -1, 1], held[2], **KEPT, msg="here is the place, by all its stays")
    twice = sum(found[:, -1, 1] for found, _ in visits)
    assert (rows[:, -1, 0] < twice).all()
    assert (after["places.frames"] > 0).sum() == 3, "the event in progress is not among them, but its place is"
    stranger = inventory()
    torch.testing.assert_close(
        stranger(x, events(35, *range(5, 35, 5)), stranger.initial_state(1))[0][:, -1, 0], twice, **KEPT
    )


@torch.no_grad()
def test_what_a_forgotten_place_held_stays_counted() -> None:
    model, many = knowing(kept=2), knowing(kept=16)
    x = (torch.randn(9, 1, 1, 8) * 3).expand(9, 4, 4, 8).flatten(0, 1).unsqueeze(0)
    boundary = events(36, *range(4, 36, 4))
    (few_rows, few), (all_rows, after) = (one(x, boundary, one.initial_state(1)) for one in (model, many))
    assert (after["places.frames"] > 0).sum() == 8
    torch.testing.assert_close(few_rows, all_rows)
    assert few["forgotten"].sum() > 0
    assert not after["forgotten"].any()
    assert few.nbytes == model.initial_state(1).nbytes < after.nbytes


@torch.no_grad()
def test_the_place_left_longest_ago_is_forgotten_first() -> None:
    model = knowing(kept=2)
    x = (torch.randn(3, 1, 1, 8) * 3)[[0, 1, 0, 2, 0]].expand(5, 4, 4, 8).flatten(0, 1).unsqueeze(0)
    _, after = model(x, events(20, 4, 8, 12, 16), model.initial_state(1))
    kept = {round(float(n)) for n in after["places.frames"][0]}
    assert kept == {8, 4}, "place 0, twice as long, and place 2: 1 was older than 0's second visit"


@torch.no_grad()
def test_what_is_read_of_kinds_with_a_usual_rate_is_corrected_and_nothing_else_is() -> None:
    model = knowing(kept=2)
    x = (torch.randn(6, 1, 1, 8) * 3)[[0, 1, 2, 3, 2, 4, 5]].expand(7, 4, 4, 8).flatten(0, 1).unsqueeze(0)
    rows, after = model(x, events(28, 4, 8, 12, 16, 20, 24), model.initial_state(1))
    held, there = model.held_by_places(after)
    assert there.sum() == 3, "two are kept, and the one in progress"
    assert after["rates.surely"].sum() == 3 * KINDS, "three are forgotten; the one that was seen twice is not"
    torch.testing.assert_close((held * there.unsqueeze(-1)).sum(1) + after["forgotten"], rows[:, -1, 0])
    model.rates.set(torch.full((9, KINDS), 0.3), torch.tensor([1.0, 0, 1, 0, 0]))
    read, known = model.read(after), torch.tensor([True, False, True, False, False])
    assert (read[:, :2, known] != rows[:, -1, :2, known]).all()
    torch.testing.assert_close(read[:, :2, ~known], rows[:, -1, :2, ~known])
    torch.testing.assert_close(read[:, 2:], rows[:, -1, 2:])
    so_far, here = model.rates.count(held, there, after.sub("rates"))
    torch.testing.assert_close(read[:, 0, known], so_far[:, known])
    torch.testing.assert_close(read[:, 1, known], here[:, known])
    torch.testing.assert_close(model(x, events(28, 4, 8, 12, 16, 20, 24), model.initial_state(1))[0], rows)


@torch.no_grad()
def test_in_a_place_that_is_known_again_what_it_held_before_is_not_counted_beside_it() -> None:
    model = knowing()
    x = (torch.randn(2, 1, 1, 8) * 3)[[0, 1, 0]].expand(3, 4, 4, 8).flatten(0, 1).unsqueeze(0)
    _, twice = model(x, events(12, 4, 8), model.initial_state(1))
    _, once = model(x[:, :8], events(8, 4), model.initial_state(1))
    model.rates.set(torch.full((9, KINDS), 0.3), torch.ones(KINDS))
    torch.testing.assert_close(model.read(twice)[:, 0], model.read(once)[:, 0], **KEPT)


@torch.no_grad()
@pytest.mark.parametrize("cut", [1, 7, 8, 29])
def test_cutting_changes_nothing_and_the_state_does_not_grow(cut: int) -> None:
    model, boundary = knowing(kept=3), torch.rand(2, 30) > 0.7
    model.places.unlike.fill_(-1.0)
    x = torch.randn(2, 5, 1, 8).repeat_interleave(6, 1) * 3 + torch.randn(2, 30, 4, 8) * 0.3
    whole, end = model(x, boundary, model.initial_state(2))
    first, middle = model(x[:, :cut], boundary[:, :cut], model.initial_state(2))
    second, last = model(x[:, cut:], boundary[:, cut:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-5, rtol=1e-5)
    for name in end:
        torch.testing.assert_close(last[name], end[name], atol=1e-5, rtol=1e-5)
    assert middle.nbytes == end.nbytes == model.initial_state(2).nbytes


@torch.no_grad()
def test_a_stay_that_ends_by_itself_is_another_place_as_one_that_an_event_ends_is() -> None:
    model = knowing()
    x = (torch.randn(3, 1, 1, 8) * 3)[[0, 1, 0, 2]].expand(4, 5, 4, 8).flatten(0, 1).unsqueeze(0)
    mixed, _ = model(x, events(20), model.initial_state(1))
    told, _ = model(x, events(20, 5, 10, 15), model.initial_state(1))
    model.places.unlike.fill_(-1.0)
    alone, after = model(x, events(20), model.initial_state(1))
    torch.testing.assert_close(alone, told)
    assert not torch.equal(mixed, told)
    assert (after["places.frames"] > 0).sum() == 2, "the first room was seen twice, and the third is being seen"


def test_it_learns_what_is_in_view_and_how_much_there_was() -> None:
    """A frame shows one kind or none, each event up to three; what an event shows twice counts once."""
    torch.manual_seed(0)
    model, looks = Inventory(8, 4, kinds=3, width=32, kept=4), torch.randn(4, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(201):
        shown = torch.randint(4, (16, 24))
        shown[shown == 3] = -1
        boundary = torch.rand(16, 24) < 0.2
        boundary[:, 0] = False
        x = torch.randn(16, 24, 4, 8) * 0.1
        x[torch.arange(16)[:, None], torch.arange(24), torch.randint(4, (16, 24))] += looks[shown]
        view = torch.nn.functional.one_hot(shown + 1, 4)[..., 1:]
        truth = torch.zeros(16, 24, len(ROWS), 3, dtype=torch.int16)
        here, ended = torch.zeros(16, 3, dtype=torch.int64), torch.zeros(16, 3, dtype=torch.int64)
        for t in range(24):
            ended += here * boundary[:, t, None]
            here = torch.where(boundary[:, t, None], 0, here) | view[:, t]
            truth[:, t] = torch.stack([ended + here, here, here, view[:, t]], 1)
        found, _ = model(x, boundary, model.initial_state(16))
        loss = inventory_loss(found, truth)
        if step < 200:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    right = found.round() == truth
    assert right[:, :, 1:].float().mean() > 0.97
    assert (found[:, :, 0] - truth[:, :, 0]).abs().mean() < 0.5


def rows(so_far: float, view: float = 0.0) -> torch.Tensor:
    return torch.tensor([[so_far], [0.0], [0.0], [view]])


def test_the_loss_of_counts_is_about_relative_and_leaves_out_what_nobody_knows() -> None:
    little, much = (inventory_loss(rows(n), rows(n - 1)) for n in (2.0, 20.0))
    assert little > 5 * much
    assert inventory_loss(rows(7.0), rows(7.0)) < 1e-5
    assert inventory_loss(rows(9.0), -torch.ones(4, 1)) == 0
    found = torch.full((4, 2), 0.5, requires_grad=True)
    true = torch.zeros(4, 2)
    true[:, 1] = -1
    inventory_loss(found, true).backward()
    assert found.grad is not None
    assert found.grad[:, 0].all()
    assert not found.grad[:, 1].any()


def test_a_missed_yes_costs_more_than_a_false_one_and_certainty_is_not_infinite() -> None:
    missed, false = inventory_loss(rows(1.0, 0.2), rows(1.0, 1.0)), inventory_loss(rows(1.0, 0.8), rows(1.0, 0.0))
    torch.testing.assert_close(missed, 5 * false)
    assert inventory_loss(rows(1.0, 0.0), rows(1.0, 1.0)).isfinite()


def test_kinds_there_must_be() -> None:
    with pytest.raises(ValueError, match="kinds: expected 1 or more, got 0"):
        Inventory(8, 4, 0)
