"""A stage trains the parts that it names, and begins where the stage before it ended."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ssm_sense.data.world.names import CATEGORIES, NEEDLES
from ssm_sense.errors import UserError
from ssm_sense.folder import load_model
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.lit.parts import train_only
from ssm_sense.lit.start import check_vision, start_from
from ssm_sense.memory.sliding_window import SlidingWindow
from ssm_sense.model import SsmSense
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder

Fit = Callable[..., list[float]]


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """The parts whose parameters differ; the policy's τ is none, it follows what is seen."""
    names = {name for name in after if not torch.equal(before[name], after[name])}
    return {name.split(".")[0] for name in names if name != "policy.threshold"}


def test_each_stage_goes_on_from_the_folder_of_the_one_before(fit: Fit, tmp_path: Path) -> None:
    schedule = [
        "--model.lr_scheduler=ssm_sense.lit.schedule.WarmupCosine",
        "--model.lr_scheduler.total_steps=4",
    ]
    fit(tmp_path / "none", steps=1)
    one = ["--model.rates={'*_connector': 1.0e-2}", f"--model.start={tmp_path / 'none' / 'model'}", *schedule]
    fit(tmp_path / "one", steps=3, more=one)
    two = [
        "--model.rates={'*_connector': 1.0e-2, language: 1.0e-3, encoder.blocks.1: 1.0e-3}",
        f"--model.start={tmp_path / 'one' / 'model'}",
        *schedule,
    ]
    fit(tmp_path / "two", steps=3, more=two)
    none, first, second = (load_model(tmp_path / run / "model")[0].state_dict() for run in ("none", "one", "two"))
    connectors = {"event_connector", "episode_connector", "pool_connector", "frame_connector"}
    assert changed(none, first) == connectors
    assert changed(first, second) == {*connectors, "encoder", "language"}
    moved = [name for name in second if name.startswith("encoder.") and not torch.equal(first[name], second[name])]
    assert all(name.startswith("encoder.blocks.1.") for name in moved)
    # The latents' scale stays the one that the weights were trained on.
    assert torch.equal(none["scale.mean"], second["scale.mean"])


def test_parts_have_rates_of_their_own_and_all_else_is_frozen(model: SsmSense) -> None:
    groups = train_only(model, {"encoder.blocks.0": 1e-3, "*_probes": 1e-4, "encoder": 1e-5})
    assert [group["lr"] for group in groups] == [1e-3, 1e-4, 1e-5]
    assert {id(p) for p in groups[0]["params"]} == {id(p) for p in model.encoder.blocks[0].parameters()}
    assert [p.shape for p in groups[1]["params"]] == [model.event_probes.shape, model.episode_probes.shape]
    trained = {id(p) for group in groups for p in group["params"]}
    assert {id(p) for p in model.parameters() if p.requires_grad} == trained
    assert {id(p) for p in model.encoder.parameters()} <= trained


def test_a_part_that_is_not_there_or_frozen_is_named(model: SsmSense) -> None:
    with pytest.raises(UserError, match=r"nothing that can be trained is called 'conector'; the parts are .*encoder"):
        train_only(model, {"encoder": 1e-3, "conector": 1e-3})
    model.language.requires_grad_(False)
    with pytest.raises(UserError, match="'language'"):
        train_only(model, {"language": 1e-5})


@pytest.fixture
def folder(fit: Fit, tmp_path: Path) -> Path:
    fit(tmp_path, steps=1, policy="sliding_window")
    return tmp_path / "model"


def window(width: int = 32) -> SlidingWindow:
    return SlidingWindow(CausalLM("nowhere"), 32, width, places=4)


