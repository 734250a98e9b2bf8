"""The bank of events: it fills, evicts or merges as worked by hand, is cut anywhere, and learns what lies long ago."""

import pytest
import torch
from torch import Tensor

from ssm_sense.model import SsmSense
from ssm_sense.nn.bank import EventBank, Judged
from ssm_sense.nn.episode import Episode
from ssm_sense.state import State

WIDTH, PLACES = 16, 4


def bank(events: int = 3, merge: bool = False, judged: Judged = "beginning") -> EventBank:
    torch.manual_seed(0)
    return EventBank(WIDTH, tokens=2, events=events, merge=merge, judged=judged)


def stream(frames: int, streams: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    u = torch.randn(streams, frames, PLACES, WIDTH, generator=draw)
    boundary = torch.rand(streams, frames, generator=draw) > 0.6
    boundary[:, 0] = False
    return u, boundary, torch.rand(streams, frames, generator=draw)


def written(model: EventBank, surprises: list[float]) -> tuple[State, Tensor]:
    """A bank after events of one frame each, which begin with these surprises, and what each was pooled to."""
    u = torch.randn(1, len(surprises), PLACES, WIDTH, generator=torch.Generator().manual_seed(2))
    boundary = torch.ones(1, len(surprises), dtype=torch.bool)
    boundary[0, 0] = False
    with torch.no_grad():
        pooled, _ = model.pool(u, boundary, model.pool.initial_state(1))
        return model(u, boundary, model.initial_state(1), torch.tensor([surprises])), pooled[0]


def test_the_least_surprising_event_makes_room() -> None:
    """Events 0 to 4 end; event i began with surprise i of the list, and the last is still in progress."""
    model = bank(events=3)
    state, pooled = written(model, [1.0, 0.3, 0.9, 0.2, 0.8, 0.7])
    # Full with 0 1 2; 3 costs 1 its place (.3); then 4 costs 3 its own (.2).
    torch.testing.assert_close(state["entries"][0], pooled[[0, 2, 4]])
    assert state["age"].tolist() == [[4, 2, 0]]
    assert state["stands_for"].tolist() == [[1, 1, 1]]
    torch.testing.assert_close(state["began"], torch.tensor([[1.0, 0.9, 0.8]]))
    torch.testing.assert_close(state["level"], torch.tensor([0.7]))
    torch.testing.assert_close(state["pool.last"][0], pooled[5])


def test_events_beside_the_least_surprising_boundary_become_one() -> None:
    model = bank(events=3, merge=True)
    state, pooled = written(model, [1.0, 0.3, 0.9, 0.2, 0.8, 0.7])
    # 3 joins 2 (.2); then 1 joins 0 (.3).
    entries = torch.stack([(pooled[0] + pooled[1]) / 2, (pooled[2] + pooled[3]) / 2, pooled[4]])
    torch.testing.assert_close(state["entries"][0], entries)
    torch.testing.assert_close(state["age"], torch.tensor([[3.5, 1.5, 0.0]]))
    assert state["stands_for"].tolist() == [[2, 2, 1]]
    torch.testing.assert_close(state["began"], torch.tensor([[1.0, 0.9, 0.8]]))


@pytest.mark.parametrize("events", [1, 4])
def test_merging_loses_no_event(events: int) -> None:
    """Each event's weight in the bank is the same, whatever was merged with what."""
    model = bank(events, merge=True)
    state, pooled = written(model, torch.rand(12, generator=torch.Generator().manual_seed(3)).tolist())
    weights = state["stands_for"][0]
    assert weights.sum() == 11
    torch.testing.assert_close((state["entries"][0] * weights[:, None, None]).sum(0), pooled[:11].sum(0))
    torch.testing.assert_close((state["age"][0] * weights).sum(), torch.tensor(float(sum(range(11)))))


def test_without_surprise_the_oldest_goes_first() -> None:
    model, (u, _, wrong) = bank(events=2), stream(5, streams=1)
    boundary = torch.tensor([[False, True, True, True, True]])
    state = model(u, boundary, model.initial_state(1))
    pooled, _ = model.pool(u, boundary, model.pool.initial_state(1))
    torch.testing.assert_close(state["entries"][0], pooled[0, 2:4])
    model.judged = "age"
    deaf = model(u, boundary, model.initial_state(1), wrong)
    assert all(torch.equal(deaf[name], state[name]) for name in state)


def test_judged_by_peaks_the_event_without_one_makes_room() -> None:
    """Four events of two frames each; the second frame of the first and of the third surprises."""
    model = bank(events=2, judged="peak")
    u = torch.randn(1, 8, PLACES, WIDTH, generator=torch.Generator().manual_seed(2))
    boundary = torch.tensor([[0, 0, 1, 0, 1, 0, 1, 0]]).bool()
    wrong = torch.tensor([[0.1, 0.9, 0.3, 0.2, 0.1, 0.8, 0.4, 0.5]])
    state = model(u, boundary, model.initial_state(1), wrong)
    pooled, _ = model.pool(u, boundary, model.pool.initial_state(1))
    torch.testing.assert_close(state["entries"][0], pooled[0, [1, 5]])
    torch.testing.assert_close(state["began"], torch.tensor([[0.9, 0.8]]))
    torch.testing.assert_close(state["level"], torch.tensor([0.5]))


@pytest.mark.parametrize("judged", ["beginning", "peak"])
@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("cuts", [[1], [13], [29], list(range(1, 30))], ids=str)
def test_streaming_equals_the_whole_however_it_is_cut(judged: Judged, merge: bool, cuts: list[int]) -> None:
    model, (u, boundary, wrong) = bank(merge=merge, judged=judged), stream(30)
    whole = model(u, boundary, model.initial_state(2), wrong)
    state = model.initial_state(2)
    for parts in zip(*(x.tensor_split(cuts, dim=1) for x in (u, boundary, wrong)), strict=True):
        state = model(parts[0], parts[1], state, parts[2])
        assert state.nbytes == whole.nbytes == model.initial_state(2).nbytes
    assert (whole["stands_for"] > 0).all()
    for name in whole:
        torch.testing.assert_close(state[name], whole[name], atol=1e-6, rtol=1e-5)


def test_between_boundaries_the_bank_is_held_to_the_bit_and_streams_do_not_mix() -> None:
    model, (u, boundary, wrong) = bank(), stream(20)
    start = model(u, boundary, model.initial_state(2), wrong)
    held = model(u, torch.zeros_like(boundary), start, wrong)
    assert all(torch.equal(held[name], start[name]) for name in start if not name.startswith("pool."))
    boundary[1] = False
    one_goes_on = model(u.flip(1), boundary, start, wrong)
    for name in start:
        if not name.startswith("pool."):
            assert torch.equal(one_goes_on[name][1], start[name][1])
    assert not torch.equal(one_goes_on["entries"][0], start["entries"][0])


def test_flushing_writes_the_event_in_progress_into_a_copy() -> None:
    model, (u, boundary, wrong) = bank(), stream(20)
    boundary[:, -1] = True
    state = model(u[:, :-1], boundary[:, :-1], model.initial_state(2), wrong[:, :-1])
    before = state.clone()
    ended = model(u, boundary, model.initial_state(2), wrong)
    flushed = model.flush(state)
    for name in ("entries", "age", "stands_for", "began"):
        torch.testing.assert_close(flushed[name], ended[name])
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_probes_read_by_themselves_and_nothing_but_what_is_there() -> None:
    model, (u, boundary, wrong) = bank(events=8), stream(6)
    probes = torch.randn(3, WIDTH)
    state = model(u, boundary, model.initial_state(2), wrong)
    assert (state["stands_for"] == 0).any()
    read = model.read(state, probes)
    assert read.shape == (2, 3, 2, WIDTH)
    torch.testing.assert_close(read, torch.cat([model.read(state, probes[i : i + 1]) for i in range(3)], 1))
    empty = (state["stands_for"] == 0)[..., None, None]
    rubbish = state.replace(entries=torch.where(empty, 100.0, state["entries"]))
    torch.testing.assert_close(model.read(rubbish, probes), read)
    assert not torch.allclose(read, model.read(model.alone(state), probes))
    assert model.read(model.initial_state(2), probes).isfinite().all()


def test_only_relative_ages_matter() -> None:
    """The last events of a long stream read like the same events of a short one."""
    model, (u, boundary, _) = bank(events=3), stream(40, streams=1)
    boundary[:] = True
    probes = torch.randn(2, WIDTH)
    long = model(u, boundary, model.initial_state(1))
    short = model(u[:, 36:], boundary[:, :4] & (torch.arange(4) > 0), model.initial_state(1))
    torch.testing.assert_close(model.read(long, probes), model.read(short, probes))


def test_it_takes_the_episodes_place_in_the_model(model: SsmSense) -> None:
    """Streamed and whole agree, a late question teaches the first frames, and every parameter learns."""
    model.episode = EventBank(WIDTH, tokens=2, events=12)
    draw = torch.Generator().manual_seed(4)
    latents = torch.randn(1, 7, 4, 12, generator=draw).repeat_interleave(6, 1)
    latents = latents + 0.3 * torch.randn(latents.shape, generator=draw)
    seconds = torch.arange(42, dtype=torch.float64)[None]
    _, whole = model.observe(latents, seconds, model.initial_state(1))
    state = model.initial_state(1)
    with torch.no_grad():
        for t in range(42):
            _, state = model.observe(latents[:, t : t + 1], seconds[:, t : t + 1], state)
    assert whole["episode.stands_for"].sum() > 2
    for name in whole:
        torch.testing.assert_close(state[name], whole[name], atol=1e-4, rtol=1e-4)
    latents.requires_grad_(True)
    _, state = model.observe(latents, seconds, model.initial_state(1))
    model.tokens(state).sum().backward()
    assert latents.grad is not None
    assert latents.grad[0, 0].abs().sum() > 0
    assert [name for name, p in model.episode.named_parameters() if p.grad is None] == []


def test_32_events_take_the_bytes_of_a_recurrent_episode() -> None:
    ours = EventBank(64, tokens=4, events=32).initial_state(1).nbytes
    theirs = Episode(64, tokens=4, layers=1).initial_state(1).nbytes
    assert ours == pytest.approx(theirs, rel=0.02)


def test_bad_sizes_are_named() -> None:
    for bad in ({"events": 0}, {"tokens": 0}, {"heads": 3}):
        with pytest.raises(ValueError, match="events and tokens of 1 or more"):
            EventBank(WIDTH, **bad)
    with pytest.raises(ValueError, match="judged: expected one of beginning, peak, age, got 'size'"):
        EventBank(WIDTH, judged="size")  # type: ignore[arg-type]
