"""Where a memory's bytes are, of every policy there is."""

from types import SimpleNamespace

import pytest
import torch

from ssm_sense.evaluate.held import bytes_by_place
from ssm_sense.memory import catalogue
from ssm_sense.memory.nosense import NoSense, NoSenseAhead
from ssm_sense.memory.pooled_bank import PooledBank
from ssm_sense.memory.sliding_window import SlidingWindow
from ssm_sense.memory.storm import Storm
from ssm_sense.state import State


@pytest.fixture
def latents() -> torch.Tensor:
    """Nine frames (9, 9, 12)."""
    return torch.randn(9, 9, 12, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", catalogue.CLASSES)
def test_policies_over_frame_tokens_hold_keys_values_and_tokens(language, latents, name: str) -> None:
    policy = catalogue.build(name, SlidingWindow(language, 32, vision_width=12, places=9).eval())
    for t, one in enumerate(latents):
        policy.observe(one, None, float(t))
    found = bytes_by_place(policy)
    watchers = {key: t for key, t in policy.state_dict().items() if key.startswith(("level.", "foresight.", "cuts."))}
    assert sum(found.values()) == policy.nbytes > 0
    assert found["state"] == State(watchers).nbytes
    assert (found["host"] > 0, found["kv"] > 0) == (name == "rekv", name != "rekv")


def test_a_recurrent_memory_holds_a_state(model) -> None:
    memory = model.memory()
    assert bytes_by_place(memory) == {"state": memory.nbytes, "kv": 0, "host": 0}
    assert memory.nbytes > 0


@pytest.mark.parametrize(("model_class", "settings"), [(PooledBank, {}), (Storm, {"places": 9})])
def test_what_grows_by_the_frame_is_no_state(language, latents, model_class: type, settings: dict) -> None:
    memory = model_class(language, 32, vision_width=12, **settings).eval().memory()
    memory.observe(latents[0], None, 0.0)
    assert bytes_by_place(memory) == {"state": 0, "kv": memory.nbytes, "host": 0}
    assert memory.nbytes > 0


def test_nosense_keeps_its_frames_on_the_host_unless_it_was_told_the_question() -> None:
    reader = SimpleNamespace(tower=SimpleNamespace(width=12))
    end, ahead = NoSense(reader), NoSenseAhead(reader)
    end.observe(torch.ones(1, 12), None, 0.0)
    assert bytes_by_place(end) == {"state": 0, "kv": 0, "host": 24}
    assert bytes_by_place(ahead)["host"] == 0


def test_another_place_is_refused() -> None:
    with pytest.raises(KeyError, match="cloud"):
        bytes_by_place(SimpleNamespace(holds="cloud", nbytes=9))
