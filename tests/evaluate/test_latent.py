"""Recall against load and length: perfect for who knows the truth, one pass for all."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ssm_sense.data.world.latent import LatentWorld
from ssm_sense.evaluate.latent import recall_by_length, recall_by_load
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.frame_bank import FrameBank
from ssm_sense.nn.latent_reader import LatentReader
from ssm_sense.state import State

WORLD = LatentWorld(event_s=20.0)


class Decoder(LatentReader):
    """Keeps every frame as it is, and finds the needle and reads its place off the codes."""

    def __init__(self, forgets: bool = False) -> None:
        super().__init__(FrameBank(WORLD.width), WORLD.width, 9, WORLD.places, WORLD.categories, WORLD.most)
        self.forgets, self.events = forgets, 0

    def watch(self, frames_BEFV: Tensor, state: State) -> State:
        self.events += frames_BEFV.shape[1]
        frames = frames_BEFV.flatten(1, 2)
        if not self.forgets:
            frames = torch.cat([state["entries"], frames], dim=1)
        return state.replace(entries=frames)

    def answer(self, state: State, codes_RV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        frames = state["entries"]
        best = (frames @ codes_RV.T).argmax(1)
        found = frames.gather(1, best.unsqueeze(-1).expand(-1, -1, WORLD.width)) / WORLD.loudness - codes_RV
        where = found @ torch.from_numpy(WORLD.place_codes).float().T
        streams = len(frames)
        return where, torch.zeros(streams, 5, WORLD.places), torch.zeros(streams, WORLD.categories, WORLD.most + 1)


def test_who_keeps_everything_recalls_nearly_everything_at_any_load_and_length() -> None:
    rows = recall_by_load(Decoder(), WORLD, [4, 16], events=40, streams=8, seed=0)
    assert [row["load"] for row in rows] == [4, 16]
    for row in rows:
        assert "order_1" not in row
        assert row["recall"] > 0.9
        assert row["recall_low"] <= row["recall"] <= row["recall_high"]
        assert 0.7 * 4 * row["load"] < row["bits"] <= 4 * row["load"]
    model = Decoder()
    rows = recall_by_length(model, WORLD, [10, 20, 40], facts=8, streams=8, seed=0)
    # 35 minutes of three events each, and three forks of 5 minutes: every length in one pass.
    assert model.events == (35 + 3 * 5) * 3
    assert all(row["early"] > 0.85 and row["late"] > 0.85 for row in rows)
    assert all(row["order_4"] < 0.6 for row in rows)
    assert rows[0]["change"] == 0
    assert all(row["change_low"] <= row["change"] <= row["change_high"] for row in rows)


def test_who_forgets_knows_the_late_facts_alone() -> None:
    rows = recall_by_length(Decoder(forgets=True), WORLD, [10, 20], facts=8, streams=8, seed=0)
    assert all(row["early"] < 0.3 < 0.85 < row["late"] for row in rows)


def test_an_untrained_memory_is_at_chance_and_a_state_has_one_size() -> None:
    torch.manual_seed(0)
    memory = Episode(WORLD.width, tokens=1, layers=1, state_size=4)
    model = LatentReader(memory, WORLD.width, 9, WORLD.places, WORLD.categories, WORLD.most)
    rows = recall_by_length(model, WORLD, [10, 20], facts=8, streams=16, seed=0)
    assert all(row["recall"] < 0.2 and row["bits"] < 4 for row in rows)
    assert rows[0]["state_bytes"] == rows[1]["state_bytes"] == memory.initial_state(1).nbytes
    assert 0 < rows[0]["counts_blind"] < 0.6
    assert not np.isnan([value for row in rows for value in row.values()]).any()


def test_what_cannot_be_is_refused() -> None:
    for minutes in ([], [5], [20, 10]):
        with pytest.raises(ValueError, match="minutes: expected to rise from 10 or more"):
            recall_by_length(Decoder(), WORLD, minutes, facts=8, streams=2, seed=0)
