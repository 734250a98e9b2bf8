"""The text of the CUDA scan, run as host code, against the plain loop in float64: outputs and every gradient."""

import pytest
import torch

from ssm_sense.ops import reference
from ssm_sense.ops.cuda import scan

OPTIONAL = ("D", "z", "dt_bias", "gate", "keep", "initial_state")
TIMED = ("x", "dt", "B", "C", "z", "gate", "keep")
TOLERANCE = 5e-6


@pytest.fixture
def check(emulator, run_with_gradients, assert_close_to):
    def check_(inputs, tolerance=TOLERANCE, dt_softplus=True):
        exact = {name: tensor.double() for name, tensor in inputs.items()}
        truth = run_with_gradients(reference.selective_scan, exact, dt_softplus=dt_softplus)
        got = run_with_gradients(emulator.selective_scan, inputs, dt_softplus=dt_softplus)
        assert (got["y"].dtype, got["final_state"].dtype) == (inputs["x"].dtype, inputs["A"].dtype)
        assert all(got[f"grad_{name}"].dtype == tensor.dtype for name, tensor in inputs.items())
        assert_close_to(got, truth, tolerance)

    return check_


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 63, 64, 65, 200])
def test_lengths(length, scan_inputs, check):
    check(scan_inputs(2, length, 5, 16, torch.float32))


@pytest.mark.parametrize("length", [1000, 4096])
def test_long(length, scan_inputs, check, emulator):
    """Split over length, as batch 1 would be on a device; unsplit runs of the same kernels are above."""
    emulator.threads = 2048
    check(scan_inputs(1, length, 3, 16, torch.float32), 1e-5)
    assert "ssm_carry" in emulator.launched


@pytest.mark.parametrize("n", [1, 3, 8, 24, 64, 256])
def test_state_sizes(n, scan_inputs, check):
    check(scan_inputs(2, 40, 3, n, torch.float32))


