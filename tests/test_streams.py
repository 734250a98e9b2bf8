"""Streams side by side: each as if alone, whoever comes, goes or pauses; bytes linear in how many are open."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ssm_sense.errors import UserError
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.blind import Blind
from ssm_sense.model import SsmSense
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.stream import Session
from ssm_sense.streams import Streams
from ssm_sense.vision.tower import VisionTower

OPTIONS = ["A. kitchen", "B. bedroom"]


class Corner(VisionTower):
    """Latents that are the colour of the first pixel, four times over and at every place."""

    width, fingerprint = 12, "corner"

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def encode(self, frames: Tensor) -> Tensor:
        return (frames[:, :1, 0].float() / 64 - 2).repeat(1, self.grid**2, 4)


def made(language: CausalLM, grid: int) -> SsmSense:
    torch.manual_seed(0)
    model = SsmSense(
        TemporalEncoder(12, 16, grid, layers=2),
        LFPHead(16, 12),
        SurprisePolicy(threshold=1.0, centre=1.0, shortest_event_s=2.0),
        Episode(16, tokens=2, layers=2),
        language,
        language_width=32,
    )
    torch.nn.init.normal_(model.head.down.weight, std=0.3)
    return model.eval()


def rooms(seed: int, frames: int, places: int = 4) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    looks = torch.randn(frames // 6 + 1, places, 12, generator=draw).repeat_interleave(6, 0)[:frames]
    return looks + 0.3 * torch.randn(frames, places, 12, generator=draw)


def alone(streams: Streams, latents: Tensor, place: int = 0) -> dict[str, Tensor]:
    """The state of a stream that had all to itself, at the same place of a block."""
    by_itself = Streams(streams.model, streams.vision, streams.block)
    *others, number = (by_itself.open() for _ in range(place + 1))
    for other in others:
        by_itself.close(other)
    by_itself.observe({number: latents}, {number: range(len(latents))})
    return dict(by_itself.session(number).memory.state_dict())


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_comings_and_goings_of_others_change_no_bit(language: CausalLM, grid: int) -> None:
    """More streams than a block holds; they begin, pause, start anew, end, and others take their places."""
    streams = Streams(made(language, grid), Corner(grid), block=8)
    films = {i: rooms(i, 40, grid**2) for i in range(14)}
    numbers = {streams.open(): i for i in range(9)}
    seen = dict.fromkeys(numbers, 0)
    boundaries = 0
    for turn in range(40):
        if turn in (7, 20):
            leaving = next(n for n in streams.open_streams if numbers[n] == turn % 5)
            streams.close(leaving)
            seen.pop(leaving)
        if turn in (9, 21, 25):
            number = streams.open()
            numbers[number], seen[number] = 9 + turn % 5, 0
        if turn == 15:
            streams.reset(3)
            seen[3] = 0
        fed = [n for n in streams.open_streams if (n + turn) % 3 and seen[n] < 40]
        latents = {n: films[numbers[n]][seen[n] : seen[n] + 1 + turn % 2] for n in fed}
        seconds = {n: range(seen[n], seen[n] + len(latents[n])) for n in fed}
        for number, reports in streams.observe(latents, seconds).items():
            seen[number] += len(reports)
            boundaries += sum(report.boundary for report in reports)
    assert boundaries > 20
    for number in streams.open_streams:
        want = alone(streams, films[numbers[number]][: seen[number]], streams._open[number].place)
        got = streams.session(number).memory.state_dict()
        assert all(torch.equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize("block", [1, 8])
def test_a_stream_is_what_a_session_would_be(model: SsmSense, block: int) -> None:
    """To the bit where streams run by themselves; in blocks, whose products have more rows, within 1e-5."""
    streams = Streams(model, Corner(2), block)
    films = {streams.open(): rooms(seed, 30) for seed in range(3)}
    reports = streams.observe(films, {number: range(30) for number in films})
    for number, film in films.items():
        session = Session(model.memory(), Corner(2))
        wanted = session.observe(film, range(30))
        got, want = streams.session(number).memory.state_dict(), session.memory.state_dict()
        assert [r.boundary for r in reports[number]] == [r.boundary for r in wanted]
        assert (streams.session(number).t_s, streams.session(number).frames) == (29.0, 30)
        if block == 1:
            assert all(torch.equal(got[name], want[name]) for name in want)
            assert [r[:5] for r in reports[number]] == [r[:5] for r in wanted]
            assert streams.ask(number, "how many chairs", OPTIONS) == session.ask("how many chairs", OPTIONS)
        for name in want:
            torch.testing.assert_close(got[name], want[name], atol=1e-5, rtol=1e-5)


def test_bytes_are_linear_in_open_streams_and_in_nothing_else(model: SsmSense) -> None:
    streams = Streams(model, Corner(2))
    one = model.initial_state(1).nbytes
    numbers = [streams.open() for _ in range(11)]
    for begin in range(0, 60, 20):
        streams.observe({n: rooms(n, 20) for n in numbers}, {n: range(begin, begin + 20) for n in numbers})
        assert streams.nbytes == 11 * one
        gc.collect()
        # What is held is what is counted: no stream's rows keep those of its block alive.
        assert sum(t.untyped_storage().nbytes() for s in streams._open.values() for t in s.state.values()) == 11 * one
    streams.close(numbers[4])
    assert streams.nbytes == 10 * one


def test_a_stream_moves_to_a_session_and_back(model: SsmSense, language: CausalLM, tmp_path: Path) -> None:
    streams = Streams(model, Corner(2))
    film = rooms(0, 40)
    number = streams.open()
    streams.observe({number: film[:25]}, {number: range(25)})
    streams.session(number).save(tmp_path / "s.safetensors")
    streams.close(number)
    with pytest.raises(KeyError, match="no open stream 0; open ones: none"):
        streams.ask(number, "how many chairs")
    session = Session(model.memory(), Corner(2))
    session.load(tmp_path / "s.safetensors")
    again = streams.open(session)
    streams.observe({again: film[25:]}, {again: range(25, 40)})
    want = alone(streams, film)
    assert all(torch.equal(streams.session(again).memory.state_dict()[name], want[name]) for name in want)
    with pytest.raises(ValueError, match="expected the state of this model"):
        streams.open(Session(Blind(language, 32, 12).memory(), Corner(2)))


def test_the_name_of_the_weights_goes_along(model: SsmSense, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    mine, theirs = (Streams(model, Corner(2), weights=name) for name in ("mine", "theirs"))
    number = mine.open()
    mine.observe({number: rooms(0, 5)}, {number: range(5)})
    mine.session(number).save(path)
    with pytest.raises(UserError, match="expected a session of the model theirs, found one of another, mine"):
        Session(model.memory(), Corner(2), "theirs").load(path)
    with pytest.raises(ValueError, match="expected one of the model theirs, got one of mine"):
        theirs.open(mine.session(number))
    assert theirs.open_streams == ()
    unnamed = Session(model.memory(), Corner(2))
    unnamed.load(path)
    for streams, session in ((mine, mine.session(number)), (theirs, unnamed)):
        assert streams.session(streams.open(session)).frames == 5


def test_a_session_with_registered_questions_is_refused(model: SsmSense) -> None:
    session, streams = Session(model.memory(), Corner(2)), Streams(model, Corner(2))
    session.register("how many chairs")
    with pytest.raises(ValueError, match="expected no registered questions, got 1"):
        streams.open(session)
    assert streams.open_streams == ()


def test_asking_one_changes_none(model: SsmSense) -> None:
    streams = Streams(model, Corner(2))
    numbers = [streams.open() for _ in range(2)]
    streams.observe({n: rooms(n, 20) for n in numbers}, {n: range(20) for n in numbers})
    before = {n: dict(streams.session(n).memory.state_dict()) for n in numbers}
    assert streams.ask(numbers[0], "how many chairs", OPTIONS).text in "AB"
    for n in numbers:
        after = streams.session(n).memory.state_dict()
        assert all(torch.equal(after[name], before[n][name]) for name in after)


def test_milliseconds_are_those_until_a_gpu_is_done(model: SsmSense, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of this tower and this model return before their work is done; streams share the 20 ms of a step."""
    clock = {"now_s": 0.0, "left_s": 0.0}

    def launch(work: Callable[..., Any], seconds: float) -> Callable[..., Any]:
        def launched(*given: Any) -> Any:
            clock["left_s"] += seconds
            return work(*given)

        return launched

    def finish(device: torch.device) -> None:
        clock["now_s"], clock["left_s"] = clock["now_s"] + clock["left_s"], 0.0

    monkeypatch.setattr("ssm_sense.streams.time.perf_counter", lambda: clock["now_s"])
    monkeypatch.setattr("ssm_sense.stream.finish", finish)
    monkeypatch.setattr("ssm_sense.streams.finish", finish)
    vision = Corner(2)
    streams = Streams(model, vision)
    monkeypatch.setattr(vision, "encode", launch(vision.encode, 0.1))
    monkeypatch.setattr(model, "observe", launch(model.observe, 0.02))
    numbers = [streams.open() for _ in range(2)]
    pictures = torch.randint(0, 255, (2, 8, 8, 3)).byte()
    reports = streams.feed(dict.fromkeys(numbers, pictures), {n: [0, 1] for n in numbers})
    assert [r.ms for n in numbers for r in reports[n]] == pytest.approx([50 + 10] * 4)


