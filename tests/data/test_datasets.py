"""One door: what a folder holds is told by its tables."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssm_sense.commands import evaluate as command
from ssm_sense.data import datasets
from ssm_sense.data.datasets import Clips, layout_of, open_parts
from ssm_sense.data.video import write_video
from ssm_sense.data.vsi_590k import TABLE
from ssm_sense.data.world.batch import jobs, render
from ssm_sense.data.world.controls import Controls
from ssm_sense.data.world.export import BENCH_TABLE, export, export_bench
from ssm_sense.data.world.tables import write_table
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError

SCENES = ("scannet/scene0011_00", "arkitscenes/41069025")
BENCH = {"id": 0, "question": "How many table(s) are in this room?", "options": None, "ground_truth": "4"}
CHOICE = {"id": 1, "question": "Which?", "options": ["A. left", "B. back", "C. right"], "ground_truth": "B"}


def bench_rows() -> list[dict]:
    rows = []
    for scene in SCENES:
        where = dict(zip(("dataset", "scene_name"), scene.split("/"), strict=True))
        rows.append(BENCH | where | {"question_type": "object_counting"})
        rows.append(CHOICE | where | {"question_type": "object_rel_direction_medium"})
    return rows


def train_rows() -> list[dict]:
    turns = [{"from": "human", "value": "<image>\nHow many chair(s)?"}, {"from": "gpt", "value": "4"}]
    return [{"conversations": turns, "question_type": "object_count", "video": f"{scene}.mp4"} for scene in SCENES]


def super_rows() -> list[dict]:
    asked = {"question": "Which?", "options": ["A. Bed", "B. Sofa"], "answer": "A"}
    return [asked | {"video_path": f"{scene}.mp4"} for scene in SCENES]


def write(folder: Path, *layouts: str) -> Path:
    """Videos of three frames with the tables of some layouts, by the real column names."""
    for scene in SCENES:
        (folder / scene).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / f"{scene}.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3, 1)
    if "vsi-super" in layouts:
        pq.write_table(pa.Table.from_pylist(super_rows()), folder / "test_10mins.parquet")
    for layout, name, rows in (("vsi-bench", BENCH_TABLE, bench_rows()), ("vsi-590k", TABLE, train_rows())):
        if layout in layouts:
            (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("layout", "minutes", "kinds"),
    [
        ("vsi-super", 10.0, ["vsr"]),
        ("vsi-bench", None, ["object_counting", "object_rel_direction_medium"]),
        ("vsi-590k", None, ["object_count"]),
    ],
)
def test_a_layout_is_told_by_its_tables(tmp_path: Path, layout: str, minutes: float | None, kinds: list[str]) -> None:
    write(tmp_path, layout)
    assert layout_of(tmp_path) == layout
    (part,) = open_parts(tmp_path)
    assert (part.layout, part.minutes) == (layout, minutes)
    assert [clip.name for clip in part.clips] == list(SCENES)
    assert [question.kind for question in part.clips[0].questions] == kinds
    assert len(list(part.clips[1].frames)) == 3
    assert len(open_parts(tmp_path, limit=1)[0].clips) == 1


def test_a_folder_with_several_wants_to_be_told_which(tmp_path: Path) -> None:
    write(tmp_path, "vsi-super", "vsi-bench")
    with pytest.raises(UserError, match="holds tables of vsi-super and vsi-bench; say with --layout"):
        open_parts(tmp_path)
    assert [open_parts(tmp_path, layout)[0].layout for layout in ("vsi-super", "vsi-bench")] == [
        "vsi-super",
        "vsi-bench",
    ]


def test_a_folder_with_none_is_told_what_was_expected_and_found(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(
        UserError, match=r"expected test_10mins\.parquet .*vsi_590k\.jsonl.*; found arkitscenes/, scann"
    ):
        layout_of(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        layout_of(tmp_path / "nowhere")
    with pytest.raises(UserError, match="expected tables such as test_10mins"):
        open_parts(tmp_path, "vsi-super")


def test_kinds_of_question_are_chosen_and_checked(tmp_path: Path) -> None:
    write(tmp_path, "vsi-bench", "vsi-590k")
    (part,) = open_parts(tmp_path, "vsi-bench", tasks=["object_rel_direction"])
    assert [q.kind for clip in part.clips for q in clip.questions] == ["object_rel_direction_medium"] * 2
    with pytest.raises(UserError, match=r"expected of vsi-bench some of object_rel_direction_easy, .*; got vsr"):
        open_parts(tmp_path, "vsi-bench", tasks=["vsr"])
    with pytest.raises(UserError, match="expected questions of route_planning, found none"):
        open_parts(tmp_path, "vsi-bench", tasks=["route_planning"])
    with pytest.raises(UserError, match="--minutes: expected with VSI-SUPER alone"):
        open_parts(tmp_path, "vsi-590k", minutes=[10])


@pytest.mark.parametrize(
    ("layout", "table", "asked"),
    [("vsi-super", "test_10mins.parquet", 1), ("vsi-bench", BENCH_TABLE, 2), ("vsi-590k", TABLE, 1)],
)
def test_a_video_that_is_missing_is_one_clip_that_fails(tmp_path: Path, layout: str, table: str, asked: int) -> None:
    write(tmp_path, layout)
    (tmp_path / f"{SCENES[0]}.mp4").unlink()
    (part,) = open_parts(tmp_path)
    assert part.table == tmp_path / table
    lost, there = part.clips
    assert (lost.name, len(lost.questions)) == (SCENES[0], asked)
    with pytest.raises(UserError, match=rf"{table}, row 0: .*scene0011_00\.mp4"):
        list(lost.frames)
    assert len(list(there.frames)) == 3


@pytest.mark.parametrize("layout", ["vsi-super", "vsi-bench"])
def test_a_folder_without_any_video_is_refused(tmp_path: Path, layout: str) -> None:
    write(tmp_path, layout)
    for scene in SCENES:
        (tmp_path / f"{scene}.mp4").unlink()
    with pytest.raises(UserError, match=r"row 0: .*scene0011_00\.mp4: no such file"):
        open_parts(tmp_path)


def test_clips_are_made_when_they_are_asked_for() -> None:
    made: list[int] = []

    def make(i: int) -> int:
        made.append(i)
        return i

    clips: Clips = Clips(10, make)  # type: ignore[arg-type]
    assert clips[2:5][1] == 3
    assert clips[-1] == 9
    assert list(clips[:2].map(lambda i: 10 * i)) == [0, 10]  # type: ignore[arg-type, return-value, operator]
    assert made == [3, 9, 0, 1]
    with pytest.raises(IndexError):
        clips[10]


def test_rendered_streams_go_through_the_same_door(tmp_path: Path) -> None:
    render(tmp_path, jobs("tour", "val", 0, 0.3, 1, 1, 32, 6.0), 1)
    with pytest.raises(UserError, match="rendered videos without questions, which `ssm-sense data export` asks"):
        layout_of(tmp_path)
    counts = export_bench(tmp_path, draws=3)
    (part,) = open_parts(tmp_path)
    (clip,) = part.clips
    assert part.layout == "vsi-bench"
    assert clip.name == "0.3mins/00000000"
    assert clip.events
    kinds = [question.kind for question in clip.questions]
    assert {kind: kinds.count(kind) for kind in kinds} == counts
    assert counts["room_size_estimation"] == 1  # asked thrice, and each time the same
    assert len({(q.kind, q.text) for q in clip.questions}) == len(clip.questions)
    export(tmp_path, stops=2)
    (train,) = open_parts(tmp_path, "vsi-590k")[0].clips
    assert train.events == clip.events
    assert min(question.t_s for question in train.questions) < train.duration_s


def test_one_stream_is_asked_at_every_duration_that_it_reaches(tmp_path: Path) -> None:
    controls = Controls(facts=8)
    work = [
        *jobs("vsr", "val", 0, 3.0, 1, 1, 32, 6.0, controls),
        *(replace(job, name=f"3mins/1{job.name[-11:]}") for job in jobs("vsc", "val", 1, 3.0, 1, 1, 32, 6.0)),
    ]
    render(tmp_path, work, 1)
    write_table(tmp_path, work[:1])
    (recall,) = open_parts(tmp_path, tasks=["vsr"], ask_at=[0.01, 1, 2, 3, 30])[0].clips
    truth = Truth.load(tmp_path / f"{recall.name}.json")
    assert [question.t_s for question in recall.questions] == [60.0, 120.0, 180.0]
    for question in recall.questions:
        order = [name.lower() for name in question.options["ABCD".index(question.answer)][3:].split(", ")]
        name = question.text.split("the order in which the ")[1].split(" appeared")[0]
        shown = [n.landmark for n in truth.needles if n.needle == name and n.t_s <= question.t_s]
        assert [landmark for landmark in shown if landmark in order] == order
        assert len(order) == min(4, max(Counter(n.needle for n in truth.needles if n.t_s <= question.t_s).values()))
    again = open_parts(tmp_path, tasks=["vsr"], ask_at=[2])[0].clips[0]
    assert again.questions == recall.questions[1:]
    many = open_parts(tmp_path, tasks=["vsr"], ask_at=[2], draws=6)[0].clips[0].questions
    assert many[0] == recall.questions[1]
    assert {question.t_s for question in many} == {120.0, 180.0}
    for t_s in (120.0, 180.0):
        asked = [(q.text, frozenset(q.options[0][3:].split(", "))) for q in many if q.t_s == t_s]
        assert 1 < len(asked) <= 6
        assert len(set(asked)) == len(asked)
    write_table(tmp_path, work[1:])
    (part,) = open_parts(tmp_path, tasks=["vsc"], ask_at=[1])
    count = next(clip for clip in part.clips if clip.name.startswith("3mins/1"))
    truth = Truth.load(tmp_path / f"{count.name}.json")
    early, late = count.questions
    category = early.text.split("How many different ")[1].split("(s)")[0]
    assert (early.t_s, early.answer) == (60.0, str(len(truth.counted(category, 60.0))))
    assert (late.t_s, late.answer) == (180.0, str(len(truth.counted(category, 180.0))))


def test_only_rendered_streams_in_its_layout_are_asked_on_the_way(tmp_path: Path) -> None:
    write(tmp_path, "vsi-super", "vsi-bench")
    with pytest.raises(UserError, match="--ask-at: expected rendered streams with their truth beside them; scannet"):
        open_parts(tmp_path, "vsi-super", ask_at=[1])
    with pytest.raises(UserError, match="--ask-at: expected with VSI-SUPER's layout alone"):
        open_parts(tmp_path, "vsi-bench", ask_at=[1])


def test_the_command_line_names_the_same_layouts() -> None:
    assert command.LAYOUTS == datasets.LAYOUTS
    assert command.TASKS == datasets.SUPER_TASKS
