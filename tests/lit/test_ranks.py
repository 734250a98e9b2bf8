"""Several processes that train one model do what one does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ssm_sense.data.clip import Question
from ssm_sense.data.world.mixture import mixture
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError
from ssm_sense.language.query import Query
from ssm_sense.lit.data import StreamBatches, load_streams, share
from ssm_sense.lit.module import StreamModule
from ssm_sense.lit.ranks import totals
from ssm_sense.memory.answering import Told


def test_two_processes_give_the_losses_and_the_weights_of_one(
    arguments: Callable[..., list[str]],
    fit: Callable[..., list[float]],
    losses: Callable[[Path], list[float]],
    tmp_path: Path,
) -> None:
    ranks = ["--trainer.strategy=ddp_find_unused_parameters_true", "--trainer.devices=2"]
    command = arguments(tmp_path / "two", 4, more=ranks)
    two = subprocess.run(
        [sys.executable, "-m", "ssm_sense.cli", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert two.returncode == 0, two.stderr[-2000:]
    one = fit(tmp_path / "one", steps=4)
    assert len(one) == 4
    assert losses(tmp_path / "two") == pytest.approx(one, rel=1e-4)
    ours, theirs = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("one", "two"))
    torch.testing.assert_close(theirs["policy.threshold"], ours["policy.threshold"])
    unset = "inventory.places.unlike"
    assert theirs.pop(unset) == ours.pop(unset) == -torch.inf
    # Adam turns the rounding of a gradient near 0 into a whole step, so single weights may differ.
    apart, whole = (torch.cat([f(name).flatten() for name in ours]) for f in (lambda n: ours[n] - theirs[n], ours.get))
    assert apart.norm() < 1e-3 * whole.norm()


class Counted(nn.Module):
    """Its loss of a query is the length of the prompt, and 2 are added for each batch."""

    concepts = ()

    def losses(self, latents: Tensor, seconds: Tensor, queries: list[Query], told: Told) -> dict[str, Tensor]:
        per_query = torch.tensor([float(len(query.prompt)) for query in queries])
        return {"loss": per_query.mean() + 2, "answer": per_query.mean(), "per_query": per_query}


def test_processes_share_out_the_very_batch_that_one_would_have(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def uneven(truth: Truth, t_s: float, rng: np.random.Generator) -> list[Question]:
        return mixture(truth, t_s, rng)[: 2 + truth.seed % 5]

    monkeypatch.setattr("ssm_sense.lit.data.mixture", uneven)
    streams = load_streams(work / "videos", work / "features")
    settings = {"batch_size": 2, "frames": 20, "stops": 3, "questions": 20, "seed": 1}
    whole = StreamBatches(streams, **settings).batch(7)
    parts = [StreamBatches(streams, **settings, rank=rank, ranks=2).batch(7) for rank in range(2)]
    assert torch.equal(torch.cat([part.latents for part in parts]), whole.latents)
    assert torch.equal(torch.cat([part.seconds for part in parts]), whole.seconds)
    moved = [query._replace(stream=query.stream + rank) for rank, part in enumerate(parts) for query in part.queries]
    assert moved == whole.queries
    assert [kind for part in parts for kind in part.kinds] == whole.kinds
    assert whole.weight == 1
    assert len(parts[0].queries) != len(parts[1].queries)
    assert [part.weight for part in parts] == [2 * len(part.queries) / len(whole.queries) for part in parts]
    module = StreamModule(Counted())
    (together, _), *apart = (module._losses(batch, None) for batch in (whole, *parts))
    for name in ("loss", "answer"):
        torch.testing.assert_close(sum(losses[name] for losses, _ in apart) / 2, together[name])


def test_streams_that_cannot_be_shared_out_are_named() -> None:
    assert [list(share(6, rank, 3)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(UserError, match="batch_size: expected a multiple of the number of processes, 4, got 6"):
        share(6, 0, 4)


def test_means_weigh_every_item_alike() -> None:
    assert totals({"a": (6.0, 3), "b": (1.0, 1)}) == {"a": 2.0, "b": 1.0}
