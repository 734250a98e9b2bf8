"""Our memory as a policy, but for what `test_stream` asks of every session."""

import torch

from ssm_sense.memory.recurrent import RecurrentMemory
from ssm_sense.model import SsmSense


def test_a_saved_stream_goes_on_where_the_model_is(model: SsmSense) -> None:
    memory = RecurrentMemory(model)
    memory.observe(torch.randn(4, 12), None, 0.0)
    saved = memory.state_dict()
    model.to("meta")
    memory.load_state_dict(saved)
    assert {tensor.device.type for tensor in memory.state.values()} == {"meta"}
    assert {tensor.device.type for tensor in saved.values()} == {"cpu"}
