"""The linear reader in training: refused where it has nothing to read."""

import pytest

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.lit.module import StreamModule
from ssm_sense.memory.blind import Blind


def test_a_model_that_hands_over_nothing_takes_no_reader() -> None:
    blind = Blind(CausalLM("nowhere"), language_width=8, vision_width=8)
    assert StreamModule(blind).reader is None
    with pytest.raises(ValueError, match="reader_weight: expected 0 for Blind, which hands a reader nothing"):
        StreamModule(blind, reader_weight=1.0)
