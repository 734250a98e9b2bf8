"""A session: feeding is the same however it is cut, saved and resumed streams go on, bad input is refused whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

from ssm_sense.data.clip import Question
from ssm_sense.errors import UserError
from ssm_sense.memory.blind import Blind
from ssm_sense.memory.per_event import PerEventMemory
from ssm_sense.memory.policy import Answer, Observation, Policy
from ssm_sense.memory.pooled_bank import PooledBank
from ssm_sense.memory.storm import Storm
from ssm_sense.model import SsmSense
from ssm_sense.state import State
from ssm_sense.stream import Session
from ssm_sense.vision.tower import VisionTower

OPTIONS = ["A. kitchen", "B. bedroom"]


class Squares(VisionTower):
    """Latents that are the mean colours of a 2 × 2 grid, repeated to 12 features."""

    grid = 2
    width = 12
    fingerprint = "squares"

    def encode(self, frames: Tensor) -> Tensor:
        n, side = len(frames), frames.shape[1] // 2
        cells = frames.float().reshape(n, 2, side, 2, side, 3).mean((2, 4)).reshape(n, 4, 3)
        return (cells / 64 - 2).repeat(1, 1, 4)


def film(frames: int) -> Tensor:
    """Rooms of one colour, left after six frames, with noise."""
    generator = torch.Generator().manual_seed(0)
    rooms = torch.randint(0, 200, (frames // 6 + 1, 8, 8, 3), generator=generator).repeat_interleave(6, 0)[:frames]
    return (rooms + torch.randint(0, 40, rooms.shape, generator=generator)).to(torch.uint8)


@pytest.fixture
def session(model: SsmSense) -> Session:
    model.policy.threshold.fill_(0.74)  # which the random head's surprise at these films crosses now and then
    return Session(model.memory(), Squares())


def test_feeding_is_the_same_however_it_is_cut(session: Session) -> None:
    frames, seconds = film(40), [float(t) for t in range(40)]
    whole = session.feed(frames, seconds)
    answer = session.ask("how many chairs", OPTIONS)
    session.reset()
    pieces = [r for t in range(0, 40, 7) for r in session.feed(frames[t : t + 7], seconds[t : t + 7])]
    assert [r[:5] for r in pieces] == [r[:5] for r in whole]
    assert session.ask("how many chairs", OPTIONS) == answer
    assert answer.text in "AB"


def test_asking_leaves_no_trace(session: Session) -> None:
    session.feed(film(20), range(20))
    before = {k: v.clone() for k, v in session.memory.state_dict().items()}
    first = session.ask(Question("which room is this", "", 20.0, "asked"))
    assert session.ask(Question("which room is this", "", 20.0, "asked")) == first
    after = session.memory.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in before)


@pytest.mark.parametrize("cut", [0, 1, 13, 39])
def test_a_saved_stream_goes_on_to_the_bit(session: Session, model: SsmSense, tmp_path: Path, cut: int) -> None:
    frames = film(40)
    session.feed(frames, range(40))
    want = session.memory.state_dict()
    session.reset()
    session.feed(frames[:cut], range(cut))
    session.save(tmp_path / "s.safetensors")
    other = Session(model.memory(), Squares())
    other.load(tmp_path / "s.safetensors")
    assert (other.t_s, other.frames) == (cut - 1 if cut else -float("inf"), cut)
    other.feed(frames[cut:], range(cut, 40))
    got = other.memory.state_dict()
    assert all(torch.equal(got[k], want[k]) for k in want)


@pytest.mark.parametrize("cut", [0, 4])
@pytest.mark.parametrize("kind", ["blind", "per-event", "pooled-bank", "storm"])
def test_other_memories_go_on_as_well(language, model: SsmSense, tmp_path: Path, kind: str, cut: int) -> None:
    """Those that no name stands for in the catalogue, whose own test does the same."""
    torch.manual_seed(0)
    makers = {
        "blind": Blind(language, 32, 12).memory,
        "per-event": lambda: PerEventMemory(model),
        "pooled-bank": PooledBank(language, 32, 12).eval().memory,
        "storm": Storm(language, 32, 12, places=4).eval().memory,
    }
    whole, first, rest = (Session(makers[kind](), Squares()) for _ in range(3))
    whole.feed(film(9), range(9))
    first.feed(film(9)[:cut], range(cut))
    first.save(tmp_path / "s.safetensors")
    rest.load(tmp_path / "s.safetensors")
    rest.feed(film(9)[cut:], range(cut, 9))
    assert rest.ask("which room", OPTIONS) == whole.ask("which room", OPTIONS)
    assert (rest.nbytes, rest.frames) == (whole.nbytes, 9)


def test_what_another_model_saved_is_not_taken_up(model: SsmSense, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    mine, theirs, unnamed = (Session(model.memory(), Squares(), weights) for weights in ("mine", "theirs", ""))
    mine.feed(film(5), range(5))
    mine.save(path)
    with pytest.raises(UserError, match="expected a session of the model theirs, found one of another, mine"):
        theirs.load(path)
    assert theirs.frames == 0
    for one in (mine, unnamed):
        one.reset()
        one.load(path)
        assert one.frames == 5
    unnamed.save(path)
    theirs.load(path)


_GO_ON = """
import json, sys, torch
from pathlib import Path
from ssm_sense.state import State
from ssm_sense.stream import Session
torch.set_num_threads(1)
folder = Path(sys.argv[1])
model = torch.load(folder / "model.pt", weights_only=False)
latents = torch.load(folder / "latents.pt")
for cut in map(int, sys.argv[2:]):
    session = Session(model.memory(), None)
    session.load(folder / f"{cut}.safetensors")
    session.observe(latents[cut:], range(cut, len(latents)))
    State(session.memory.state_dict()).save(folder / f"{cut}.end.safetensors")
    answer = session.ask("which room", ["A. kitchen", "B. bedroom"])
    print(json.dumps([session.readings(0), session.registered[0].plain(), answer]))