def test_what_does_not_fit_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = load_file(path)
    with pytest.raises(UserError, match=r"do not fit this model: connector\.norm\.bias is \(32,\), not \(48,\).* more"):
        start_from(window(48), folder)
    save_file({name: x for name, x in whole.items() if name != "connector.slot"} | {"other": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"connector\.slot is missing; other is not of this model"):
        start_from(window(), folder)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged"):
        start_from(window(), folder)
    shutil.rmtree(folder / "llm")
    with pytest.raises(UserError, match="expected a model folder to start from"):
        start_from(window(), folder)


@torch.no_grad()
def test_a_finer_grid_begins_with_what_the_coarser_one_saw(fit: Fit, folder: Path, tmp_path: Path) -> None:
    coarse = torch.randn(1, 5, 4, 32)
    fine = coarse.unflatten(2, (2, 2)).repeat_interleave(2, 2).repeat_interleave(2, 3).flatten(2, 3)
    windows = [window(), SlidingWindow(CausalLM("nowhere"), 32, 32, places=16)]
    for one in windows:
        start_from(one, folder)
    torch.testing.assert_close(windows[1].embed(fine), windows[0].embed(coarse))

    fit(tmp_path / "ours", steps=1)
    begun, _ = load_model(tmp_path / "ours" / "model")
    encoder, head = TemporalEncoder(32, 16, grid=4, layers=2), LFPHead(16, 32)
    episode = Episode(16, tokens=2, layers=1, pool="peak")
    kinds = {"concepts": CATEGORIES, "sought": NEEDLES}
    grown = SsmSense(encoder, head, SurprisePolicy(), episode, CausalLM("nowhere"), 32, **kinds)
    start_from(grown, tmp_path / "ours" / "model")
    assert isinstance(begun, SsmSense)
    narrow, _ = begun.encoder(coarse, begun.encoder.initial_state(1))
    wide, _ = encoder(fine, encoder.initial_state(1))
    torch.testing.assert_close(wide[:, :, [0, 2, 8, 10]], narrow)
    torch.testing.assert_close(grown.event_probes[:, [0, 3, 12, 15]], begun.event_probes)
    assert grown.sightings is not None
    assert begun.sightings is not None
    there, beside = begun.sightings.sight(coarse)
    finer_there, finer_beside = grown.sightings.sight(fine)
    torch.testing.assert_close(finer_beside, beside)
    torch.testing.assert_close(finer_there, there + math.log(4))


def test_a_new_part_begins_as_it_was_built(fit: Fit, tmp_path: Path) -> None:
    none = [f"--model.model.init_args.{kinds}=[]" for kinds in ("concepts", "sought")]
    fit(tmp_path, steps=1, more=[*none, "--data.told=0"])
    old = tmp_path / "model"
    begun, _ = load_model(old)
    assert isinstance(begun, SsmSense)
    episode = Episode(16, tokens=2, layers=1, pool="peak")
    parts = begun.encoder, begun.head, SurprisePolicy(), episode, CausalLM("nowhere"), 32
    grown = SsmSense(*parts, concepts=("chair",))
    with pytest.raises(UserError, match=r"inventory\S+ is missing"):
        start_from(grown, old)
    grown = SsmSense(*parts[:4], CausalLM("nowhere"), 32, concepts=("chair",))
    assert grown.inventory is not None
    before = {name: weight.clone() for name, weight in grown.inventory.state_dict().items()}
    start_from(grown, old, ["inventory", "inventory_words"])
    assert torch.equal(grown.episode.gain, begun.episode.gain)
    assert all(torch.equal(weight, before[name]) for name, weight in grown.inventory.state_dict().items())
    wider = SsmSense(*parts[:3], Episode(16, tokens=3, layers=1, pool="peak"), CausalLM("nowhere"), 32)
    start_from(wider, old, ["episode", "pool_connector", "episode_connector"])
    assert torch.equal(wider.event_probes, begun.event_probes), "what the folder has of a new part is left there"
    with pytest.raises(UserError, match="new: expected parts of this model, got 'inventroy'"):
        start_from(SsmSense(*parts[:4], CausalLM("nowhere"), 32, concepts=("chair",)), old, ["inventroy"])


def test_other_latents_are_refused(folder: Path) -> None:
    check_vision(folder, {"path": "elsewhere", "layer": -1, "pooling": "average", "grid": 2})
    with pytest.raises(UserError, match=r"was trained on latents with vision\.layer -1, got -2"):
        check_vision(folder, {"path": "elsewhere"})
    check_vision(folder, {"layer": -1, "pooling": "average", "grid": 4})
    with pytest.raises(UserError, match=r"vision\.grid 2, got 3"):
        check_vision(folder, {"layer": -1, "pooling": "average", "grid": 3})
    with pytest.raises(UserError, match=r"config\.yaml"):
        check_vision(folder / "missing", {})
