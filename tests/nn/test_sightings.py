"""Sightings hold the surest moments of every pair, whatever the cut, in a state that does not grow; they learn."""

from collections.abc import Callable

import pytest
import torch

from ssm_sense.nn.sightings import Sightings, in_order, shifted

THINGS, MARKS = 2, 3


def sightings(moments: int = 4) -> Sightings:
    torch.manual_seed(0)
    made = Sightings(vision_width=8, locations=4, sought=THINGS, marks=MARKS, width=16, moments=moments)
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return made


def seconds(frames: int, streams: int = 1) -> torch.Tensor:
    return torch.arange(frames, dtype=torch.float64).expand(streams, -1)


@torch.no_grad()
def test_of_every_pair_the_surest_frames_and_their_times_are_held() -> None:
    model, x = sightings(), torch.randn(2, 12, 4, 8)
    end = model(x, seconds(12, 2), model.initial_state(2))
    alone = [model(x[:, t : t + 1], seconds(12, 2)[:, t : t + 1], model.initial_state(2)) for t in range(12)]
    assert not torch.stack([state["sure"] for state in alone])[..., 1:].any(), "one frame is one moment"
    surest = torch.stack([state["sure"][..., 0] for state in alone], dim=-1).topk(4)
    torch.testing.assert_close(end["sure"], surest.values)
    assert torch.equal(end["when"], surest.indices.double())
    assert model.read(end).shape == (2, 2, THINGS, MARKS, 4)
    assert not model.read(model.initial_state(1)).any(), "before anything was seen there is nothing"


@torch.no_grad()
def test_of_equals_the_later_stay() -> None:
    model, x = sightings(), torch.randn(1, 1, 4, 8).expand(1, 9, 4, 8)
    state = model.initial_state(1)
    for part in (slice(0, 3), slice(3, 6), slice(6, 9)):
        state = model(x[:, part], seconds(9)[:, part], state)
        assert (state["when"] == part.stop - 1 - torch.arange(4).clamp_max(part.stop - 1)).all()


@torch.no_grad()
@pytest.mark.parametrize("cut", [1, 7, 29])
@pytest.mark.parametrize("moments", [1, 4])
def test_cutting_changes_nothing_and_the_state_does_not_grow(cut: int, moments: int) -> None:
    model, x, at = sightings(moments), torch.randn(3, 30, 4, 8), seconds(30, 3)
    whole = model(x, at, model.initial_state(3))
    middle = model(x[:, :cut], at[:, :cut], model.initial_state(3))
    cut_up = model(x[:, cut:], at[:, cut:], middle)
    torch.testing.assert_close(cut_up["sure"], whole["sure"])
    assert torch.equal(cut_up["when"], whole["when"])
    assert whole.nbytes == middle.nbytes == 3 * 12 * moments * THINGS * MARKS


def test_what_is_told_has_one_moment_and_the_rest_is_its_own() -> None:
    model = sightings()
    read, told = torch.rand(2, 2, THINGS, MARKS, 4).double(), torch.full((2, 2, THINGS, MARKS), -1.0).double()
    told[1, :, 0, 2] = torch.tensor([1.0, 9.0])
    given = model.with_told(read, told)
    assert given[1, :, 0, 2].tolist() == [[1.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]]
    given[1, :, 0, 2] = read[1, :, 0, 2]
    assert torch.equal(given, read)


@torch.no_grad()
def test_what_calibration_moved_is_held_surer_or_less_sure_and_not_learned_from() -> None:
    model, x = sightings(1), torch.randn(1, 1, 4, 8)
    true = torch.tensor([[[1, 0]]])
    there, beside = model.sight(x)
    loss = model.loss(x, true)
    model.moved.copy_(torch.tensor([-2.0, 1.0]))
    held = model(x, seconds(1), model.initial_state(1))["sure"][0, ..., 0]
    torch.testing.assert_close(held, torch.sigmoid(there + torch.tensor([-2.0, 1.0]))[0, 0, :, None] * beside[0, 0])
    assert torch.equal(model.loss(x, true), loss)


def test_what_is_told_reaches_the_language_model_as_it_was_learned() -> None:
    model = sightings()
    model.moved.copy_(torch.tensor([-2.0, 1.0]))
    told = torch.full((1, 2, THINGS, MARKS), -1.0).double()
    told[0, :, 0, 2], told[0, :, 1, 1] = torch.tensor([0.7, 9.0]), torch.tensor([1.0, 4.0])
    given = model.with_told(torch.rand(1, 2, THINGS, MARKS, 4).double(), told)
    assert given[0, 1, 0, 2, 0] == 9
    assert given[0, 0, 0, 2, 0] < 0.3
    assert shifted(given[0, 0, 0, 2, 0], -model.moved[0]).item() == pytest.approx(0.7)
    assert given[0, :, 1, 1, 0].tolist() == [1, 4], "what is certain stays so"


def test_a_probability_is_shifted_by_its_logit() -> None:
    sure, by = torch.rand(50).double(), torch.randn(50).double()
    torch.testing.assert_close(shifted(sure, by), torch.sigmoid(torch.logit(sure) + by))
    assert shifted(torch.tensor([0.0, 1.0]), torch.tensor([9.0, -9.0])).tolist() == [0, 1]


Scene = tuple[torch.Tensor, torch.Tensor]
"""Latents and the truth of 16 streams of 24 frames."""


