"""Every surprise source: causal, indifferent to cuts, and what its definition says on cases worked by hand."""

import pytest
import torch

from ssm_sense.nn.lfp import LFPHead, surprise
from ssm_sense.nn.sources import (
    AdjacentDifference,
    EmaDistance,
    Predictor,
    RandomSurprise,
    ShotCut,
    StatelessLFP,
    SurpriseSource,
)
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.state import State

PLACES, WIDTH = 4, 6


def stateless() -> StatelessLFP:
    torch.manual_seed(0)
    encoder = TemporalEncoder(WIDTH, width=8, grid=2, layers=2, heads=2, state_size=4)
    return StatelessLFP(encoder, LFPHead(8, WIDTH)).eval()


SOURCES = {
    "adjacent": lambda: AdjacentDifference(PLACES, WIDTH),
    "ema": lambda: EmaDistance(PLACES, WIDTH, decay=0.8),
    "stateless": stateless,
    "shot cut": lambda: ShotCut(PLACES, WIDTH, window=3),
    "random": lambda: RandomSurprise(seed=3),
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> SurpriseSource:
    return SOURCES[request.param]()


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(3, 20, PLACES, WIDTH, generator=torch.Generator().manual_seed(1))


def watch(source: SurpriseSource, latents: torch.Tensor, cuts: list[int]) -> tuple[torch.Tensor, State]:
    state, found = source.initial_state(len(latents)), []
    for part in latents.tensor_split(cuts, dim=1):
        wrong, state = source(part, state)
        found.append(wrong)
    return torch.cat(found, 1), state


@pytest.mark.parametrize("cuts", [[1], [7], [19], [3, 4, 11], list(range(1, 20))], ids=str)
def test_cutting_changes_nothing(source: SurpriseSource, latents: torch.Tensor, cuts: list[int]) -> None:
    with torch.no_grad():
        whole, end = watch(source, latents, [])
        parts, end_of_parts = watch(source, latents, cuts)
    assert whole.shape == (3, 20, PLACES)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)
    assert end.keys() == end_of_parts.keys()
    for name in end:
        torch.testing.assert_close(end_of_parts[name], end[name], atol=1e-5, rtol=1e-5)


def test_a_saved_state_goes_on_where_it_was(source: SurpriseSource, latents: torch.Tensor, tmp_path) -> None:
    with torch.no_grad():
        whole, _ = watch(source, latents, [12])
        _, middle = source(latents[:, :12], source.initial_state(3))
        middle.save(tmp_path / "state.safetensors")
        rest, _ = source(latents[:, 12:], State.load(tmp_path / "state.safetensors"))
    assert torch.equal(rest, whole[:, 12:])


def test_the_state_is_of_one_size_and_batch_first(source: SurpriseSource, latents: torch.Tensor) -> None:
    begun = source.initial_state(3)
    with torch.no_grad():
        _, after = watch(source, latents, [5])
        alone, _ = source(latents[1:2, 5:], source(latents[:, :5], begun)[1].select(torch.tensor([1])))
        together, _ = watch(source, latents, [5])
    assert {k: (v.shape, v.dtype) for k, v in begun.items()} == {k: (v.shape, v.dtype) for k, v in after.items()}
    torch.testing.assert_close(alone, together[1:2, 5:], atol=1e-5, rtol=1e-5)


def test_the_future_changes_no_surprise_and_the_first_frame_surprises_by_1(
    source: SurpriseSource, latents: torch.Tensor
) -> None:
    other = latents.clone()
    other[:, 9:] = torch.randn(3, 11, PLACES, WIDTH)
    with torch.no_grad():
        ours, theirs = watch(source, latents, [])[0], watch(source, other, [])[0]
    assert torch.equal(ours[:, 0], torch.ones(3, PLACES))
    torch.testing.assert_close(ours[:, :9], theirs[:, :9], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["adjacent", "ema", "stateless"])
def test_surprise_is_the_cosine_distance_of_the_prediction(name: str, latents: torch.Tensor) -> None:
    source = SOURCES[name]()
    assert isinstance(source, Predictor)
    with torch.no_grad():
        wrong, _ = watch(source, latents, [])
        predicted, _ = source.predict(latents, source.initial_state(3))
    torch.testing.assert_close(wrong[:, 1:], surprise(predicted[:, :-1], latents[:, 1:]))


def test_adjacent_difference_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, -1.0]]).view(1, 4, 1, 2)
    source = AdjacentDifference(1, 2)
    assert source(x, source.initial_state(1))[0].flatten().tolist() == [1.0, 0.0, 1.0, 2.0]


def test_the_average_by_hand() -> None:
    x = torch.tensor([1.0, 2.0, 4.0, 8.0]).view(1, 4, 1, 1)
    source = EmaDistance(1, 1, decay=0.5)
    predicted, _ = source.predict(x, source.initial_state(1))
    expected = [1.0, (0.5 + 2) / 1.5, (0.25 + 1 + 4) / 1.75, (0.125 + 0.5 + 2 + 8) / 1.875]
    torch.testing.assert_close(predicted.flatten(), torch.tensor(expected))


def test_the_shot_cut_detector_by_hand() -> None:
    x = torch.tensor([0.0, 9.0, 8.0, 9.0, 9.5, 15.5, 15.6, 15.7, 15.9]).view(1, -1, 1, 1)
    source = ShotCut(1, 1, ratio=3.0, window=2, least=0.15)
    # Scores 9, 1, 1, .5, 6, .1, .1, .2: nothing is decided before two of them are known, nor of those below .15.
    ratios = torch.tensor([1 / 5.0, 0.5 / 1.0, 6 / 0.75, 0.0, 0.0, 0.2 / 0.1])
    wanted = torch.cat([torch.tensor([1.0, 0.0, 0.0]), ratios / (ratios + 3)])
    torch.testing.assert_close(source(x, source.initial_state(1))[0].flatten(), wanted, atol=1e-4, rtol=1e-4)


