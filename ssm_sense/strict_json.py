"""Result rows as lines of JSON that every reader takes."""

import json
import math
from collections.abc import Mapping
from typing import Any


def json_line(line: Mapping[str, Any]) -> str:
    """One line of strict JSON, its end included: numbers that are not finite become null."""
    return json.dumps(_finite(line), allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