def taught(scene: Callable[[torch.Tensor, torch.Tensor], Scene]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What 200 steps on scenes of things and marks teach: there and beside of the last scene, and its truth."""
    torch.manual_seed(0)
    model = Sightings(8, 4, sought=THINGS, marks=MARKS, width=32)
    things, marks = torch.randn(THINGS, 8), torch.randn(MARKS, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(200):
        x, true = scene(things, marks)
        loss = model.loss(x, true)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return *model.sight(x), true


def test_it_learns_what_stands_beside_what() -> None:
    """One frame in four shows a thing and a mark, in one place together; other marks stand elsewhere."""
    rows, columns = torch.arange(16)[:, None], torch.arange(24)

    def scene(things: torch.Tensor, marks: torch.Tensor) -> Scene:
        x = torch.randn(16, 24, 4, 8) * 0.1
        place, elsewhere = torch.randint(4, (16, 24)), torch.randint(1, 4, (16, 24))
        thing, mark, other = (torch.randint(kinds, (16, 24)) for kinds in (THINGS, MARKS, MARKS))
        seen = torch.rand(16, 24) < 0.25
        x[rows, columns, place] += (things[thing] + marks[mark]) * seen.unsqueeze(-1)
        x[rows, columns, (place + elsewhere) % 4] += marks[other]
        true = torch.zeros(16, 24, THINGS, dtype=torch.int64)
        true[rows, columns, thing] = torch.where(seen, 1 + mark, 0)
        return x, true

    there, beside, true = taught(scene)
    assert ((there > 0) == (true > 0)).float().mean() > 0.98
    assert (beside[true > 0].argmax(-1) == true[true > 0] - 1).float().mean() > 0.9


def test_it_learns_on_which_side_what_it_stands_beside_is() -> None:
    """Every frame shows all marks, each at another location: beside is the one to the right of the thing."""
    rows, columns = torch.arange(16)[:, None], torch.arange(24)

    def scene(things: torch.Tensor, marks: torch.Tensor) -> Scene:
        x = torch.randn(16, 24, 4, 8) * 0.1
        place, thing = torch.randint(4, (16, 24)), torch.randint(THINGS, (16, 24))
        order = torch.rand(16, 24, MARKS).argsort(-1)
        x[rows, columns, place] += things[thing]
        for step in range(MARKS):
            x[rows, columns, (place + 1 + step) % 4] += marks[order[..., step]]
        true = torch.zeros(16, 24, THINGS, dtype=torch.int64)
        true[rows, columns, thing] = 1 + order[..., 0]
        return x, true

    _, beside, true = taught(scene)
    right = (beside[true > 0].argmax(-1) == true[true > 0] - 1).float().mean()
    assert right > 0.9, f"{right:.2f}; whoever sees which marks there are, and not where, has {1 / MARKS:.2f}"


def test_features_are_left_out_only_while_it_learns() -> None:
    model, x, true = sightings(), torch.randn(1, 6, 4, 8), torch.randint(0, 1 + MARKS, (1, 6, THINGS))
    read, lost = model(x, seconds(6), model.initial_state(1)), model.loss(x, true)
    model.dropout = 0.5
    assert len({model.loss(x, true).item() for _ in range(5)}) == 5
    assert all(torch.equal(one, read[name]) for name, one in model(x, seconds(6), model.initial_state(1)).items())
    assert torch.equal(model.eval().loss(x, true), lost)


def test_what_nobody_knows_teaches_nothing() -> None:
    model, x = sightings(), torch.randn(1, 3, 4, 8)
    assert model.loss(x, torch.full((1, 3, THINGS), -1)) == 0
    half = torch.tensor([0, 2]).expand(1, 3, 2).clone()
    known = model.loss(x, half)
    half[0, 1] = -1
    assert model.loss(x, half) != known


def test_there_must_be_both() -> None:
    with pytest.raises(ValueError, match="sought: expected 1 or more, got 0"):
        Sightings(8, 4, 0, 1)
    with pytest.raises(ValueError, match="marks: expected 1 or more, got 0"):
        Sightings(8, 4, 1, 0)
    with pytest.raises(ValueError, match="moments: expected 1 or more, got 0"):
        Sightings(8, 4, 1, 1, moments=0)
    with pytest.raises(ValueError, match="groups: expected 1 or more, got 0"):
        Sightings(8, 4, 1, 1, groups=0)
    with pytest.raises(ValueError, match="groups: expected a divisor of width 16, got 3"):
        Sightings(8, 4, 1, 1, width=16, groups=3)


def test_a_moment_has_one_mark_and_the_surest_come_in_order_of_time() -> None:
    sure, when = torch.tensor([0.3, 0.9, 0.4, 0.01, 0.5, 0.4]), torch.tensor([7.0, 9.0, 9.0, 1.0, 2.0, 9.0])
    assert in_order(sure, when, 6).tolist() == [4, 0, 1]
    assert in_order(sure, when, 2).tolist() == [4, 1]
    assert in_order(torch.zeros(3), torch.zeros(3), 2).tolist() == []


def test_a_mean_over_processes_is_that_over_what_all_of_them_see() -> None:
    torch.manual_seed(0)
    model = Sightings(vision_width=6, locations=4, sought=2, marks=3)
    x, true = torch.randn(4, 5, 4, 6), torch.zeros(4, 5, 2, dtype=torch.long)
    true[0, 1, 0], true[0, 3, 1], true[1, 2, 0], true[3, :, 1] = 2, 3, 1, -1
    whole = model.loss(x, true)
    everyones = torch.stack([(true >= 0).sum(), (true > 0).sum()])
    model.shares = lambda own: own * 2 / everyones
    torch.testing.assert_close((model.loss(x[:2], true[:2]) + model.loss(x[2:], true[2:])) / 2, whole)
