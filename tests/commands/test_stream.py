"""`ssm-sense stream` on small videos, with a random model of the real classes and with one that counts frames."""

import json
import math
import os
import signal
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from ssm_sense import folder
from ssm_sense.commands.stream import Reply, follow, main
from ssm_sense.data.clip import Question
from ssm_sense.data.video import DamagedVideo, write_video
from ssm_sense.errors import UserError
from ssm_sense.memory.policy import Answer, Observation
from ssm_sense.model import SsmSense
from ssm_sense.state import State
from ssm_sense.stream import Session
from ssm_sense.tiny import build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision import SiglipTower

FRAMES = 21


def write(path: Path, frames: int = FRAMES, brighter: int = 0) -> Path:
    """A frame a second, a new colour every five, and each of the five so much brighter than the one before."""
    draw = np.random.default_rng(0)
    colours = draw.integers(0, 256 - 4 * brighter, (FRAMES // 5 + 1, 3), dtype=np.uint8)
    shown = (colours[i // 5] + np.uint8(brighter * (i % 5)) for i in range(frames))
    write_video(path, (np.full((32, 48, 3), colour) for colour in shown), fps=1.0)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("video") / "walk.mp4")


class Counting:
    """A memory that answers with how many frames it has seen, or that option; every fifth frame is an event."""

    causal, query_aware, constant_memory, needs_training = True, False, True, False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.seen = 0

    def observe(self, latents, surprise, t_s) -> Observation:
        self.seen += 1
        return Observation(0.25 if self.seen > 1 else math.nan, 1.0, self.seen % 5 == 0)

    def read(self, prompt, options=()) -> Answer:
        return Answer(options[self.seen % len(options)][0], (-1.0, -math.inf)) if options else Answer(str(self.seen))

    def state_dict(self):
        return {"seen": torch.tensor(self.seen)}

    def load_state_dict(self, state) -> None:
        self.seen = int(state["seen"])

    nbytes = 8


class FirstPixel:
    grid, width, fingerprint = 1, 3, "first pixel"

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames[:, :1, 0].float()


def counting(_: Path) -> Session:
    return Session(Counting(), FirstPixel())


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_a_frame_and_an_answer_and_plain_text_elsewhere(video: Path, tmp_path: Path, capsys) -> None:
    jsonl = tmp_path / "lines.jsonl"
    asks = ["--ask", "How many?", "--at", "0:05", "--at", "12.5", "--ask", "Which?", "--options", "bed", "chair"]
    assert main([str(video), *asks, "--jsonl", str(jsonl)], counting) == 0
    lines = lines_of(jsonl)
    frames = [line for line in lines if line["type"] == "frame"]
    assert [line["t_s"] for line in frames] == list(range(FRAMES))
    assert frames[0] == {
        "type": "frame",
        "t_s": 0.0,
        "surprise": None,
        "gate": 1.0,
        "boundary": False,
        "nbytes": 8,
        "ms": frames[0]["ms"],
    }
    answers = [(lines.index(line), line) for line in lines if line["type"] == "answer"]
    assert [(i, a["t_s"], a["seen_s"], a["answer"]) for i, a in answers] == [
        (6, 5.0, 5.0, "6"),
        (14, 12.5, 12.0, "13"),
        (23, None, 20.0, "B"),
    ]
    assert answers[2][1]["options"] == ["A. bed", "B. chair"]
    assert answers[2][1]["log_likelihoods"] == [-1.0, None]
    shown = capsys.readouterr()
    assert shown.err == ""
    text = shown.out
    assert "00:00:05  How many?\n          6\n" in text
    assert "00:00:20  Which?\n          B. chair\n" in text
    assert "00:00:04  event 1, surprise 0.25\n" in text
    assert text.endswith(f"watched 21 frames, 4 events, surprise 0.25, memory 8 B, {text.split()[-2]} ms/frame\n")


def test_a_dash_leaves_stdout_to_the_lines(video: Path, capsys) -> None:
    assert main([str(video), "--jsonl", "-", "--fps", "2", "--ask", "How many?"], counting) == 0
    shown = capsys.readouterr()
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [line["type"] for line in lines] == ["frame"] * 2 * FRAMES + ["answer"]
    assert "watched 42 frames" in shown.err


def test_what_is_due_after_the_end_is_answered_at_the_end_with_a_note(video: Path, capsys) -> None:
    asks = ["--ask", "One?", "--at", "0:21", "--ask", "Two?", "--at", "1:00:00", "--ask", "Three?"]
    assert main([str(video), *asks], counting) == 0
    text = capsys.readouterr().out
    assert "00:00:20  One?\n          21\n" in text
    assert "00:00:20  Two? (due at 01:00:00, after the end)\n          21\n" in text
    assert "00:00:20  Three?\n          21\n" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_cleanly_with_what_was_seen(
    number: signal.Signals, video: Path, tmp_path: Path, capsys
) -> None:
    class Impatient(Counting):
        def observe(self, latents, surprise, t_s) -> Observation:
            if self.seen == 3:
                signal.raise_signal(number)
            return super().observe(latents, surprise, t_s)

    before = signal.getsignal(number)
    state = tmp_path / "state"
    arguments = [str(video), "--ask", "How many?", "--at", "19", "--save", str(state)]
    assert main(arguments, lambda _: Session(Impatient(), FirstPixel())) == 0
    assert signal.getsignal(number) is before
    text = capsys.readouterr().out
    seen = int(State.load(state)["seen"])
    assert 4 <= seen < FRAMES
    assert f"How many? (due at 00:00:19, after the end)\n          {seen}\n" in text
    assert f"interrupted after 00:00:{seen - 1:02d}\n" in text


@pytest.mark.parametrize(("minutes", "often"), [("0", True), ("10", False)])
def test_what_is_held_is_saved_on_the_way(minutes: str, often: bool, video: Path, tmp_path: Path) -> None:
    """What a power cut would leave: the state of what was seen up to a few frames before, or none before the end."""
    state, seen = tmp_path / "state", []

    class Watched(Counting):
        def observe(self, latents, surprise, t_s) -> Observation:
            if state.exists():
                seen.append(int(State.load(state)["seen"]))
            return super().observe(latents, surprise, t_s)

    session = Session(Watched(), FirstPixel())
    assert main([str(video), "--save", str(state), "--save-every", minutes], lambda _: session) == 0
    assert int(State.load(state)["seen"]) == FRAMES
    assert (len(set(seen)) > 1) == often
    assert bool(seen) == often


def test_a_second_interrupt_is_heard_at_once(video: Path) -> None:
    class VeryImpatient(Counting):
        def observe(self, latents, surprise, t_s) -> Observation:
            signal.raise_signal(signal.SIGINT)
            return super().observe(latents, surprise, t_s)

    with pytest.raises(KeyboardInterrupt):
        main([str(video)], lambda _: Session(VeryImpatient(), FirstPixel()))


def test_a_damaged_video_is_watched_as_far_as_it_goes() -> None:
    def frames():
        for i in range(11):
            yield np.zeros((4, 4, 3), dtype=np.uint8), float(i)
        raise DamagedVideo(Path("walk.mp4"), 11.0, 60.0)

    stream = follow(counting(Path()), frames(), [(math.inf, Question("How many?", "", math.inf, "asked"))])
    happened = [next(stream) for _ in range(12)]
    assert isinstance(happened[-1], Reply)
    assert happened[-1].answer.text == "11"
    with pytest.raises(DamagedVideo):
        next(stream)


def test_the_demos_model_comes_before_the_shipped_one(video: Path, tmp_path: Path, monkeypatch) -> None:
    opened = []

    def remember(path: Path) -> Session:
        opened.append(path)
        return counting(path)

    monkeypatch.chdir(tmp_path)
    main([str(video)], remember)
    (tmp_path / "demo" / "model").mkdir(parents=True)
    main([str(video)], remember)
    main([str(video), "--model", "mine"], remember)
    assert opened == [folder.default(), Path("demo/model"), Path("mine")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ask", "Why?", "--at", "noon"], "expected a time such as 00:10:00.*'noon'"),
        (["--at", "10"], "--at: expected after the --ask"),
        (["--options", "bed"], "--options: expected after the --ask"),
        (["--ask", " "], "--ask: expected a question"),
        (["--ask", "Why?", "--options", "A. bed", "chair"], "expected all with a letter"),
        (["--fps", "0"], "--fps: expected 0.0001 to 1000 frames a second, got 0"),
        (["--save", "nowhere/state"], "nowhere/state: there is no folder"),
        (["--jsonl", "nowhere/lines"], "nowhere/lines: there is no folder"),
        (["--save", "."], "expected the name of a file that can be written"),
        (["--jsonl", "."], "expected the name of a file that can be written"),
        (["--resume", "nothing"], "nothing: expected a state file"),
    ],
)
def test_bad_arguments_are_named(video: Path, tmp_path: Path, monkeypatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        main([str(video), *arguments], counting)


def test_the_video_is_not_written_over(tmp_path: Path) -> None:
    film = write(tmp_path / "walk.mp4", frames=3)
    before = film.read_bytes()
    for flag in ("--jsonl", "--save"):
        with pytest.raises(UserError, match="expected another file than the video"):
            main([str(film), flag, str(film)], counting)
    assert film.read_bytes() == before


def test_missing_videos_and_models_are_named(video: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.mp4: no such file"):
        main([str(tmp_path / "gone.mp4")], counting)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(UserError, match=r"text\.mp4"):
        main([str(tmp_path / "text.mp4")], counting)
    with pytest.raises(UserError, match="ftp://camera: expected a URL"):
        main(["ftp://camera"], counting)
    with pytest.raises(UserError, match="expected a model folder"):
        main([str(video), "--model", str(tmp_path / "gone")])


def test_a_camera_that_does_not_answer_takes_no_memory(tmp_path: Path) -> None:
    held = tmp_path / "held.safetensors"
    held.write_bytes(b"a memory of hours")
    with pytest.raises(UserError, match="cannot be opened"):
        main(["http://127.0.0.1:9/none", "--attempts", "0", "--save", str(held)], counting)
    assert held.read_bytes() == b"a memory of hours"


def test_a_passed_moment_is_refused_and_nothing_left_is_no_error(video: Path, tmp_path: Path, capsys) -> None:
    state = str(tmp_path / "state")
    main([str(video), "--save", state], counting)
    with pytest.raises(UserError, match="--at 00:00:05: the session goes on after that, at 00:00:21"):
        main([str(video), "--resume", state, "--ask", "How many?", "--at", "5"], counting)
    capsys.readouterr()
    assert main([str(video), "--resume", state, "--ask", "How many?"], counting) == 0
    ends = f"{video} ends at 00:00:21, and the session goes on at 00:00:21: there is nothing left to watch\n"
    assert capsys.readouterr().out == f"{ends}00:00:20  How many?\n          21\nwatched no frames\n"


@pytest.fixture
def model_folder(model: SsmSense, tmp_path: Path) -> Path:
    """The random model, written as any model is; it takes something for what it looks for."""
    assert model.sightings is not None
    torch.nn.init.zeros_(model.sightings.there.bias)
    siglip = new_siglip(
        build_tokenizer(tmp_path / "siglip" / "tokenizer", ["a"]), 12, 2, 2, image_size=32, patch_size=16
    )
    save_siglip(siglip, tmp_path / "siglip" / "siglip")
    vision = {"class_path": "ssm_sense.vision.siglip.SiglipTower", "init_args": {"path": "", "grid": 2}}
    sizes = {"vision_width": 12, "width": 16, "grid": 2, "layers": 2}
    policy = {"threshold": 1.0, "centre": 1.0, "shortest_event_s": 2.0}
    config = {
        "class_path": "ssm_sense.model.SsmSense",
        "init_args": {
            "encoder": {"class_path": "ssm_sense.nn.temporal.TemporalEncoder", "init_args": sizes},
            "head": {"class_path": "ssm_sense.nn.lfp.LFPHead", "init_args": {"width": 16, "vision_width": 12}},
            "policy": {"class_path": "ssm_sense.nn.surprise.SurprisePolicy", "init_args": policy},
            "episode": {
                "class_path": "ssm_sense.nn.episode.Episode",
                "init_args": {"width": 16, "tokens": 2, "layers": 2},
            },
            "language": {"class_path": "ssm_sense.language.causal_lm.CausalLM", "init_args": {"path": ""}},
            "language_width": 32,
            "concepts": ["chairs", "kitchen"],
            "sought": ["bedroom"],
        },
    }
    tower = SiglipTower(str(tmp_path / "siglip" / "siglip"), grid=2)
    folder.save_folder(tmp_path / "model", model, config, tower, vision)
    return tmp_path / "model"


def test_saved_and_resumed_is_as_if_never_interrupted(model_folder: Path, tmp_path: Path, capsys) -> None:
    # No two frames are alike: which of equals is a thing's surest sighting hangs on how they were rounded.
    video = write(tmp_path / "whole.mp4", brighter=8)
    part = write(tmp_path / "part.mp4", frames=9, brighter=8)
    asks = ["--ask", "how many chairs are there", "--ask", "which room is this", "--options", "kitchen", "bedroom"]
    common = ["--model", str(model_folder)]
    assert main([str(video), *common, *asks, "--jsonl", str(tmp_path / "a"), "--save", str(tmp_path / "whole")]) == 0
    assert main([str(part), *common, "--jsonl", str(tmp_path / "b"), "--save", str(tmp_path / "half")]) == 0
    resumed = ["--resume", str(tmp_path / "half"), "--jsonl", str(tmp_path / "b"), "--save", str(tmp_path / "rest")]
    assert main([str(video), *common, *asks, *resumed]) == 0
    whole, rest = State.load(tmp_path / "whole"), State.load(tmp_path / "rest")
    assert whole.keys() == rest.keys()
    for name in whole:
        torch.testing.assert_close(rest[name], whole[name], atol=1e-4, rtol=1e-4)
    lines = {name: [{**line, "ms": 0} for line in lines_of(tmp_path / name)] for name in "ab"}
    first, second = ([line for line in lines[name] if line["type"] in ("frame", "answer")] for name in "ab")
    assert len(first) == len(second) == FRAMES + 2
    assert [line["answer"] for line in first[FRAMES:]] == [line["answer"] for line in second[FRAMES:]]
    assert {line["nbytes"] for line in first[:FRAMES]} == {whole.nbytes}
    out = capsys.readouterr().out
    assert "(threshold 1.00)" in out
    seen, again = ([line for line in lines[name] if line["type"] == "sighting"] for name in "ab")
    assert seen
    held, since = (
        [(line["thing"], line["beside"], line["t_s"]) for line in part] for part in (seen, again[-len(seen) :])
    )
    assert held == since, "what the first part saw was written when it ended, and stands before them"
    assert len(lines["a"]) == FRAMES + 3 + len(seen)
    for line in lines["a"][-1], lines["b"][-1]:
        chairs = line["things"]["chairs"]
        assert line["t_s"] == FRAMES - 1
        assert chairs == pytest.approx(lines["a"][-1]["things"]["chairs"], abs=1e-4)
        assert 0 < chairs["here"] <= chairs["so_far"]
        assert 0 < chairs["in_view"] < 1
    assert f"counted {counted(lines['a'][-1]['things'])}" in out


def counted(things: dict[str, dict[str, float]]) -> str:
    numbers = {name: round(one["so_far"]) for name, one in things.items() if one["so_far"] > 0.5}
    return ", ".join(f"{name} {numbers[name]}" for name in sorted(numbers, key=lambda n: (-numbers[n], n))) or "nothing"


def test_a_reader_that_has_seen_enough_is_no_error(video: Path, tmp_path: Path, monkeypatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main([str(video), "--jsonl", "-", "--save", str(tmp_path / "state")], counting) == 0
        stdout.write("what is still written goes nowhere")
    assert int(State.load(tmp_path / "state")["seen"]) == 8


def test_a_pipe_is_watched_as_it_comes_and_a_resumed_one_goes_on(video: Path, tmp_path: Path, capsys) -> None:
    film, pipe, state, jsonl = (tmp_path / name for name in ("film.ts", "pipe", "state", "lines.jsonl"))
    with av.open(str(video)) as source, av.open(str(film), "w") as sink:
        track = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = track
                sink.mux(packet)
    os.mkfifo(pipe)
    for resume in ([], ["--resume", str(state)]):
        writer = threading.Thread(target=lambda: pipe.write_bytes(film.read_bytes()))
        writer.start()
        assert main([str(pipe), "--jsonl", str(jsonl), "--save", str(state), *resume], counting) == 0
        writer.join()
    seconds = [line["t_s"] for line in lines_of(jsonl)]
    assert seconds == list(range(len(seconds)))
    assert 2 * FRAMES - 4 <= len(seconds) <= 2 * FRAMES


def test_a_pipe_that_gives_no_picture_is_an_error(video: Path, tmp_path: Path) -> None:
    """An .mp4 has its index at the end, or wants to be sought in."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"no video at all" * 1000))
    writer.start()
    with pytest.raises(UserError, match=r"pipe: (expected a video, got no picture|cannot be opened)"):
        main([str(pipe)], counting)
    writer.join()