"""


def test_a_stream_cut_anywhere_goes_on_in_a_new_process_to_the_bit(session: Session, tmp_path: Path) -> None:
    """Saved here, continued there: state, answers with likelihoods and running answers are the uncut ones."""
    latents = session.vision.encode(film(40))
    cuts = [0, 1, 6, 23, 39]
    torch.save(session.memory.model, tmp_path / "model.pt")
    torch.save(latents, tmp_path / "latents.pt")
    # Read here as it is there: where in memory weights lie decides the last bit of a product.
    session = Session(torch.load(tmp_path / "model.pt", weights_only=False).memory(), None)
    session.register("how many chairs")
    for t in range(40):
        if t in cuts:
            session.save(tmp_path / f"{t}.safetensors")
        session.observe(latents[t : t + 1], [t])
    want = [session.readings(0), session.registered[0].plain(), session.ask("which room", OPTIONS)]
    assert session.registered[0].events > 2
    command = [sys.executable, "-c", _GO_ON, str(tmp_path), *map(str, cuts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(json.dumps(want))] * len(cuts)
    for cut in cuts:
        end = State.load(tmp_path / f"{cut}.end.safetensors")
        assert end.keys() == session.memory.state.keys()
        assert all(torch.equal(end[k], session.memory.state[k]) for k in end)


def test_a_registered_question_keeps_a_running_answer(session: Session, model: SsmSense) -> None:
    """At every boundary: the whole memory is asked after the frame, the event that ended as it stood before it."""
    model.language.generate = lambda prefix, prompt: str(int(prefix.abs().sum() * 100) % 10)
    frames = film(40)
    session.feed(frames, range(40))
    silent = {k: v.clone() for k, v in session.memory.state_dict().items()}
    session.reset()
    number = session.register("how many chairs")
    assert session.registered[number].latest is None
    whole, ended = None, []
    for t in range(40):
        before = session.memory.state
        (report,) = session.feed(frames[t : t + 1], [t])
        if report.boundary:
            whole = (session.ask("how many chairs"), t)
            ended.append(int(session.memory.read_event(before, session.registered[number].prompt).text))
    one = session.registered[number]
    assert len(ended) > 2
    assert (one.latest, one.at_s) == whole
    assert (one.total, one.events, one.unread) == (sum(ended), len(ended), 0)
    now = session.readings(number)
    assert now.episode == session.ask("how many chairs")
    assert now.events == len(ended) + 1
    assert now.per_event == sum(ended) + int(session.memory.read_event(session.memory.state, one.prompt).text)
    assert session.registered[number] == one
    assert all(torch.equal(session.memory.state_dict()[k], silent[k]) for k in silent)


def test_registered_questions_cost_what_they_cost_and_are_saved(
    session: Session, model: SsmSense, tmp_path: Path
) -> None:
    session.register("how many chairs")
    session.register(Question("which room is this", "", 0.0, "asked", tuple(OPTIONS)))
    sizes = set()
    for chunk in range(3):
        session.feed(film(30), np.arange(30) + 30.0 * chunk)
        session.save(tmp_path / "s.safetensors")
        sizes.add((tmp_path / "s.safetensors").stat().st_size // 512)
    assert len(sizes) == 1
    other = Session(model.memory(), Squares())
    other.load(tmp_path / "s.safetensors")
    assert other.registered == session.registered
    assert other.registered[1].latest.text in "AB"
    other.reset()
    assert other.registered == []


def test_a_memory_without_events_has_one_reading(language) -> None:
    blind = Session(Blind(language, 32, 12).memory(), Squares())
    blind.register("how many chairs")
    blind.feed(film(3), range(3))
    now = blind.readings(0)
    assert (now.per_event, now.events) == (None, 0)
    assert now.episode == blind.ask("how many chairs")


def test_ten_thousand_frames_cost_what_ten_cost(session: Session) -> None:
    """Bytes equal, the process's memory flat, and no layer that works more at the end than at the start."""
    frames = film(500)
    sizes, memory = [], []
    process = psutil.Process()
    for chunk in range(20):
        reports = session.feed(frames, np.arange(500) + chunk * 500.0)
        sizes += [r.nbytes for r in reports]
        memory.append(process.memory_info().rss)
    assert session.frames == 10_000
    assert len(set(sizes)) == 1
    assert max(memory[5:]) - memory[4] < 16 * 2**20


