"""What a stream relies on: cuts are invisible, a closed gate holds, a reset forgets, nothing is left unwritten."""

import pytest
import torch

from ssm_sense.ops import selective_scan

TIMED = ("x", "dt", "B", "C", "z", "gate", "keep")


def _pieces(inputs, cuts):
    """Runs the stream piece by piece, the state carried."""
    state, ys = inputs["initial_state"], []
    for begin, end in zip([0, *cuts], [*cuts, inputs["x"].shape[1]], strict=True):
        part = {name: t[:, begin:end] if name in TIMED else t for name, t in inputs.items()}
        y, state = selective_scan(**{**part, "initial_state": state}, dt_softplus=True)
        ys.append(y)
    return torch.cat(ys, 1), state


@pytest.mark.parametrize("cuts", [[1], [32], [33, 34], [5, 6, 40, 64], list(range(1, 70))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_cut_gives_the_uncut_answer(cuts, dtype, scan_inputs, each_backend):
    inputs = scan_inputs(3, 70, 20, 16, dtype)
    inputs["keep"][:, 50] = 0
    y, state = selective_scan(**inputs, dt_softplus=True)
    y_cut, state_cut = _pieces(inputs, cuts)
    exact = each_backend.startswith("native")
    tolerance = 0 if exact else 10 * torch.finfo(dtype).eps
    torch.testing.assert_close(y_cut, y, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(state_cut, state, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("channels", "n"), [(37, 1), (37, 5), (37, 16), (32, 16), (16, 64)])
def test_steps_under_inference_mode_equal_the_whole(channels, n, scan_inputs, each_backend):
    inputs = scan_inputs(3, 40, channels, n, torch.float32)
    inputs["keep"][:, 20:] = 1
    y, state = selective_scan(**inputs, dt_softplus=True)
    with torch.inference_mode():
        y_cut, state_cut = _pieces(inputs, list(range(1, 40)))
    tolerance = 0 if each_backend.startswith("native") else 1e-6
    torch.testing.assert_close(y_cut, y, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(state_cut, state, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("length", [1, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.usefixtures("each_backend")
def test_a_closed_gate_holds_the_state_to_the_bit(dtype, length, scan_inputs):
    inputs = scan_inputs(2, length, 19, 16, dtype)
    inputs["gate"][:] = 0
    del inputs["keep"]
    _, state = selective_scan(**inputs, dt_softplus=True)
    assert torch.equal(state, inputs["initial_state"])


@pytest.mark.parametrize("place", [0, 17, 32, 39])
@pytest.mark.usefixtures("each_backend")
def test_a_reset_forgets_to_the_bit(place, scan_inputs):
    inputs = scan_inputs(2, 40, 19, 16, torch.float32)
    inputs["keep"][:, place] = 0
    other = scan_inputs(2, 40, 19, 16, torch.float32, seed=1)
    mixed = {**inputs, "initial_state": other["initial_state"]}
    for name in TIMED:
        mixed[name] = torch.cat([other[name][:, :place], inputs[name][:, place:]], 1)
    y, state = selective_scan(**inputs, dt_softplus=True)
    y_mixed, state_mixed = selective_scan(**mixed, dt_softplus=True)
    assert torch.equal(y[:, place:], y_mixed[:, place:])
    assert torch.equal(state, state_mixed)


@pytest.mark.usefixtures("each_backend")
def test_a_keep_of_one_and_a_gate_of_one_change_no_bit(scan_inputs):
    inputs = scan_inputs(2, 40, 19, 16, torch.float32)
    inputs["gate"][:] = 1
    inputs["keep"][:] = 1
    plain = {name: tensor for name, tensor in inputs.items() if name not in ("gate", "keep")}
    for a, b in zip(*(selective_scan(**given, dt_softplus=True) for given in (inputs, plain)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("each_backend")
def test_no_input_is_changed(scan_inputs, run_with_gradients):
    inputs = scan_inputs(2, 35, 17, 16, torch.float32)
    before = {name: tensor.clone() for name, tensor in inputs.items()}
    run_with_gradients(selective_scan, inputs, dt_softplus=True)
    with torch.inference_mode():
        selective_scan(**inputs, dt_softplus=True)
    assert all(torch.equal(inputs[name], before[name]) for name in inputs)


@pytest.mark.usefixtures("each_backend")
def test_every_output_is_written(scan_inputs, run_with_gradients, monkeypatch):
    """Fresh memory filled with NaN changes nothing."""
    inputs = scan_inputs(3, 45, 21, 16, torch.float32)
    clean = run_with_gradients(selective_scan, inputs, dt_softplus=True)
    torch.use_deterministic_algorithms(True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    try:
        assert torch.empty(3).isnan().all()
        poisoned = run_with_gradients(selective_scan, inputs, dt_softplus=True)
    finally:
        torch.use_deterministic_algorithms(False)
    for name, tensor in clean.items():
        assert torch.equal(tensor, poisoned[name]), name


@pytest.mark.usefixtures("each_backend")
def test_nan_reaches_what_it_should_and_nothing_else(scan_inputs):
    inputs = scan_inputs(2, 10, 18, 16, torch.float32)
    inputs["dt"][0, 4, 3] = torch.nan
    y, state = selective_scan(**inputs, dt_softplus=True)
    spoiled = torch.zeros_like(y, dtype=torch.bool)
    spoiled[0, 4:, 3] = True
    assert torch.equal(y.isnan(), spoiled)
    assert state[0, 3].isnan().all()
    assert state.isnan().sum() == 16
