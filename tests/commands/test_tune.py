"""`ssm-sense tune` on rendered validation streams, with a policy whose score is known and with the real ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from ssm_sense.commands import tune as command
from ssm_sense.commands.policies import policy_settings
from ssm_sense.data.datasets import open_parts
from ssm_sense.data.features import extract
from ssm_sense.data.world.batch import jobs, render
from ssm_sense.data.world.tables import write_table
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError
from ssm_sense.evaluate.tune import combinations, is_paper
from ssm_sense.memory.blind import Blind
from ssm_sense.memory.catalogue import CLASSES, build
from ssm_sense.memory.policy import Answer, Observation
from ssm_sense.memory.sliding_window import SlidingWindow
from ssm_sense.metrics.score import mean_relative_accuracy

GRIDS = sorted(command.GRIDS.glob("*.yaml"))
STREAMS, FRAMES = 2, 12


class Guess:
    """Always says the same number, cannot say one below 0, and is interrupted when it has watched so many frames."""

    causal, query_aware, constant_memory, needs_training = True, False, True, False
    nbytes = 0
    frames: ClassVar[int] = 0
    patience: ClassVar[float] = float("inf")

    def __init__(self, model: object, number: int = 0, budget_bytes: int | None = None) -> None:
        self.number = number

    def reset(self) -> None: ...

    def observe(self, latents: torch.Tensor, surprise: float | None, t_s: float) -> Observation:
        if Guess.frames >= Guess.patience:
            raise KeyboardInterrupt
        Guess.frames += 1
        return Observation(0.0, 1.0, False)

    def read(self, prompt: str, options: Any = ()) -> Answer:
        if self.number < 0:
            raise RuntimeError("below 0")
        return Answer(str(self.number))

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {}


class Squares(torch.nn.Module):
    """Latents that are the mean colours of a 2 × 2 grid, repeated to 12 features."""

    fingerprint = "squares"

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        n, side = len(frames), frames.shape[1] // 2
        cells = frames.float().reshape(n, 2, side, 2, side, 3).mean((2, 4)).reshape(n, 4, 3)
        return (cells / 64 - 2).repeat(1, 1, 4)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streams to count in, and their latents."""
    folder = tmp_path_factory.mktemp("rendered")
    render(folder / "count", work := jobs("vsc", "val", 0, FRAMES / 60, STREAMS, size=32, dwell_s=4.0), 1)
    write_table(folder / "count", work)
    for job in work:
        extract(folder / "count" / job.name, Squares(), folder / "features")
    return folder


@pytest.fixture
def data(rendered: Path, tmp_path: Path) -> Path:
    """They once more, to be changed: the cache knows videos by their content."""
    copy = tmp_path / "count"
    for file in (rendered / "count").rglob("*.*"):
        if file.is_file():
            (copy / file.relative_to(rendered / "count")).parent.mkdir(parents=True, exist_ok=True)
            (copy / file.relative_to(rendered / "count")).write_bytes(file.read_bytes())
    return copy


@pytest.fixture
def window(language) -> SlidingWindow:
    return SlidingWindow(language, 32, vision_width=12, places=4, window=4).eval()


