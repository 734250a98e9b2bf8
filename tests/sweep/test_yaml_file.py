"""YAML is read strictly, and every complaint names file and line."""

from pathlib import Path

import pytest

from ssm_sense.errors import UserError
from ssm_sense.sweep.yaml_file import read_yaml


def test_switches_are_words_and_exponents_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("gate: {on: [], off: no}\nflags: [true, false, yes]\nrates: [1e-3, 5E2, .5, 7]\n")
    assert read_yaml(path) == {
        "gate": {"on": [], "off": "no"},
        "flags": [True, False, "yes"],
        "rates": [1e-3, 500.0, 0.5, 7],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "line 3: 'c' stands twice"),
        ("a: [1,\n", "line 2: "),
        ("- a\n", "expected a mapping, got list"),
        ("? [a, b]\n: 1\n", "expected a plain key"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.yaml") as caught:
        read_yaml(path)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_or_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="expected UTF-8"):
        read_yaml(tmp_path / "b.yaml")
