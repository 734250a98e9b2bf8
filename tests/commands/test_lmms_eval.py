"""lmms-eval's door: the parts that are ours, and the plug-in behind a stand-in for lmms-eval's own classes."""

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from ssm_sense.commands import data as data_command
from ssm_sense.commands import lmms_eval
from ssm_sense.data.clip import Question
from ssm_sense.data.lmms_log import lmms_log
from ssm_sense.data.video import write_video
from ssm_sense.data.vsi_bench import row_of
from ssm_sense.errors import UserError
from ssm_sense.memory.policy import Answer

CHOICES = ("A. bed", "B. tv")
NEAR = Question("These are frames of a video.\nWhich is nearer?", "A", 4.0, "object_rel_distance", CHOICES)
COUNT = Question("These are frames of a video.\nHow many chairs?", "5", 4.0, "object_counting")


class CountingSession:
    """Answers with the frames that it has seen, or the second of its options."""

    def __init__(self) -> None:
        self.fed: list[tuple[int, list[float]]] = []
        self.resets = 0
        self.memory = SimpleNamespace(read=self.read)

    def reset(self) -> None:
        self.resets += 1
        self.fed = []

    def feed(self, frames, seconds) -> None:
        self.fed.append((len(frames), list(seconds)))

    def read(self, prompt, options=()) -> Answer:
        return Answer(options[1][0] if options else str(sum(n for n, _ in self.fed)))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Two videos of five and four seconds, three questions, two of them the same."""
    folder = tmp_path / "bench"
    (folder / "scannet").mkdir(parents=True)
    for name, seconds in (("one", 5), ("two", 4)):
        write_video(folder / "scannet" / f"{name}.mp4", [np.zeros((32, 32, 3), np.uint8)] * seconds, 1)
    asked = [(NEAR, "one"), (COUNT, "two"), (COUNT, "one"), (COUNT, "two")]
    rows = [row_of(question, i, f"scannet/{name}.mp4") for i, (question, name) in enumerate(asked)]
    (folder / "test.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def row(clip: str, question: Question, prediction: str | None, run: str = "ours") -> dict:
    return {
        "run": run,
        "clip": f"scannet/{clip}",
        "kind": question.kind,
        "question": question.text,
        "options": list(question.options),
        "prediction": prediction,
    }


def test_answers_stand_at_the_place_of_their_question(bench: Path) -> None:
    rows = [row("two", COUNT, "3"), row("two", COUNT, "4"), row("one", NEAR, "B"), row("one", COUNT, None)]
    log, unanswered = lmms_log(rows, bench, "vsibench")
    assert [(one["doc_id"], one["resps"]) for one in log["logs"]] == [
        (0, [["B"]]),
        (1, [["3"]]),
        (2, [[""]]),
        (3, [["4"]]),
    ]
    assert unanswered == 0
    assert log["model_configs"] == {"task": "vsibench"}
    assert log["args"] == {"model": "ours", "model_args": "", "limit": None}
    assert lmms_log(rows[:1], bench, "vsibench")[1] == 3
    with pytest.raises(UserError, match="rows of one run, got none that is about its questions"):
        lmms_log([row("three", COUNT, "3")], bench, "vsibench")
    with pytest.raises(UserError, match="rows of one run, got "):
        lmms_log([*rows[:1], row("one", NEAR, "B", "other")], bench, "vsibench")


def test_the_command_writes_the_log(bench: Path, tmp_path: Path, capsys) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row("one", NEAR, "B", run)) + "\n" for run in ("ours", "other")))
    flags = ["lmms-log", str(rows), "--data", str(bench), "--run", "ours", "--out"]
    assert data_command.main([*flags, str(tmp_path / "logs" / "x.json")]) == 0
    assert "4 answers, 3 of them empty" in capsys.readouterr().out
    assert json.loads((tmp_path / "logs" / "x.json").read_text())["logs"][0]["resps"] == [["B"]]
    (bench / "vsi_590k.jsonl").write_text("")
    with pytest.raises(UserError, match="say with --layout which"):
        data_command.main([*flags, str(tmp_path / "y.json")])
    assert data_command.main([*flags, str(tmp_path / "y.json"), "--layout", "vsi-bench"]) == 0
    with pytest.raises(UserError, match=r"--out: expected a name that ends in \.json"):
        data_command.main([*flags, str(tmp_path / "x.txt")])


def test_options_are_read_from_the_prompt() -> None:
    assert lmms_eval.options_of(NEAR.prompt) == CHOICES
    assert lmms_eval.options_of(COUNT.prompt) == ()
    assert lmms_eval.options_of("A. lone line") == ()


def test_a_video_is_watched_once_for_all_that_is_asked_of_it_in_a_row(bench: Path) -> None:
    session = CountingSession()
    watcher = lmms_eval.Watcher(session, batch_frames=2)
    one, two = (bench / "scannet" / f"{name}.mp4" for name in ("one", "two"))
    assert list(watcher.answers([(one, COUNT.prompt), (one, NEAR.prompt)])) == ["5", "B"]
    assert session.fed == [(2, [0.0, 1.0]), (2, [2.0, 3.0]), (1, [4.0])]
    assert list(watcher.answers([(one, COUNT.prompt), (two, COUNT.prompt)])) == ["5", "4"]
    assert session.resets == 2
    with pytest.raises(UserError, match="expected fps above 0"):
        lmms_eval.Watcher(session, fps=0)


class Announced(CountingSession):
    """One whose memory answers what it was told of before its stream, as NoSenseAhead does."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = SimpleNamespace(read=self.read, expect=self.expect)

    def expect(self, questions) -> None:
        self.fed, self.expected = [], dict(questions)

    def read(self, prompt, options=()) -> Answer:
        assert self.expected[prompt] == options
        return super().read(prompt, options)