def test_frames_of_any_size_and_bad_ones_refused_whole(model: SsmSense) -> None:
    streams = Streams(model, Corner(2))
    a, b = streams.open(), streams.open()
    pictures = {a: torch.randint(0, 255, (3, 8, 8, 3)).byte(), b: torch.randint(0, 255, (2, 16, 12, 3)).byte()}
    reports = streams.feed(pictures, {a: [0, 1, 2], b: [5.5, 6]})
    assert [r.t_s for r in reports[a]] == [0, 1, 2]
    assert [r.t_s for r in reports[b]] == [5.5, 6]
    for frames, seconds, named in [
        ({a: pictures[a].float()}, {a: [3, 4, 5]}, "stream 0: expected uint8"),
        ({a: pictures[a], b: pictures[b]}, {a: [3, 4, 5], b: [6, 7]}, "stream 1: expected increasing times after 6"),
        ({a: pictures[a]}, {a: [3, 4]}, "a time for each of 3 frames"),
        ({a: pictures[a]}, {a: [3, float("nan"), 5]}, "stream 0: expected finite times"),
        ({a: pictures[a], b: pictures[b]}, {a: [3, 4, 5], b: [7, float("inf")]}, "stream 1: expected finite times"),
        ({a: pictures[a]}, {b: [3, 4, 5]}, r"times of streams \[0\], got those of \[1\]"),
    ]:
        with pytest.raises(ValueError, match=named):
            streams.feed(frames, seconds)
    seen = {number: Corner(2).encode(pictures[number]) for number in (a, b)}
    seen[b][1, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="stream 1: expected finite numbers, got nan or inf in frame 1"):
        streams.observe(seen, {a: [3, 4, 5], b: [7, 8]})
    assert (streams.session(a).frames, streams.session(b).frames) == (3, 2)
    assert streams.feed({}, {}) == {}
    with pytest.raises(ValueError, match="block"):
        Streams(model, Corner(2), block=0)
