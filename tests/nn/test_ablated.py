"""Each piece with one thing taken out does all else as before."""

import torch

from ssm_sense.nn.ablated import NeverReset, NoEpisode, OpenLoopLFP
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.state import State


def test_without_resets_the_same_events_are_found_and_all_is_kept() -> None:
    torch.manual_seed(0)
    wrong, seconds = torch.rand(2, 30, 4), torch.arange(30.0, dtype=torch.float64).expand(2, -1)
    settings = {"threshold": 0.55, "shortest_event_s": 2.0}
    usual, never = SurprisePolicy(**settings), NeverReset(**settings)
    was, state = usual(wrong, seconds, usual.initial_state(2))
    now, after = never(wrong, seconds, never.initial_state(2))
    assert was.boundary.any()
    assert (was.keep == 0).any()
    assert torch.equal(now.boundary, was.boundary)
    assert torch.equal(now.gate, was.gate)
    assert torch.equal(now.keep, torch.ones(2, 30))
    assert all(torch.equal(after[name], state[name]) for name in state)


def test_without_an_episode_the_event_in_progress_is_all_that_is_remembered() -> None:
    torch.manual_seed(0)
    boundary = torch.zeros(2, 12, dtype=torch.bool)
    boundary[:, [4, 8]] = True
    probes, shown = torch.randn(3, 8), torch.randn(2, 12, 4, 8)
    earlier, current = shown.clone(), shown.clone()
    earlier[:, :8] += 1
    current[:, 8:] += torch.randn(2, 4, 4, 8)
    for kind, remembers in ((Episode, True), (NoEpisode, False)):
        for pool in ("peak", "attention"):
            episode = kind(8, tokens=2, layers=1, state_size=4, pool=pool).eval()

            def read(u: torch.Tensor, episode: Episode = episode) -> torch.Tensor:
                after = episode(u, boundary, episode.initial_state(2))
                assert after.nbytes == episode.initial_state(2).nbytes
                return episode.read(episode.flush(after), probes)

            assert read(shown).shape == (2, 3, 2, 8)
            assert torch.equal(read(earlier), read(shown)) != remembers
            assert not torch.equal(read(current), read(shown))


def open_loop() -> OpenLoopLFP:
    torch.manual_seed(0)
    source = OpenLoopLFP(TemporalEncoder(6, width=8, grid=2, layers=2, heads=2, state_size=4), LFPHead(8, 6)).eval()
    torch.nn.init.normal_(source.head.down.weight, std=0.3)
    return source


def test_the_open_loop_is_causal_and_indifferent_to_cuts() -> None:
    source, latents = open_loop(), torch.randn(3, 20, 4, 6)
    whole, after = source(latents, source.initial_state(3))
    assert torch.equal(whole[:, 0], torch.ones(3, 4))
    state, parts = source.initial_state(3), []
    for part in latents.split([1, 1, 7, 11], dim=1):
        wrong, state = source(part, state)
        parts.append(wrong)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-4)
    assert state.nbytes == after.nbytes == source.initial_state(3).nbytes
    changed = latents.clone()
    changed[:, 12:] += 1
    torch.testing.assert_close(source(changed, source.initial_state(3))[0][:, :12], whole[:, :12])


def test_the_open_loop_predicts_from_more_than_the_last_frame() -> None:
    source, latents = open_loop(), torch.randn(1, 10, 4, 6)
    earlier = latents.clone()
    earlier[:, 3] += 1
    one, other = (source.predict(x, State({}))[0] for x in (latents, earlier))
    assert not torch.allclose(one[:, -1], other[:, -1], atol=1e-4)
    losses = source.losses(latents)
    losses["loss"].backward()
    assert all(p.grad is not None for p in source.head.parameters())
