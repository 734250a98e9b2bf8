"""State is a value: it joins, splits, saves and loads without loss, and says what is wrong with a bad file."""

import itertools
import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ssm_sense.errors import UserError
from ssm_sense.state import State, save_tensors


def example() -> State:
    return State(
        {
            "event.0.ssm": torch.randn(2, 3, 4),
            "event.0.conv": torch.randn(2, 3, 5),
            "policy.count": torch.tensor([3, 2**40]),
            "seconds": torch.tensor([1e7 + 0.125], dtype=torch.float64),
        }
    )


def test_join_and_sub_are_inverse() -> None:
    event, seconds = State({"ssm": torch.ones(2), "conv": torch.zeros(3)}), torch.tensor([1.0])
    joined = State.join({"event": event, "seconds": seconds})
    assert set(joined) == {"event.ssm", "event.conv", "seconds"}
    assert dict(joined.sub("event")) == dict(event)
    assert len(joined.sub("episode")) == 0


def test_nbytes_counts_every_tensor() -> None:
    assert example().nbytes == 4 * (24 + 30) + 8 * 2 + 8


def test_round_trip_is_exact(tmp_path) -> None:
    state = example()
    state.save(tmp_path / "s.safetensors", {"t_s": 12.5})
    loaded, metadata = State.load_with_metadata(tmp_path / "s.safetensors")
    assert metadata == {"t_s": 12.5}
    assert set(loaded) == set(state)
    for name, tensor in state.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_names_that_share_memory_are_saved_each_with_its_own(tmp_path) -> None:
    both = torch.arange(12.0).reshape(3, 4)
    state = State({"predicted": both, "latest": both, "first": both[:2], "last": both[1:]})
    state.save(tmp_path / "s.safetensors")
    loaded = State.load(tmp_path / "s.safetensors")
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert state["latest"] is both


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "s.safetensors"
    example().save(path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("ssm_sense.state.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        example().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_saved_file_may_be_read_by_whom_other_new_files_may(tmp_path) -> None:
    for mask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            example().save(tmp_path / f"{mask}.safetensors")
        finally:
            os.umask(before)
        assert (tmp_path / f"{mask}.safetensors").stat().st_mode & 0o777 == mode


def test_what_the_system_refuses_is_an_os_error_that_names_the_file(tmp_path) -> None:
    """safetensors' own error is none, so that a full disk would look like a fault of ours."""
    with pytest.raises(FileNotFoundError, match=r"missing/s\.safetensors"):
        save_tensors(dict(example()), tmp_path / "missing" / "s.safetensors")


@pytest.mark.parametrize("keep", [0, 7, 60, -9])
def test_truncated_file_is_a_clear_error(tmp_path, keep: int) -> None:
    path = tmp_path / "s.safetensors"
    example().save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"s\.safetensors"):
        State.load(path)


def test_foreign_and_missing_files_are_clear_errors(tmp_path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="expected a state file"):
        State.load(tmp_path / "model.safetensors")
    (tmp_path / "notes.txt").write_text("not a tensor in sight")
    with pytest.raises(UserError, match="damaged"):
        State.load(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="no such file"):
        State.load(tmp_path / "missing.safetensors")
    with pytest.raises(UserError, match="no such file"):
        State.load(tmp_path)


def test_clone_shares_no_memory_and_trains_after_inference_mode() -> None:
    with torch.inference_mode():
        state = State({"h": torch.ones(3)})
    weight = torch.ones(3, requires_grad=True)
    (state.clone()["h"] * weight).sum().backward()
    assert torch.equal(weight.grad, torch.ones(3))


def test_only_tensors_are_held() -> None:
    with pytest.raises(TypeError, match="'t'"):
        State({"t": 3.0})  # type: ignore[dict-item]


def test_select_takes_streams() -> None:
    chosen = example().sub("event").select(torch.tensor([1]))
    assert chosen["0.ssm"].shape == (1, 3, 4)


def _write_forever(path: Path) -> None:
    for turn in itertools.count():
        State({"h": torch.full((250_000,), float(turn)), "turn": torch.tensor(turn)}).save(path, {"turn": turn})


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path) -> None:
    """The old state or the new one, its metadata with it; a moment is a random time within a few writes."""
    path = tmp_path / "s.safetensors"
    fork, moments, found = multiprocessing.get_context("fork"), random.Random(0), []
    for trial in range(15):
        path.unlink(missing_ok=True)
        writer = fork.Process(target=_write_forever, args=(path,))
        writer.start()
        while not path.is_file() or State.load_with_metadata(path)[1]["turn"] <= trial % 3:
            time.sleep(0.001)
        time.sleep(0.03 * moments.random())
        writer.kill()
        writer.join()
        state, metadata = State.load_with_metadata(path)
        assert state["turn"] == metadata["turn"]
        assert torch.equal(state["h"], torch.full((250_000,), float(state["turn"])))
        found.append(metadata["turn"])
    assert len(set(found)) > 1