BAD_TIMES = [
    ([3], "a time for each of 2 frames"),
    ([3, 4, 5], "a time for each of 2 frames"),
    ([3, 3], "increasing"),
    ([2, 3], "increasing"),
    ([float("nan"), 4], "finite"),
    ([3, float("nan")], "finite"),
    ([3, float("inf")], "finite"),
]


@pytest.mark.parametrize(("seconds", "named"), BAD_TIMES)
def test_bad_times_are_refused_before_anything_is_fed(session: Session, seconds: list[float], named: str) -> None:
    session.feed(film(3), range(3))
    before = session.memory.state_dict()
    for show, shown in ((session.feed, film(2)), (session.observe, session.vision.encode(film(2)))):
        with pytest.raises(ValueError, match=named):
            show(shown, seconds)
    assert (session.frames, session.t_s) == (3, 2.0)
    assert all(session.memory.state_dict()[name] is tensor for name, tensor in before.items())


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    device = torch.device("cuda")


class Launching(Squares):
    """A tower, and a memory, whose calls return before their work is done, as a GPU's do."""

    causal, query_aware, constant_memory, needs_training, nbytes = True, False, True, False, 0

    def __init__(self) -> None:
        super().__init__()
        self.left_s = self.now_s = 0.0

    def encode(self, frames: Tensor) -> Tensor:
        self.left_s += 0.1
        return super().encode(frames).as_subclass(OnGpu)

    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        self.left_s += 0.02
        return Observation(0.0, 1.0, False)

    def read(self, prompt: str, options: tuple[str, ...] = ()) -> Answer:
        return Answer("A")

    def synchronize(self, device: torch.device) -> None:
        self.now_s, self.left_s = self.now_s + self.left_s, 0.0


def test_milliseconds_are_those_until_a_gpu_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Launching()
    memory: Policy = gpu  # type: ignore[assignment]
    monkeypatch.setattr("torch.cuda.synchronize", gpu.synchronize)
    monkeypatch.setattr("ssm_sense.stream.time.perf_counter", lambda: gpu.now_s)
    session = Session(memory, gpu)
    assert [report.ms for report in session.feed(film(2), range(2))] == pytest.approx([70, 70])
    latents = gpu.encode(film(2))  # work of before, which is not the frame's
    assert [report.ms for report in session.observe(latents, range(2, 4))] == pytest.approx([20, 20])


def test_bad_input_is_refused_before_anything_is_fed(session: Session) -> None:
    session.feed(film(3), range(3))
    for frames, seconds, named in [
        (film(2).float(), [3, 4], "uint8"),
        (film(2)[..., :2], [3, 4], r"\(n, H, W, 3\)"),
    ]:
        with pytest.raises(ValueError, match=named):
            session.feed(frames, seconds)
    assert session.frames == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_latents_that_are_not_finite_are_refused_before_anything_is_fed(session: Session, bad: float) -> None:
    session.feed(film(3), range(3))
    before = dict(session.memory.state_dict())
    latents = Squares().encode(film(4))
    latents[2, 1, 0] = bad
    with pytest.raises(ValueError, match="latents: expected finite numbers, got nan or inf in frame 2"):
        session.observe(latents, range(3, 7))
    assert session.frames == 3
    after = dict(session.memory.state_dict())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_foreign_session_is_refused(session: Session, language, tmp_path: Path) -> None:
    blind = Session(Blind(language, 32, 12).memory(), Squares())
    blind.save(tmp_path / "blind.safetensors")
    with pytest.raises(UserError, match="RecurrentMemory"):
        session.load(tmp_path / "blind.safetensors")


def test_what_was_looked_for_is_told_in_order_of_time(session: Session, language) -> None:
    assert session.sightings() == []
    session.feed(film(30), range(30))
    memory = session.memory
    memory.state = State(
        {
            **memory.state,
            "sightings.sure": torch.tensor([[[[0.75, 0.7], [0.5, 0.1]]]]),
            "sightings.when": torch.tensor([[[[20.0, 1.0], [7.0, 2.0]]]], dtype=torch.float64),
        }
    )
    assert session.sightings() == [("bedroom", "kitchen", 7.0, 0.5), ("bedroom", "chairs", 20.0, 0.75)]
    blind = Session(Blind(language, 32, 12).memory(), session.vision)
    assert blind.sightings() == [], "it looks for nothing"
