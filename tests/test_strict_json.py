"""Rows are strict JSON, a line each."""

import json
import math

from ssm_sense.strict_json import json_line


def test_what_is_not_finite_becomes_null_at_any_depth() -> None:
    line = json_line({"a": math.nan, "b": [1.5, -math.inf, {"c": (math.inf, "é")}], "d": 2})
    assert line.endswith("}\n")
    assert "é" in line
    assert json.loads(line, parse_constant=lambda name: 1 / 0) == {
        "a": None,
        "b": [1.5, None, {"c": [None, "é"]}],
        "d": 2,
    }
