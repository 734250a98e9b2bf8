"""The tiny language model's training: what it is shown, what it may see, stopping and resuming."""

import json

import pytest
import torch
import torch.nn.functional as F
from rich.progress import Progress

from ssm_sense import tiny
from ssm_sense.data.world.mixture import vocabulary
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.tiny import build_language, train_language
from ssm_sense.tiny.sketch import draw_sketch
from ssm_sense.tiny.statements import THINGS
from ssm_sense.tiny.train_language import Transcripts, losses_of, main, train

SILENT = Progress(disable=True)
WIDTH = 32


@pytest.fixture(scope="module")
def tours():
    """Six tours of half a minute."""
    return [draw_sketch("train", seed) for seed in range(6)]


@pytest.fixture(scope="module")
def meanings():
    """Random unit vectors in place of SigLIP's."""
    return F.normalize(torch.randn(len(THINGS), WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.fixture
def fresh(tmp_path):
    """Builds small language models, the same for the same seed."""

    def build(seed=0):
        build_language(tmp_path / str(seed), vocabulary(), hidden=WIDTH, layers=1, heads=2, seed=seed)
        return CausalLM(str(tmp_path / str(seed) / "llm")).load()

    return build


def test_batches_are_a_function_of_seed_and_step(tours, meanings):
    transcripts = Transcripts(tours, meanings, steps=10, asked=30, seed=0)
    batch, again = transcripts(9), transcripts(9)
    assert torch.equal(batch.seen, again.seen)
    assert batch.queries == again.queries
    assert not torch.equal(Transcripts(tours, meanings, 10, 30, seed=1)(9).seen[:1, :1], batch.seen[:1, :1])


def test_excerpts_grow_from_one_frame_to_the_whole_tour(tours, meanings):
    transcripts = Transcripts(tours, meanings, steps=100, asked=30, seed=0)
    frames = [batch.seen.shape[1] // batch.tokens_a_frame for batch in map(transcripts, range(100))]
    assert set(frames[:10]) == {1}
    assert max(frames[:40]) < 30
    assert max(frames[60:]) == 30


def test_tokens_have_the_norm_of_words(tours, meanings):
    """About 1; frames that show next to nothing stay a little below, by the layer norm's epsilon."""
    batch = Transcripts(tours, meanings, 10, 30, seed=0)(9)
    assert batch.seen.shape[2] == WIDTH
    norms = batch.seen.norm(dim=2)
    assert 0.98 < norms.median() <= 1
    assert 0.8 < norms.min() <= norms.max() < 1.001


def test_a_question_sees_the_frames_up_to_its_moment(tours, meanings, fresh):
    language = fresh()
    batch = next(b for b in map(Transcripts(tours, meanings, 10, 30, seed=0), range(5, 10)) if b.seen.shape[1] > 20)
    first = min(query.frame for query in batch.queries)
    later = batch.seen.clone()
    later[:, (first + 1) * batch.tokens_a_frame :] = 0
    earlier = batch.seen.clone()
    earlier[:, : (first + 1) * batch.tokens_a_frame] = 0
    with torch.no_grad():
        whole, without, blind = (losses_of(language, batch._replace(seen=s)) for s in (batch.seen, later, earlier))
    asked_first = torch.tensor([query.frame == first for query in batch.queries])
    torch.testing.assert_close(whole[asked_first], without[asked_first])
    assert not torch.allclose(whole[~asked_first], without[~asked_first])
    assert not torch.allclose(whole[asked_first], blind[asked_first])


def test_stopping_and_resuming_changes_no_bit(tours, meanings, fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(train_language, "SAVE_EVERY_S", 0.0)
    transcripts = Transcripts(tours, meanings, 4, 20, seed=0)
    whole = fresh()
    assert train(whole, transcripts, 1e-3, 9.0, tmp_path / "whole.pt", SILENT) == 4

    class Stops:
        steps = 4

        def __call__(self, step):
            if step == 2:
                raise KeyboardInterrupt
            return transcripts(step)

    with pytest.raises(KeyboardInterrupt):
        train(fresh(), Stops(), 1e-3, 9.0, tmp_path / "cut.pt", SILENT)
    resumed = fresh(seed=5)
    assert train(resumed, transcripts, 1e-3, 9.0, tmp_path / "cut.pt", SILENT) == 4
    for a, b in zip(whole.lm.parameters(), resumed.lm.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_command_writes_a_model_that_loads_and_its_numbers(tmp_path):
    common = ["--tours", "2", "--held-out", "2", "--steps", "3", "--layers", "1", "--asked", "20"]
    assert main(["--out", str(tmp_path), *common]) == 0
    language = CausalLM(str(tmp_path / "llm")).load()
    assert language.width == 128
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert numbers["steps"] == 3
    assert {"room_now", "room_now_other_tour", "visible", "visible_other_tour", "count_so_far"} <= numbers.keys()


def test_the_shipped_model_reads_what_is_in_front_of_it():
    """On houses of the validation split it loses much less than in front of another tour's frames."""
    language = CausalLM(str(tiny.folder() / "language" / "llm")).load()
    numbers = train_language.measure(
        language, [draw_sketch("val", seed) for seed in range(4)], train_language.meanings_of(tiny.folder() / "siglip")
    )
    for kind in ("room_now", "visible", "seen_here", "count_so_far", "needle_where"):
        assert numbers[kind] < 0.8 * numbers[f"{kind}_other_tour"], kind