def test_the_shot_cut_detector_minds_cuts_and_not_steady_motion() -> None:
    """A pan at constant speed, a cut, and a faster pan: adjacent difference is higher all through the faster one."""
    torch.manual_seed(0)
    direction = torch.randn(PLACES, WIDTH)
    steps = torch.cat([torch.full((20,), 0.5), torch.full((20,), 1.5)]) + 0.05 * torch.randn(40)
    x = (steps.cumsum(0)[:, None, None] * direction)[None]
    x[:, 12:] += 8 * torch.randn(PLACES, WIDTH)
    source = ShotCut(PLACES, WIDTH)
    level = source(x, source.initial_state(1))[0].mean(-1)[0, 1:]
    assert [t + 1 for t, here in enumerate((level >= 0.5).tolist()) if here] == [12, 20]
    still = torch.randn(1, 1, PLACES, WIDTH).repeat(1, 10, 1, 1)
    assert source(still, source.initial_state(1))[0][:, 1:].abs().max() == 0


def test_an_average_that_forgets_at_once_is_adjacent_difference(latents: torch.Tensor) -> None:
    forgetful, adjacent = EmaDistance(PLACES, WIDTH, decay=0.0), AdjacentDifference(PLACES, WIDTH)
    assert torch.equal(watch(forgetful, latents, [])[0], watch(adjacent, latents, [])[0])


def test_the_stateless_head_sees_one_frame_and_all_of_its_places(latents: torch.Tensor) -> None:
    source = stateless()
    with torch.no_grad():
        before, _ = source.predict(latents, source.initial_state(3))
        changed = latents.clone()
        changed[:, 5, 0] += 1.0
        after, _ = source.predict(changed, source.initial_state(3))
    moved = (after - before).abs().amax((0, 3)) > 1e-7
    assert moved[5].all()
    assert not moved[:5].any()
    assert not moved[6:].any()


def test_the_stateless_head_is_the_encoder_reset_before_every_frame(latents: torch.Tensor) -> None:
    source = stateless()
    with torch.no_grad():
        predicted, _ = source.predict(latents, source.initial_state(3))
        u, _ = source.encoder(latents, source.encoder.initial_state(3), keep_BT=torch.zeros(3, 20))
    torch.testing.assert_close(predicted, source.head(u), atol=1e-5, rtol=1e-5)


def test_the_stateless_head_learns_what_a_frame_foretells() -> None:
    torch.manual_seed(0)
    start, turn = torch.randn(8, 1, PLACES, WIDTH), torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0]
    frames = [start]
    for _ in range(3):
        frames.append(frames[-1] @ turn)
    x, source = torch.cat(frames, 1), stateless()
    optimizer = torch.optim.AdamW(source.parameters(), lr=1e-2)
    first = source.losses(x)
    for _ in range(60):
        optimizer.zero_grad()
        source.losses(x)["loss"].backward()
        optimizer.step()
    last = source.losses(x)
    assert last["loss"] < 0.4 * first["loss"]
    torch.testing.assert_close(last["loss"], last["squared"] + last["cosine"])
    unused = ("A_log", "gain")  # of a state that is always empty, and that nobody reads
    assert all(p.grad is not None for name, p in source.named_parameters() if not name.endswith(unused))


def test_random_surprise_is_reproducible_uniform_and_its_own_for_every_stream() -> None:
    x = torch.zeros(2, 4000, 1, 1)
    x[1, 0] = 1.0
    first, again, other = (watch(RandomSurprise(seed), x, [])[0][..., 0] for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first[:, 1:], other[:, 1:])
    draws = first[:, 1:].double()
    assert 0 <= draws.min() < 0.01 < 0.99 < draws.max() < 1
    assert draws.mean().item() == pytest.approx(0.5, abs=0.02)
    assert draws.var().item() == pytest.approx(1 / 12, abs=0.005)
    neighbours = torch.corrcoef(torch.stack([draws[0, 1:], draws[0, :-1], draws[1, 1:], other[0, 2:].double()]))
    assert (neighbours - torch.eye(4)).abs().max() < 0.06


def test_random_draws_follow_the_stream_and_not_its_place_in_a_batch(latents: torch.Tensor) -> None:
    source = RandomSurprise()
    drawn, _ = watch(source, latents, [])
    turned, _ = watch(source, latents.flip(0), [4])
    assert torch.equal(turned, drawn.flip(0))
    assert torch.equal(watch(source, latents[2:], [])[0], drawn[2:])
    assert torch.equal(watch(source, latents * (1 + 1e-6), [])[0], drawn)
    other, _ = watch(source, latents + 1, [])
    assert (other[:, 1:] == drawn[:, 1:]).float().mean() < 0.01


def test_bad_arguments_are_named(latents: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="decay"):
        EmaDistance(PLACES, WIDTH, decay=1.0)
    with pytest.raises(ValueError, match="window >= 1"):
        ShotCut(PLACES, WIDTH, window=0)
    source = AdjacentDifference(PLACES, WIDTH + 1)
    with pytest.raises(ValueError, match=r"expected \(B, T, 4, 7\), got \(3, 20, 4, 6\)"):
        source(latents, source.initial_state(3))
