"""The closed loop: solved windows equal the exact stream, cuts are invisible, asking changes nothing, it learns."""

import pytest
import torch
from torch import Tensor

from ssm_sense.language.query import Query
from ssm_sense.memory.answering import Told
from ssm_sense.model import SsmSense
from ssm_sense.nn.sources import EmaDistance
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.trace import Trace, join_traces
from ssm_sense.state import State


def stream(frames: int, streams: int = 1) -> tuple[Tensor, Tensor]:
    """Latents of rooms, each with its own look and left after six frames, and their seconds."""
    generator = torch.Generator().manual_seed(1)
    rooms = torch.randn(streams, frames // 6 + 1, 4, 12, generator=generator).repeat_interleave(6, 1)
    noise = torch.randn(streams, frames, 4, 12, generator=generator) * 0.3
    return rooms[:, :frames] + noise, torch.arange(frames, dtype=torch.float64).repeat(streams, 1)


def frame_by_frame(model: SsmSense, latents: Tensor, seconds: Tensor) -> tuple[Trace, State]:
    state, traces = model.initial_state(len(latents)), []
    for t in range(latents.shape[1]):
        trace, state = model.observe(latents[:, t : t + 1], seconds[:, t : t + 1], state)
        traces.append(trace)
    return join_traces(traces), state


@torch.no_grad()
def test_parallel_with_replayed_gates_equals_the_stream(model: SsmSense) -> None:
    """Per-frame outputs within 1e-4 over 300 frames with resets inside, whatever the cuts."""
    latents, seconds = stream(300)
    streamed, end = frame_by_frame(model, latents, seconds)
    assert streamed.decision.boundary.sum() >= 5
    x = model.scale(latents)
    for cuts in ([300], [1, 299], [100, 37, 163], [7] * 42 + [6]):
        event, outputs = model.encoder.initial_state(1), []
        for part, gate, keep in zip(
            x.split(cuts, 1), streamed.decision.gate.split(cuts, 1), streamed.decision.keep.split(cuts, 1), strict=True
        ):
            u, event = model.encoder(part, event, gate, keep)
            outputs.append(model.head(u))
        torch.testing.assert_close(torch.cat(outputs, 1), streamed.predicted, atol=1e-4, rtol=1e-4)
        for name, tensor in event.items():
            torch.testing.assert_close(tensor, end.sub("event")[name], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("window", "rescans"), [(8, 3), (16, 16), (32, 1)])
def test_the_fixed_point_finds_what_the_stream_finds(model: SsmSense, window: int, rescans: int) -> None:
    """Boundaries agree except where surprise is within 1e-5 of τ, and so do the states."""
    latents, seconds = stream(120, streams=3)
    model.window, model.rescans = window, rescans
    solved, end = model.observe(latents, seconds, model.initial_state(3))
    streamed, end_of_stream = frame_by_frame(model, latents, seconds)
    near = (streamed.surprise.mean(-1) - model.policy.threshold).abs() < 1e-5
    assert ((solved.decision.boundary == streamed.decision.boundary) | near).all()
    torch.testing.assert_close(solved.surprise, streamed.surprise, atol=1e-4, rtol=1e-4)
    for name in end:
        torch.testing.assert_close(end[name], end_of_stream[name], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("rescans", [0, 3])
def test_soft_resets_and_normalised_surprise_are_solved_as_they_stream(model: SsmSense, rescans: int) -> None:
    model.policy = SurprisePolicy(threshold=1.5, centre=0.0, width=1.0, reset_width=1.0, normalise_frames=20)
    model.rescans = rescans
    latents, seconds = stream(90, streams=2)
    solved, end = model.observe(latents, seconds, model.initial_state(2))
    streamed, end_of_stream = frame_by_frame(model, latents, seconds)
    assert streamed.decision.boundary.sum() > 4
    assert 0 < streamed.decision.keep[streamed.decision.boundary].min() < 0.5
    assert torch.equal(solved.decision.boundary, streamed.decision.boundary)
    for name in end:
        torch.testing.assert_close(end[name], end_of_stream[name], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_rescans_matter_and_the_residual_says_so(model: SsmSense) -> None:
    latents, seconds = stream(8)
    model.rescans = 1
    once, _ = model.observe(latents, seconds, model.initial_state(1))
    model.rescans = 8
    settled, _ = model.observe(latents, seconds, model.initial_state(1))
    assert once.residual > settled.residual
    assert settled.residual < 1e-5


@torch.no_grad()
def test_state_bytes_are_the_same_after_any_number_of_frames(model: SsmSense) -> None:
    latents, seconds = stream(200)
    sizes = {model.initial_state(1).nbytes}
    for frames in (1, 10, 200):
        sizes.add(model.observe(latents[:, :frames], seconds[:, :frames], model.initial_state(1))[1].nbytes)
    assert len(sizes) == 1


@torch.no_grad()
def test_asking_changes_no_byte_of_the_state(model: SsmSense) -> None:
    latents, seconds = stream(30)
    _, state = model.observe(latents, seconds, model.initial_state(1))
    before = {name: tensor.clone() for name, tensor in state.items()}
    tokens = model.tokens(state)
    assert tokens.shape == (1, 4 * 2 + 2 + 2 + 4, 32)
    assert all(torch.equal(state[name], before[name]) for name in before)
    assert not torch.allclose(tokens, model.tokens(model.initial_state(1)))


@torch.no_grad()
def test_first_frame_is_wholly_surprising_and_no_event(model: SsmSense) -> None:
    latents, seconds = stream(5)
    trace, _ = model.observe(latents, seconds, model.initial_state(1))
    assert torch.equal(trace.surprise[:, 0], torch.ones(1, 4))
    assert not trace.decision.boundary[0, 0]


def test_where_questions_are_put_does_not_change_what_is_seen(model: SsmSense) -> None:
    latents, seconds = stream(24, streams=2)
    late = Query(1, 20, "how many chairs", "2")
    with torch.no_grad():
        alone = model.losses(latents, seconds, [late])["per_query"]
        among = model.losses(latents, seconds, [Query(0, 3, "which room", "kitchen"), late])["per_query"]
    torch.testing.assert_close(alone[0], among[1], atol=1e-4, rtol=1e-4)


def test_answers_teach_what_was_seen_long_before(model: SsmSense) -> None:
    """Gradient of a late answer reaches the first frames, across windows and questions in between."""
    latents, seconds = stream(40)
    latents.requires_grad_(True)
    model.train()
    queries = [Query(0, 10, "which room", "kitchen"), Query(0, 39, "how many chairs", "3")]
    model.losses(latents, seconds, queries)["per_query"][1].backward()
    assert latents.grad is not None
    assert latents.grad[0, 0].abs().sum() > 0


def test_training_learns_what_the_question_alone_cannot_tell(model: SsmSense) -> None:
    """Two streams, one question, two answers: who ignores the stream cannot get below ln 2 / 2 a token."""
    latents, seconds = stream(32, streams=2)
    queries = [Query(b, t, "which room is this", answer) for b, answer in enumerate("AB") for t in (15, 31)]
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    # After 60 steps two of six seeds are still at ln 2 / 2: of what is read, four tokens say nothing here.
    for _ in range(120):
        losses = model.losses(latents, seconds, queries)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    idle = [name for name, p in model.named_parameters() if p.grad is None]
    assert all(name.startswith("inventory.places.") for name in idle), (
        "those learn from rooms, of which nothing is told"
    )
    assert losses["answer"] < 0.1


@torch.no_grad()
def test_surprise_from_elsewhere_streams_as_it_runs_in_parallel(model: SsmSense) -> None:
    """With another source gates and boundaries are its own, whole or frame by frame, and nothing is left to solve."""
    model.source = EmaDistance(places=4, vision_width=12)
    model.policy.threshold.fill_(0.8)
    latents, seconds = stream(80)
    whole, end = model.observe(latents, seconds, model.initial_state(1))
    streamed, end_of_stream = frame_by_frame(model, latents, seconds)
    alone, _ = model.source(model.scale(latents), model.source.initial_state(1))
    torch.testing.assert_close(whole.surprise, alone)
    assert whole.residual == 0
    assert whole.decision.boundary.any()
    assert torch.equal(whole.decision.boundary, streamed.decision.boundary)
    assert end.nbytes == model.initial_state(1).nbytes
    for name in end:
        torch.testing.assert_close(end[name], end_of_stream[name], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_to_look_alone_gives_the_losses_of_looking(model: SsmSense) -> None:
    latents, seconds = stream(40, streams=2)
    told = Told(
        rooms_BT=torch.arange(40).div(8, rounding_mode="floor").expand(2, 40),
        beside_BTX=torch.ones(2, 40, 1, dtype=torch.int64),
    )
    with pytest.raises(ValueError, match="expected an inventory, and a source of surprise"):
        model.look_losses(latents, seconds, told)
    model.source = EmaDistance(places=4, vision_width=12)
    model.policy.threshold.fill_(0.8)
    for events in (None, torch.rand(2, 40) < 0.2):
        told = told._replace(events_BT=events)
        whole = model.losses(latents, seconds, [Query(0, 39, "how many chairs", "3")], told)
        alone = model.look_losses(latents, seconds, told)
        assert whole["events"] > 0
        assert alone.keys() == {"inventory", "places", "sightings"}
        for name, found in alone.items():
            torch.testing.assert_close(found, whole[name], atol=1e-5, rtol=1e-5)
    assert model.inventory is not None
    model.inventory.requires_grad_(False)
    model.source.register_forward_pre_hook(lambda *_: pytest.fail("nobody asks where events begin"))
    for events in (None, told.events_BT):
        alone = model.train().look_losses(latents, seconds, told._replace(events_BT=events))
        assert alone.keys() == {"sightings"}, "nothing frozen is run"
    assert model.eval().look_losses(latents, seconds, told).keys() == {"inventory", "places", "sightings"}


@torch.no_grad()
def test_only_a_question_about_what_is_in_the_inventory_is_told_of_it(model: SsmSense) -> None:
    trace, state = model.observe(*stream(40), model.initial_state(1))
    blank = State({**state, "inventory.now": torch.zeros(1, 4, 2)})
    asked, other = "how many chairs are there ?", "which room is this ?"
    assert not torch.allclose(model.prefix(state, asked), model.prefix(blank, asked), atol=1e-2)
    torch.testing.assert_close(model.prefix(state, other), model.prefix(blank, other), atol=0.1, rtol=0)
    assert trace.inventory.shape == (1, 40, 4, 2)
    ended = state["inventory.places.held"].sum(1)
    assert (trace.inventory[:, -1, 0] > ended).all(), "the event in progress counts too"
    alone = model.alone(state)
    assert not alone["inventory.places.held"].any()
    torch.testing.assert_close(alone["inventory.now"][:, 0], state["inventory.now"][:, 1])


@torch.no_grad()
def test_only_a_question_about_what_is_sought_is_told_of_its_sightings(model: SsmSense) -> None:
    _, state = model.observe(*stream(40), model.initial_state(1))
    sure = torch.tensor([[[0.9, 0.5]]]).unsqueeze(-1).expand_as(state["sightings.sure"])
    seen = State({**state, "sightings.sure": sure})
    asked, other = "which is this bedroom in ?", "which room is this ?"
    told, quiet = (model.prefix(one, asked) - model.prefix(one, other) for one in (seen, state))
    assert not torch.allclose(told[:, -5:], quiet[:, -5:], atol=1e-2)
    torch.testing.assert_close(model.prefix(seen, other), model.prefix(state, other), atol=0.1, rtol=0)
    assert not model.alone(state)["sightings.when"].any(), "of an event by itself nothing is kept"


def test_what_is_sought_needs_concepts_to_be_beside(model: SsmSense) -> None:
    parts = (model.encoder, model.head, model.policy, model.episode, model.language)
    with pytest.raises(ValueError, match="sought: expected none without concepts to be beside, got bedroom"):
        SsmSense(*parts, language_width=32, sought=("bedroom",))


def test_told_sightings_stand_in_for_its_own_and_the_truth_teaches_to_see(model: SsmSense) -> None:
    latents, seconds = stream(20, streams=2)
    queries = [Query(b, 19, "which is this bedroom in ?", "kitchen") for b in range(2)]
    sightings = torch.full((2, 2, 1, 2), -1.0, dtype=torch.float64)
    with torch.no_grad():
        own = model.losses(latents, seconds, queries)
        untold = model.losses(latents, seconds, queries, Told(sightings_n2XY=sightings))
        sightings[0] = torch.tensor([[[0.0, 1.0]], [[0.0, 9.0]]])
        told = model.losses(latents, seconds, queries, Told(sightings_n2XY=sightings))
    assert "sightings" not in own
    torch.testing.assert_close(untold["per_query"], own["per_query"])
    assert told["per_query"][0] != own["per_query"][0]
    torch.testing.assert_close(told["per_query"][1], own["per_query"][1])
    beside = torch.zeros(2, 20, 1, dtype=torch.int64)
    beside[:, 5] = 2
    model.losses(latents, seconds, queries, Told(beside_BTX=beside))["sightings"].backward()
    assert model.sightings is not None
    assert all(weight.grad is not None for weight in model.sightings.parameters())