def test_a_policy_that_must_know_its_questions_is_told_all_of_a_video_before_it(bench: Path) -> None:
    session = Announced()
    watcher = lmms_eval.Watcher(session, batch_frames=2)
    one, two = (bench / "scannet" / f"{name}.mp4" for name in ("one", "two"))
    asked = [(one, COUNT.prompt), (one, NEAR.prompt), (two, COUNT.prompt)]
    assert list(watcher.answers(asked)) == ["5", "B", "4"]
    assert (session.resets, session.expected) == (2, {COUNT.prompt: ()})
    assert list(watcher.answers([(two, COUNT.prompt)])) == ["4"]
    assert session.resets == 2
    assert list(watcher.answers([(two, NEAR.prompt)])) == ["B"]  # of which it was not told
    assert (session.resets, session.expected) == (3, {NEAR.prompt: CHOICES})


@pytest.fixture
def plugin(monkeypatch):
    """The plug-in's class, over stand-ins for what it takes from lmms-eval."""

    class Base:
        def __init__(self) -> None:
            self.cache_hook = SimpleNamespace(add_partial=lambda *_: None)

    api, registry = ModuleType("lmms_eval.api.model"), ModuleType("lmms_eval.models.registry_v2")
    api.lmms = Base
    registry.ModelManifest = lambda model_id, simple_class_path: (model_id, simple_class_path)
    for name in ("lmms_eval", "lmms_eval.api", "lmms_eval.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, api.__name__, api)
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    (text,) = [
        line for line in (Path(__file__).parents[2] / "pyproject.toml").read_text().splitlines() if "manifest" in line
    ]
    point = EntryPoint("ssm_sense", text.split('"')[1], "lmms_eval.models")
    model_id, path = point.load()()
    assert model_id == "ssm_sense"
    module, _, name = path.rpartition(".")
    monkeypatch.delitem(sys.modules, module, raising=False)
    yield EntryPoint("class", f"{module}:{name}", "").load()
    sys.modules.pop(module, None)


def test_the_plugin_answers_requests_in_order(plugin, bench: Path, monkeypatch) -> None:
    opened = []
    monkeypatch.setattr(
        sys.modules[plugin.__module__], "open_policy", lambda *given: (opened.append(given), CountingSession())[1]
    )
    model = plugin("folder", policy="last-frames", budget_bytes="99", batch_size="1")
    assert opened == [("last-frames", "folder", {"budget_bytes": 99}, "cpu")]
    model.task_dict = {"vsibench": {"test": ["one", "two"]}}

    def visuals(name: str) -> list[str]:
        return [str(bench / "scannet" / f"{name}.mp4")]

    def request(question: Question, number: int, of=visuals) -> SimpleNamespace:
        return SimpleNamespace(args=(question.prompt, {}, of, number, "vsibench", "test"))

    assert model.generate_until([request(COUNT, 1), request(NEAR, 0), request(COUNT, 0)]) == ["4", "B", "5"]
    with pytest.raises(UserError, match="expected one video file a question, got"):
        model.generate_until([request(COUNT, 0, lambda name: [])])
    with pytest.raises(UserError, match="generate_until"):
        model.loglikelihood([])
