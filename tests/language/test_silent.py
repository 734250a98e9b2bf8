"""Silence costs nothing, loses nothing and saves nothing."""

from pathlib import Path

import pytest
import torch

from ssm_sense.errors import UserError
from ssm_sense.language.silent import SilentLM


def test_it_loses_nothing_whatever_it_is_asked() -> None:
    language = SilentLM(8).load()
    assert language.width == 8
    assert list(language.parameters()) == []
    assert torch.equal(language.loss(torch.randn(3, 5, 8), ["a", "b", "c"], ["x", "y", "z"]), torch.zeros(3))


def test_it_is_no_part_of_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a language model that answers"):
        SilentLM(8).save(tmp_path)
    with pytest.raises(ValueError, match="width: expected 1 or more, got 0"):
        SilentLM(0)
