"""The sliding window: training's mask is what streaming does, positions stay bounded, the budget is kept."""

import pytest
import torch

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.query import Query
from ssm_sense.memory.sliding_window import SlidingWindow, SlidingWindowMemory

PROMPT = "how many chairs are there ?"


@pytest.fixture
def window(language: CausalLM) -> SlidingWindow:
    torch.manual_seed(0)
    return SlidingWindow(language, 32, vision_width=12, places=9, frame_side=2, window=5).eval()


def test_masks_by_hand(window: SlidingWindow) -> None:
    window.window, window.frame_tokens = 2, 1
    visible, reach = window.masks(opening=1, frames=3)
    assert visible.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]]
    assert reach.int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]]


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 5, 6, 23])
def test_streaming_equals_the_training_pass(window: SlidingWindow, frames: int) -> None:
    latents = torch.randn(2, 23, 9, 12)
    queries = [
        Query(1, frames - 1, PROMPT, "B"),
        Query(0, 11, "which room is this", "kitchen"),
        Query(1, 3, PROMPT, "A"),
    ]
    seconds = torch.arange(23, dtype=torch.float64).repeat(2, 1)
    trained = window.losses(latents, seconds, queries)["per_query"]
    memory = SlidingWindowMemory(window)
    for t in range(frames):
        memory.observe(latents[1, t], None, float(t))
    streamed = memory.read(PROMPT, ["A. one", "B. two"]).log_likelihoods
    # Per-token mean of "B" and the end of the answer.
    torch.testing.assert_close(-streamed[1] / 2, float(trained[0]), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_bytes_stop_growing_at_the_window_and_at_the_budget(window: SlidingWindow) -> None:
    latents = torch.randn(40, 9, 12)
    memory = SlidingWindowMemory(window)
    sizes = []
    for t, one in enumerate(latents):
        memory.observe(one, None, float(t))
        sizes.append(memory.nbytes)
    per_frame = 2 * 2 * 4 * 32 * 4  # keys and values, layers, tokens, width, bytes
    assert sizes[:6] == [per_frame * n for n in (1, 2, 3, 4, 5, 5)]
    assert set(sizes[5:]) == {5 * per_frame}
    wide = SlidingWindowMemory(window, window=8)
    for t, one in enumerate(latents):
        wide.observe(one, None, float(t))
    assert wide.nbytes == 8 * per_frame
    tight = SlidingWindowMemory(window, budget_bytes=3 * per_frame + 1)
    for t, one in enumerate(latents):
        tight.observe(one, None, float(t))
        assert tight.nbytes <= 3 * per_frame


@torch.no_grad()
def test_reading_leaves_no_trace_and_a_saved_stream_goes_on(window: SlidingWindow) -> None:
    latents = torch.randn(16, 9, 12)
    asked, quiet = SlidingWindowMemory(window), SlidingWindowMemory(window)
    for t, one in enumerate(latents[:9]):
        asked.observe(one, None, float(t))
        quiet.observe(one, None, float(t))
        asked.read(PROMPT)
    resumed = SlidingWindowMemory(window)
    resumed.load_state_dict({k: v.clone() for k, v in quiet.state_dict().items()})
    for t, one in enumerate(latents[9:]):
        for memory in (asked, quiet, resumed):
            memory.observe(one, None, 9.0 + t)
    want = quiet.read(PROMPT, ["A. one", "B. two"])
    assert asked.read(PROMPT, ["A. one", "B. two"]) == want
    assert resumed.read(PROMPT, ["A. one", "B. two"]) == want


@torch.no_grad()
def test_keys_are_rounded_once_however_long_they_stay(frame_tokens, latents) -> None:
    """In half precision a frame's keys are the same to the bit from its first moment in the window to its last."""
    memory = SlidingWindowMemory(frame_tokens(begun=True, dtype="bfloat16"), window=6)
    held = []
    for t, one in enumerate(latents[:12]):
        memory.observe(one, None, float(t))
        held.append(memory.state_dict())
    # An opening of 3 tokens, and 4 a frame: frame 6 comes last in its own moment, and first in that of frame 11.
    for name in ("keys", "values"):
        assert torch.equal(held[6][name][:, :, -4:], held[11][name][:, :, 3:7])
        assert torch.equal(held[0][name][:, :, :3], held[11][name][:, :, :3])


def test_a_saved_stream_goes_on_where_the_model_is(window: SlidingWindow) -> None:
    memory = SlidingWindowMemory(window)
    for t in range(3):
        memory.observe(torch.randn(9, 12), None, float(t))
    saved = memory.state_dict()
    window.scale.to("meta")
    memory.load_state_dict(saved)
    assert {tensor.device.type for tensor in memory.state_dict().values()} == {"meta"}


def test_a_foreign_state_is_named(window: SlidingWindow) -> None:
    memory = SlidingWindowMemory(window)
    with pytest.raises(ValueError, match=r"event\.0\.ssm"):
        memory.load_state_dict({"event.0.ssm": torch.ones(1)})
    with pytest.raises(ValueError, match="expected 0 tokens and 4 a frame, got 7"):
        memory.load_state_dict({"keys": torch.ones(2, 2, 7, 16), "values": torch.ones(2, 2, 7, 16)})


def test_a_budget_that_holds_no_frame_is_refused(frame_tokens, latents) -> None:
    model = frame_tokens()
    least = SlidingWindowMemory(model)
    least.observe(latents[0], None, 0.0)
    small = SlidingWindowMemory(model, budget_bytes=least.nbytes - 1)
    expected = f"budget_bytes: expected at least {least.nbytes}, the opening and 1 frame, got {least.nbytes - 1}"
    with pytest.raises(ValueError, match=expected):
        small.observe(latents[0], None, 0.0)
    assert small.nbytes == 0