@pytest.fixture
def tune(rendered: Path, data: Path, window: SlidingWindow, tmp_path: Path) -> Callable[..., tuple[int, Any, Any]]:
    """Tunes a policy over a grid, and gives the status, P.yaml and P.json."""
    Guess.frames, Guess.patience = 0, float("inf")
    (tmp_path / "model").mkdir()

    def run(
        policy: str, grid: Any, *flags: str, out: str = "tuned/p.yaml", model: Any = window
    ) -> tuple[int, Any, Any]:
        (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
        given = [
            "--policy",
            policy,
            "--model",
            str(tmp_path / "model"),
            "--data",
            str(data),
            "--out",
            str(tmp_path / out),
        ]
        given += ["--features", str(rendered / "features")]
        if grid is not None:
            given += ["--grid", str(tmp_path / "grid.yaml")]
        status = command.main([*given, *flags], lambda _: (model, Squares()))
        texts = [(tmp_path / out).with_suffix(suffix).read_text() for suffix in (".yaml", ".json")]
        return status, yaml.safe_load(texts[0]), json.loads(texts[1])

    return run


GUESS = f"{__name__}.Guess"


def score_of(number: int, data: Path, **asked: Any) -> float:
    """What a constant earns, worked out from the questions alone."""
    credits: dict[str, list[float]] = {}
    for clip in open_parts(data, "vsi-super", **asked)[0].clips:
        for question in clip.questions:
            credits.setdefault(question.kind, []).append(mean_relative_accuracy(number, float(question.answer)))
    return sum(sum(some) / len(some) for some in credits.values()) / len(credits)


def test_the_best_combination_is_written_with_what_it_was_picked_on(tune, data, tmp_path, capsys) -> None:
    numbers = [0, 1000, *range(1, 7)]
    scores = [score_of(number, data) for number in numbers]
    best = numbers[scores.index(max(scores))]
    assert scores.count(max(scores)) == 1
    assert best not in (0, 1000), "neither the paper's nor the first"
    status, settings, record = tune(GUESS, {"number": numbers}, "--budget-bytes", "77")
    assert (status, settings) == (0, {"number": best, "budget_bytes": 77})
    assert policy_settings(tmp_path / "tuned" / "p.yaml", None) == settings
    assert [one["settings"]["number"] for one in record["combinations"]] == numbers
    assert [one["score"] for one in record["combinations"]] == pytest.approx(scores)
    assert [one["paper"] for one in record["combinations"]] == [True, *[False] * 7]
    assert record["chosen"] == record["combinations"][numbers.index(best)]
    assert set(record["chosen"]["kinds"]) == {"vsc", "vsc-streaming"}
    assert record["streams"] == {"0-count-0.2min": ["0.2mins/00000000", "0.2mins/00000001"]}
    assert (record["split"], record["seeds"], len(record["weights"])) == ("val", {"0-count-0.2min": [0, 1]}, 16)
    assert all(record["commits"])
    assert record["command"].startswith(f"ssm-sense tune --policy {GUESS}")
    comment = (tmp_path / "tuned" / "p.yaml").read_text()
    assert f"# {max(scores):.4f} on {record['chosen']['n']} questions of 2 streams of the val split (count)." in comment
    assert f"number {best}, budget_bytes 77: score {max(scores):.4f}" in capsys.readouterr().out


def test_where_all_score_0_the_nearest_counts_win(tune) -> None:
    assert tune(GUESS, {"number": [9000, 3000, 6000]})[1] == {"number": 3000}


def test_an_interrupted_tuning_goes_on_stream_by_stream(tune, tmp_path) -> None:
    grid = {"number": [2, 1, 3]}
    whole = tune(GUESS, grid, out="whole/p.yaml")[2]
    assert Guess.frames == 3 * STREAMS * FRAMES
    Guess.frames, Guess.patience = 0, (STREAMS + 1) * FRAMES + 5
    with pytest.raises(KeyboardInterrupt):
        tune(GUESS, grid)
    assert not list((tmp_path / "tuned").glob("p.*"))
    Guess.frames, Guess.patience = 0, float("inf")
    record = tune(GUESS, grid)[2]
    assert Guess.frames == (2 * STREAMS - 1) * FRAMES
    assert record["combinations"] == whole["combinations"]
    tune(GUESS, {"number": [3, 2]})
    assert Guess.frames == (2 * STREAMS - 1) * FRAMES, "another grid finds what was watched for the one before"


def test_another_model_and_other_questions_find_nothing_of_those_before(tune, tmp_path) -> None:
    tune(GUESS, {"number": [2]})
    (tmp_path / "model" / "llm").mkdir()
    (tmp_path / "model" / "llm" / "model.safetensors").write_bytes(b"other")
    tune(GUESS, {"number": [2]})
    assert Guess.frames == 2 * STREAMS * FRAMES
    table = tmp_path / "count" / "test_0.2mins.parquet"
    pq.write_table(pq.read_table(table).slice(1), table)
    tune(GUESS, {"number": [2]})
    assert Guess.frames == 3 * STREAMS * FRAMES


def test_streams_are_asked_on_the_way_too(tune, data) -> None:
    plain = tune(GUESS, {"number": [2]})[2]["chosen"]
    asked = tune(GUESS, {"number": [2]}, "--ask-at", "0.1")[2]["chosen"]
    assert asked["n"] == plain["n"] + STREAMS
    assert asked["score"] == pytest.approx(score_of(2, data, ask_at=(0.1,)))


def test_a_combination_that_fails_is_not_picked_and_is_the_exit_status(tune, tmp_path) -> None:
    status, settings, record = tune(GUESS, {"number": [-1, 1000]})
    assert (status, settings) == (1, {"number": 1000})
    assert [one["failed"] for one in record["combinations"]] == [STREAMS, 0]
    with pytest.raises(UserError, match="every combination failed on some stream"):
        tune(GUESS, {"number": [-1]}, out="failed/p.yaml")
    assert not list((tmp_path / "failed").glob("p.*"))


def test_streams_of_another_split_are_refused(tune, data, tmp_path) -> None:
    truth = data / "0.2mins" / "00000001.json"
    replace(Truth.load(truth), split="test").save(truth)
    with pytest.raises(UserError, match="expected streams of the val split, found some of test"):
        tune(GUESS, {"number": [2]})
    truth.unlink()
    with pytest.raises(UserError, match="expected a truth file"):
        tune(GUESS, {"number": [2]})
    assert not (tmp_path / "tuned").exists()
    assert Guess.frames == 0


@pytest.mark.parametrize(
    ("policy", "grid", "flags", "said"),
    [
        (GUESS, {}, [], r"grid\.yaml: expected settings by name"),
        (GUESS, {"number": []}, [], r"grid\.yaml: expected settings by name"),
        (GUESS, {"number": [*range(33)]}, [], "expected 32 combinations or fewer, got 33"),
        (GUESS, {"number": [2], "numbr": [3]}, [], "numbr"),
        (GUESS, {"number": [2, "many"]}, [], "number"),
        (GUESS, {"budget_bytes": [2]}, ["--budget-bytes", "3"], "has budget_bytes too"),
        (GUESS, None, [], "--grid: .*No such file"),
        ("movie-chat", {"short": [18, 1]}, [], "expected 1 <= merged < short"),
        ("rekv", None, ["--budget-bytes", "9"], "budget_bytes"),
        ("oracle", {"number": [2]}, [], "--policy: expected one of sliding-window, .*got 'oracle'"),
        (GUESS, {"number": [2]}, ["--fps", "2"], "expected its latents in .*; extract them first"),
        (GUESS, {"number": [2]}, ["--ask-at", "5"], r"--ask-at: expected minutes up to 0\.2, got 5"),
        (GUESS, {"number": [2]}, ["--ask-at", "nan"], "--ask-at: expected minutes above 0, got nan"),
        (GUESS, {"number": [2]}, ["--draws", "2"], "--draws: expected 1, or more with --ask-at"),
        (GUESS, {"number": [2]}, ["--data", "nowhere"], "nowhere: no such folder"),
        (GUESS, {"number": [2]}, ["--device", "cuda:99"], "--device cuda:99: "),
        (GUESS, {"number": [2]}, ["--out", "p.json"], "--out: expected a file such as P.yaml"),
        *((name, None, [], "nothing to tune, it has no setting but how much it holds") for name in command.NOTHING),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_watched(tune, tmp_path, policy, grid, flags, said) -> None:
    with pytest.raises(UserError, match=said):
        tune(policy, grid, *flags)
    assert Guess.frames == 0
    assert not (tmp_path / "tuned").exists()


def test_a_model_without_frame_tokens_is_refused(tune, language) -> None:
    with pytest.raises(UserError, match=r"expected a model of frame tokens.*got Blind"):
        tune(GUESS, {"number": [2]}, model=Blind(language, 32, 12))


def test_a_rival_is_tuned_over_the_grid_of_its_own(tune, window, tmp_path) -> None:
    status, settings, record = tune("attention-sinks", None)
    assert status == 0
    assert [one["settings"]["sinks"] for one in record["combinations"]] == [4, 0, 1, 16, 64]
    assert record["chosen"]["score"] == max(one["score"] for one in record["combinations"])
    chosen: Any = build("attention-sinks", window, policy_settings(tmp_path / "tuned" / "p.yaml", None))
    assert chosen.sinks == settings["sinks"]


def test_there_is_a_grid_for_each_policy_that_has_something_to_set() -> None:
    assert {path.stem for path in GRIDS} == set(CLASSES) - set(command.NOTHING)


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_a_grid_holds_the_papers_settings_once_and_all_of_it_is_built(path: Path, window: SlidingWindow) -> None:
    found = [(build(path.stem, window, one), one) for one in combinations(yaml.safe_load(path.read_text()))]
    assert len(found) >= 5
    assert sum(is_paper(memory, settings) for memory, settings in found) == 1
