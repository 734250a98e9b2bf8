"""One int8 vector a frame: what is kept is the right frames, in numbers that fit a byte, however the stream is cut."""

import pytest
import torch

from ssm_sense.nn.frame_bank import FrameBank
from ssm_sense.state import State

WIDTH = 16


def bank(frames: int | None = None, keep: str = "last") -> FrameBank:
    torch.manual_seed(0)
    return FrameBank(WIDTH, frames, keep)


def watched(memory: FrameBank, frames: int, cuts: list[int]) -> State:
    u = torch.randn(3, frames, 1, WIDTH, generator=torch.Generator().manual_seed(1))
    state = memory.initial_state(3)
    for a, b in zip([0, *cuts], [*cuts, frames], strict=True):
        state = memory(u[:, a:b], torch.ones(3, b - a, dtype=torch.bool), state)
    return state


@pytest.mark.parametrize(("frames", "keep"), [(None, "last"), (8, "last"), (8, "uniform"), (8, "surprising")])
def test_splitting_is_invisible(frames: int | None, keep: str) -> None:
    memory = bank(frames, keep)
    whole, cut = watched(memory, 40, []), watched(memory, 40, [1, 7, 25])
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_the_last_are_the_last_and_all_are_all() -> None:
    assert watched(bank(8), 40, [])["number"].tolist() == [list(range(32, 40))] * 3
    assert watched(bank(), 40, [])["number"].tolist() == [list(range(40))] * 3
    assert watched(bank(8), 5, [])["number"].tolist() == [list(range(5))] * 3


def test_a_uniform_sample_is_uniform() -> None:
    """Half of 20,000 frames: every tenth of them holds its share, within four standard deviations."""
    kept = watched(bank(10_000, "uniform"), 20_000, [5_000])["number"][0]
    assert len(set(kept.tolist())) == 10_000
    assert ((torch.histc(kept.float(), 10, 0, 20_000) - 1000).abs() < 4 * (2000 * 0.25) ** 0.5).all()


def test_the_surprising_are_those_least_like_the_frame_before() -> None:
    """Steps between directions: the first frame, then a turn, then two that stay, then the way back."""
    memory = bank(3, "surprising")
    one, other = torch.eye(WIDTH)[0], torch.eye(WIDTH)[1]
    u = torch.stack([one, other, other, other, one, one])[None, :, None]
    state = memory(u, torch.ones(1, 6, dtype=torch.bool), memory.initial_state(1))
    assert state["number"].tolist() == [[0, 1, 4]]
    assert memory.nbytes(state) == 3 * WIDTH + WIDTH + 3 * 4
    again = memory(u[:, 5:], torch.ones(1, 1, dtype=torch.bool), state)
    assert again["number"].tolist() == [[0, 1, 4]]


def test_of_equally_surprising_frames_the_newer_stay() -> None:
    memory = bank(2, "surprising")
    u = torch.eye(WIDTH)[[0, 1, 0, 1, 0]][None, :, None]
    assert memory(u, torch.ones(1, 5, dtype=torch.bool), memory.initial_state(1))["number"].tolist() == [[3, 4]]


def test_entries_are_int8_numbers_and_a_byte_each() -> None:
    memory = bank(8)
    state = watched(memory, 40, [])
    levels = state["entries"] * 127 / 4
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert levels.abs().max() <= 127.001
    assert memory.nbytes(state) == 3 * 8 * WIDTH


def test_gradients_pass_the_rounding_by() -> None:
    memory = bank()
    u = torch.randn(2, 5, 1, WIDTH, requires_grad=True)
    state = memory(u, torch.ones(2, 5, dtype=torch.bool), memory.initial_state(2))
    memory.read(state, torch.randn(3, WIDTH)).square().sum().backward()
    assert (u.grad.abs().sum(-1) > 0).all()


def test_reading_changes_nothing_and_probes_do_not_see_each_other() -> None:
    memory = bank(8)
    state = watched(memory, 40, [])
    before, probes = state.clone(), torch.randn(4, WIDTH)
    together = memory.read(memory.flush(state), probes)
    torch.testing.assert_close(together[:, 2:3], memory.read(state, probes[2:3]))
    assert all(torch.equal(before[name], state[name]) for name in state)
    assert len(memory.alone(state)["entries"][0]) == 0


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"keep": "first"}, {"frames": 0}, {"heads": 3}):
        with pytest.raises(ValueError, match="expected frames of 1 or more, keep one of last, uniform, surprising"):
            FrameBank(WIDTH, **wrong)
