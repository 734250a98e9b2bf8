"""A set that can be answered without looking is found out, one that cannot is not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssm_sense.cli import main
from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.controls import UNCHANGED, Controls
from ssm_sense.data.world.names import COUNTABLE, LANDMARKS
from ssm_sense.data.world.truth import (
    SCHEMA,
    CountingRule,
    FrameTruth,
    NeedleTruth,
    ObjectTruth,
    RoomTruth,
    Truth,
)
from ssm_sense.errors import UserError
from ssm_sense.evaluate import answerers
from ssm_sense.evaluate.answerers import Asked, SeenByMinute, Training
from ssm_sense.evaluate.audit import Finding, asked_of, audit, read_truths, refused, table

POSE = Pose(0, 0, 1.5, 0, 0)


def counting(seed: int, number: int, seconds: int = 60, category: str = "", controls: Controls = UNCHANGED) -> Truth:
    """A stream that shows `number` objects of one category, evenly in time."""
    category = category or COUNTABLE[seed % len(COUNTABLE)]
    at = [i * (seconds - 1) // max(number, 1) for i in range(number)]
    objects = tuple(ObjectTruth(i, category, "red", 0, 0, 0, 0, float(at[i])) for i in range(number))
    visible = [{i: 500 for i in range(number) if at[i] == t} for t in range(seconds)]
    frames = tuple(FrameTruth(float(t), 0, POSE, visible[t]) for t in range(seconds))
    rooms = (RoomTruth(0, "kitchen"),)
    return Truth(SCHEMA, "vsc", "test", seed, 1, 32, CountingRule(), rooms, objects, (), frames, 12.0, controls)


def recall(seed: int, landmarks: list[str]) -> Truth:
    needles = tuple(NeedleTruth(5 * i, 5.0 * i, "snowman", name, i, 0, 500) for i, name in enumerate(landmarks))
    return replace(counting(seed, 0), task="vsr", needles=needles)


def found(findings: list[Finding], kind: str) -> dict[str, Finding]:
    return {finding.answerer: finding for finding in findings if finding.kind == kind}


def test_numbers_drawn_without_regard_to_words_and_time_pass() -> None:
    rng = np.random.default_rng(0)
    truths = [counting(i, int(2 * 30 ** rng.random()), int(rng.integers(30, 120))) for i in range(40)]
    findings = found(audit(truths), "vsc")
    assert set(findings) == {"most frequent", "text only", "mean count", "chunk and sum", "density x time"}
    assert not refused(findings.values())


def test_the_same_number_everywhere_is_refused_only_above_chance() -> None:
    """Guessing another stream's answer is right as well, so a constant is no better than chance, but says nothing."""
    assert not refused(audit([counting(i, 7) for i in range(20)]))


def test_numbers_that_the_words_tell_are_refused() -> None:
    truths = [counting(i, 3 + 9 * (i % 3), category=COUNTABLE[i % 3]) for i in range(30)]
    findings = found(audit(truths), "vsc")
    assert findings["text only"].verdict == "refused"
    assert findings["text only"].value == 1
    assert findings["most frequent"].verdict == "passed"


def test_numbers_that_the_length_tells_are_refused() -> None:
    truths = [counting(i, (20 + 3 * i) // 4, 20 + 3 * i) for i in range(30)]
    findings = found(audit(truths), "vsc")
    assert findings["density x time"].verdict == "refused"
    assert findings["chunk and sum"].value > 0.5


def test_a_round_is_what_counts_where_rooms_come_back() -> None:
    rng = np.random.default_rng(0)
    truths = [counting(i, int(6 + 3 * rng.random()), 60, "box", Controls(revisit=2)) for i in range(20)]
    learn = [counting(i, 7, 20, "box") for i in range(10)]
    assert found(audit(truths, learn), "vsc")["last loop"].value > 0.7
    assert found(audit(truths, learn), "vsc")["density x time"].value == 0


def test_an_order_that_things_always_come_in_is_refused() -> None:
    rng = np.random.default_rng(1)
    shuffled = [recall(i, [str(n) for n in rng.permutation(LANDMARKS[:8])[:4]]) for i in range(40)]
    assert not refused(audit(shuffled))
    ordered = [replace(t, needles=tuple(sorted(t.needles, key=lambda n: n.landmark))) for t in shuffled]
    findings = found(audit(ordered), "vsr")
    assert findings["text only"].verdict == "refused"
    assert findings["text only"].chance == 0.25
    assert findings["most frequent"].verdict != "refused"


def test_few_streams_are_no_proof() -> None:
    truths = [counting(i, 3 + 9 * (i % 2), category=COUNTABLE[i % 2]) for i in range(4)]
    assert not refused(audit(truths))
    with pytest.raises(ValueError, match="at least two streams"):
        audit(truths[:1])
    learn = [counting(i, 3 + 9 * (i % 2), category=COUNTABLE[i % 2]) for i in range(20)]
    assert found(audit(truths[:1], learn), "vsc")["text only"].value == 1


def test_chunks_count_again_what_they_see_again() -> None:
    truth = counting(0, 2, 120, "box")
    always = replace(truth, frames=tuple(replace(f, visible={0: 500, 1: 100}) for f in truth.frames))
    assert SeenByMinute(always).counts("box") == [1, 1]
    assert SeenByMinute(always).counts("ball") == [0, 0]
    train = Training([a for a in asked_of(always) if a.question.kind == "vsc"])
    (asked,) = train.asked
    assert answerers.chunk_and_sum(train, asked) == "2"


def test_a_word_is_guessed_by_its_share(truth_of_a_tour: Truth) -> None:
    asked = [a for a in asked_of(truth_of_a_tour) if a.question.kind == "room_now"]
    train = Training(asked)
    assert train.chance(asked[0]) == 1
    other = Asked(replace(asked[0].question, answer="garage"), truth_of_a_tour, asked[0].slot, asked[0].seen)
    assert train.chance(other) == 0
    assert answerers.density_times_time(train, other) is None


@pytest.fixture
def truth_of_a_tour() -> Truth:
    return replace(counting(0, 3), task="tour")


def test_the_table_reads(truth_of_a_tour: Truth) -> None:
    lines = table(audit([counting(i, i) for i in range(1, 4)])).splitlines()
    assert lines[0].split() == ["kind", "blind", "answerer", "score", "95%", "chance", "n", "verdict"]
    assert all(line.split()[-1] in ("passed", "unsure", "refused") for line in lines[1:])


def test_the_command_refuses_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(12):
        counting(i, 3 + 9 * (i % 3), category=COUNTABLE[i % 3]).save(tmp_path / f"{i}.json")
        (tmp_path / f"{i}.mp4").touch()
    assert main(["world", "audit", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "refused; --force keeps it" in err
    assert "a blind answerer (text only) earns 100.0 on vsc" in err
    assert "text only" in out
    stored = json.loads((tmp_path / "audit.json").read_text())
    assert (stored["refused"], stored["forced"]) == (True, False)
    assert main(["world", "audit", str(tmp_path), "--force"]) == 0
    assert json.loads((tmp_path / "audit.json").read_text())["forced"]
    assert len(read_truths(tmp_path)) == 12


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected rendered videos"):
        read_truths(tmp_path)
