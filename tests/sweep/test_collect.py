"""Result files become flat columns."""

import json
from pathlib import Path

import pytest

from ssm_sense.errors import UserError
from ssm_sense.sweep.collect import collect


@pytest.fixture
def files(tmp_path: Path):
    """Writes files by name and gives their paths."""

    def write(**texts: str) -> list[Path]:
        for name, text in texts.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        return [tmp_path / name.replace("_", ".") for name in texts]

    return write


def test_nested_names_are_joined(files) -> None:
    found = {"a": 1, "recall": {"mean": 0.5, "ends": [0.4, None]}, "name": "x", "ok": True}
    assert collect(files(a_json=json.dumps(found))) == {
        "a": 1, "recall.mean": 0.5, "recall.ends.0": 0.4, "recall.ends.1": None, "name": "x", "ok": True,
    }  # fmt: skip


def test_of_a_csv_file_the_last_values_count(files) -> None:
    text = "step,val/loss,train/loss\n1,,2.5\n2,.75,\n3,,1.5\n4,,\n"
    assert collect(files(metrics_csv=text)) == {"step": 4, "val/loss": 0.75, "train/loss": 1.5}


def test_several_lines_share_what_other_files_hold(files) -> None:
    paths = files(rows_jsonl='{"load": 4, "x": 1}\n{"load": 8, "x": 2}\n', a_json='{"bytes": 10, "y": 0}')
    assert collect(paths) == [{"load": 4, "x": 1, "bytes": 10, "y": 0}, {"load": 8, "x": 2, "bytes": 10, "y": 0}]
    assert collect(paths, ["load", "bytes"]) == [{"load": 4, "bytes": 10}, {"load": 8, "bytes": 10}]


@pytest.mark.parametrize(
    ("texts", "keep", "message"),
    [
        ({"a_json": "{"}, (), "a.json: cannot be read"),
        ({"a_json": "3"}, (), "expected an object, or a list of objects, got int"),
        ({"a_json": "[1]"}, (), "expected an object, or a list of objects, got list"),
        ({"a_json": "{}"}, (), "expected a result, got nothing"),
        ({"a_json": "[]"}, (), "expected a result, got nothing"),
        ({"a_json": '{"x": 1}', "b_json": '{"x": 1}'}, (), "b.json: 'x' is in another result file too"),
        ({"a_json": "[{}]", "b_jsonl": '{"x": 1}'}, (), "b.jsonl: expected one file with a list"),
        ({"a_json": '{"x": 1}'}, ("y",), "expected 'y' in the result, got x"),
    ],
)
def test_what_is_no_result_is_said(files, texts, keep, message) -> None:
    with pytest.raises(UserError, match=message):
        collect(files(**texts), keep)


def test_a_missing_file_is_the_commands_fault(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.json: expected the commands of the cell to write it"):
        collect([tmp_path / "a.json"])