@pytest.mark.parametrize(("batch", "channels"), [(1, 1), (3, 7), (1, 33), (1, 100)])
def test_channels_that_fill_no_block(batch, channels, scan_inputs, check):
    check(scan_inputs(batch, 35, channels, 16, torch.float32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes(dtype, scan_inputs, emulator, run_with_gradients):
    """An error at most twice that of plain PyTorch in the same dtype."""
    inputs = scan_inputs(2, 70, 12, 16, dtype)
    exact = {name: tensor.double() for name, tensor in inputs.items()}
    truth = run_with_gradients(reference.selective_scan, exact, dt_softplus=True)
    plain = run_with_gradients(reference.selective_scan, inputs, dt_softplus=True)
    got = run_with_gradients(emulator.selective_scan, inputs, dt_softplus=True)
    for name, tensor in truth.items():
        assert got[name].dtype == plain[name].dtype, name
        ours, theirs = ((r[name].double() - tensor).norm() / tensor.norm() for r in (got, plain))
        assert ours <= 2 * theirs + torch.finfo(dtype).eps, f"{name}: {ours:.1e}, plain PyTorch {theirs:.1e}"


@pytest.mark.parametrize("dt_softplus", [False, True])
@pytest.mark.parametrize("name", OPTIONAL)
def test_each_optional_present_and_absent(name, dt_softplus, scan_inputs, check):
    everything = scan_inputs(1, 34, 4, 16, torch.float32)
    everything["dt"] = everything["dt"].abs() / 4
    without = {key: tensor for key, tensor in everything.items() if key != name}
    alone = {key: tensor for key, tensor in everything.items() if key not in OPTIONAL or key == name}
    check(without, dt_softplus=dt_softplus)
    check(alone, dt_softplus=dt_softplus)


@pytest.mark.parametrize("threads", [60, 4096])
@pytest.mark.parametrize("places", [[0], [127, 128], [299], list(range(300))])
def test_resets(places, threads, scan_inputs, check, emulator):
    """In one piece, and split in two at step 160: a segment that holds a reset passes nothing on."""
    emulator.threads = threads
    inputs = scan_inputs(1, 300, 3, 16, torch.float32)
    inputs["keep"][:] = 1
    inputs["keep"][:, places] = 0
    check(inputs)
    assert ("ssm_carry" in emulator.launched) == (threads > 60)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("absent", [(), OPTIONAL])
def test_all_is_made_as_the_op_promises(absent, dtype, scan_inputs, emulator, assert_as_promised):
    given = [None if name in absent else tensor for name, tensor in scan_inputs(2, 34, 3, 4, dtype).items()]
    given.insert(8, True)
    made = scan.scan_forward(emulator, *given, True)
    assert_as_promised("scan", made, *given, True)
    backward = (*made[:2], *given, made[2])
    assert_as_promised("scan_backward", scan.scan_backward(emulator, *backward), *backward)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_hard_gates(value, scan_inputs, check):
    inputs = scan_inputs(2, 40, 4, 16, torch.float32)
    inputs["gate"][:, 10:30] = value
    check(inputs)


def test_steep_and_growing_decays(scan_inputs, check):
    """exp far below the smallest number, exactly one, and above one."""
    inputs = scan_inputs(1, 40, 4, 16, torch.float32)
    inputs["A"] *= torch.tensor([[1e3], [0.0], [1.0], [-0.05]])
    check(inputs, 1e-5)


def test_slow_decays(scan_inputs, check):
    inputs = scan_inputs(1, 1000, 2, 16, torch.float32)
    inputs["A"] *= 1e-3
    inputs["keep"][:] = 1
    check(inputs, 1e-5)


@pytest.mark.parametrize("shift", [-60.0, -12.0, 0.0, 30.0])
def test_softplus_far_from_zero(shift, scan_inputs, check):
    inputs = scan_inputs(1, 20, 3, 16, torch.float32)
    inputs["dt"] += shift
    check(inputs, 1e-5)


def test_views_of_any_stride(scan_inputs, emulator, run_with_gradients, assert_close_to):
    inputs = scan_inputs(2, 40, 8, 16, torch.float32)

    def strided(**leaves):
        wide = torch.cat([leaves["x"], leaves["dt"], leaves["z"]], dim=-1)
        leaves["x"], leaves["dt"], leaves["z"] = wide.chunk(3, dim=-1)
        leaves["B"] = leaves["B"].transpose(0, 1).contiguous().transpose(0, 1)
        leaves["C"] = leaves["C"].transpose(1, 2).contiguous().transpose(1, 2)
        leaves["A"] = leaves["A"].T.contiguous().T
        leaves["gate"] = leaves["gate"].T.contiguous().T
        leaves["initial_state"] = leaves["initial_state"].transpose(1, 2).contiguous().transpose(1, 2)
        return emulator.selective_scan(**leaves, dt_softplus=True)

    truth = run_with_gradients(reference.selective_scan, inputs, dt_softplus=True)
    assert_close_to(run_with_gradients(strided, inputs), truth, TOLERANCE)


@pytest.mark.parametrize("threads", [60, 4096])
def test_every_output_is_written_and_the_order_of_threads_is_nothing(
    threads, scan_inputs, emulator, run_with_gradients, monkeypatch
):
    """Fresh memory filled with NaN, and threads run from the last to the first, change no bit."""
    emulator.threads = threads
    inputs = scan_inputs(1, 260, 21, 16, torch.float32)
    clean = run_with_gradients(emulator.selective_scan, inputs, dt_softplus=True)
    emulator.reversed = True
    torch.use_deterministic_algorithms(True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    try:
        poisoned = run_with_gradients(emulator.selective_scan, inputs, dt_softplus=True)
    finally:
        torch.use_deterministic_algorithms(False)
    for name, tensor in clean.items():
        assert torch.equal(tensor, poisoned[name]), name


def test_nan_reaches_what_it_should_and_nothing_else(scan_inputs, emulator):
    inputs = scan_inputs(2, 10, 18, 16, torch.float32)
    inputs["dt"][0, 4, 3] = torch.nan
    y, state = emulator.selective_scan(**inputs, dt_softplus=True)
    spoiled = torch.zeros_like(y, dtype=torch.bool)
    spoiled[0, 4:, 3] = True
    assert torch.equal(y.isnan(), spoiled)
    assert state[0, 3].isnan().all()
    assert state.isnan().sum() == 16


@pytest.mark.parametrize("cuts", [[1], [32], [5, 6, 40, 64], list(range(1, 70))])
def test_any_cut_gives_the_uncut_answer_to_the_bit(cuts, scan_inputs, emulator):
    """Single steps included, which have a kernel of their own. Only splitting a call over the device rounds anew."""
    inputs = scan_inputs(2, 70, 20, 16, torch.float32)
    inputs["keep"][:, 50] = 0
    y, final_state = emulator.selective_scan(**inputs, dt_softplus=True)
    state, ys = inputs["initial_state"], []
    for begin, end in zip([0, *cuts], [*cuts, 70], strict=True):
        part = {name: t[:, begin:end] if name in TIMED else t for name, t in inputs.items()}
        y_cut, state = emulator.selective_scan(**{**part, "initial_state": state}, dt_softplus=True)
        ys.append(y_cut)
    assert torch.equal(torch.cat(ys, 1), y)
    assert torch.equal(state, final_state)
    assert ("ssm_step" in emulator.launched) == (cuts != [32])


@pytest.mark.parametrize("length", [1, 40])
def test_a_closed_gate_holds_the_state_to_the_bit(length, scan_inputs, emulator):
    inputs = scan_inputs(2, length, 19, 16, torch.bfloat16)
    inputs["gate"][:] = 0
    del inputs["keep"]
    _, state = emulator.selective_scan(**inputs, dt_softplus=True)
    assert torch.equal(state, inputs["initial_state"])


@pytest.mark.parametrize("place", [0, 17, 39])
def test_a_reset_forgets_to_the_bit(place, scan_inputs, emulator):
    inputs = scan_inputs(2, 40, 19, 16, torch.float32)
    inputs["keep"][:, place] = 0
    other = scan_inputs(2, 40, 19, 16, torch.float32, seed=1)
    mixed = {**inputs, "initial_state": other["initial_state"]}
    for name in TIMED:
        mixed[name] = torch.cat([other[name][:, :place], inputs[name][:, place:]], 1)
    y, state = emulator.selective_scan(**inputs, dt_softplus=True)
    y_mixed, state_mixed = emulator.selective_scan(**mixed, dt_softplus=True)
    assert torch.equal(y[:, place:], y_mixed[:, place:])
    assert torch.equal(state, state_mixed)


def test_a_state_on_one_lane_where_channels_fill_the_device(scan_inputs, check, emulator):
    emulator.threads = 9
    check(scan_inputs(1, 40, 9, 16, torch.float32))
    assert any(("SSM_LANES", 1) in program.constants for program in emulator.libraries)


def test_blocks_shrink_to_the_shared_memory_there_is(scan_inputs, check, emulator):
    emulator.shared_bytes = 24 << 10
    check(scan_inputs(1, 33, 40, 16, torch.float32))
    emulator.shared_bytes = 4 << 10
    with pytest.raises(RuntimeError, match="a scan of 16 states needs more shared memory than the 4096 bytes here"):
        check(scan_inputs(1, 33, 40, 16, torch.float32))


def test_more_states_than_the_kernels_hold(scan_inputs, emulator):
    with pytest.raises(ValueError, match=r"A must have at most 256 states on CUDA, got N = 257"):
        emulator.selective_scan(**scan_inputs(1, 2, 3, 257, torch.float32))


def test_gates_in_float32_beside_half_precision(scan_inputs, check):
    inputs = scan_inputs(1, 40, 4, 16, torch.bfloat16)
    inputs["gate"], inputs["keep"] = inputs["gate"].float(), inputs["keep"].float()
    check(inputs, 1e-2)
