"""What only a device can show: the same kernels compiled by NVRTC, on every device of the machine.

pytest -m cuda
"""

import os

import pytest
import torch

from ssm_sense import ops
from ssm_sense.ops import causal_conv1d, reference, selective_scan

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="needs an NVIDIA GPU and a torch built for CUDA: run `pytest -m cuda` on such a machine",
    ),
]

DEVICES = [f"cuda:{i}" for i in range(torch.cuda.device_count())] or ["cuda:0"]
TIMED = ("x", "dt", "B", "C", "z", "gate", "keep")


def _on(device, inputs):
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def _assert_near(got, truth, tolerance):
    for name, tensor in truth.items():
        assert got[name].isfinite().all(), name
        error = (got[name].double().cpu() - tensor.double()).norm() / tensor.double().norm().clamp_min(1e-30)
        assert error <= tolerance, f"{name}: {error:.1e}"


def _run(op, inputs, device, **options):
    """Outputs and gradients; the gradients of both outputs are drawn on the CPU, the same for every device."""
    leaves = {name: tensor.to(device).requires_grad_() for name, tensor in inputs.items()}
    y, state = op(**leaves, **options)
    draw = torch.Generator().manual_seed(99)
    given = [torch.randn(t.shape, generator=draw, dtype=torch.float64).to(t) for t in (y, state)]
    grads = torch.autograd.grad((y, state), list(leaves.values()), given)
    named = {f"grad_{name}": grad for name, grad in zip(leaves, grads, strict=True)}
    return {"y": y.detach(), "final_state": state.detach(), **named}


def _exact(inputs):
    return {name: tensor.double() for name, tensor in inputs.items()}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 16, 24, 64, 128, 256])
def test_state_sizes(n, device, scan_inputs):
    inputs = scan_inputs(2, 70, 37, n, torch.float32)
    truth = _run(reference.selective_scan, _exact(inputs), "cpu", dt_softplus=True)
    _assert_near(_run(selective_scan, inputs, device, dt_softplus=True), truth, 2e-5)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 1000, 4096])
def test_lengths(length, scan_inputs):
    """The longer ones are split over the device."""
    inputs = scan_inputs(1, length, 8, 16, torch.float32)
    inputs["keep"][:, length // 2] = 0
    truth = _run(reference.selective_scan, _exact(inputs), "cpu", dt_softplus=True)
    _assert_near(_run(selective_scan, inputs, "cuda", dt_softplus=True), truth, 5e-5)


def test_channels_that_fill_the_device(scan_inputs):
    """So many that a channel's states lie on one lane."""
    inputs = scan_inputs(160, 33, 1024, 16, torch.float32)
    got = _run(selective_scan, inputs, "cuda", dt_softplus=True)
    with ops.use_backend("torch"):
        truth = _run(selective_scan, _exact(inputs), "cuda", dt_softplus=True)
    _assert_near(got, {name: tensor.cpu() for name, tensor in truth.items()}, 5e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("op", ["scan", "conv"])
def test_error_within_twice_that_of_plain_pytorch(op, dtype, scan_inputs, conv_inputs):
    if op == "scan":
        run, loop, inputs, options = selective_scan, reference.selective_scan, scan_inputs(4, 150, 24, 16, dtype), {}
        options = {"dt_softplus": True}
    else:
        run, loop, inputs, options = causal_conv1d, reference.causal_conv1d, conv_inputs(4, 150, 24, 4, dtype), {}
        options = {"activation": "silu"}
    truth = _run(loop, _exact(inputs), "cpu", **options)
    plain, got = _run(loop, inputs, "cuda", **options), _run(run, inputs, "cuda", **options)
    for name, tensor in truth.items():
        assert got[name].dtype == plain[name].dtype, name
        ours, theirs = ((r[name].double().cpu() - tensor).norm() / tensor.norm() for r in (got, plain))
        assert ours <= 2 * theirs + torch.finfo(dtype).eps, f"{name}: {ours:.1e}, plain PyTorch {theirs:.1e}"


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_convolution(width, conv_inputs):
    inputs = conv_inputs(3, 200, 150, width, torch.float32)
    inputs["keep"][:, 64] = 0
    truth = _run(reference.causal_conv1d, _exact(inputs), "cpu", activation="silu")
    _assert_near(_run(causal_conv1d, inputs, "cuda", activation="silu"), truth, 1e-5)


def test_slow_decays(scan_inputs):
    """Decays of 1 - 1e-4: an error of the device's exp2 near 0 would add up over thousands of steps."""
    inputs = scan_inputs(1, 2000, 4, 16, torch.float32)
    inputs["A"] *= 1e-3
    inputs["keep"][:] = 1
    truth = _run(reference.selective_scan, _exact(inputs), "cpu", dt_softplus=True)
    _assert_near(_run(selective_scan, inputs, "cuda", dt_softplus=True), truth, 1e-4)


def test_steps_equal_the_whole_to_the_bit(scan_inputs):
    inputs = _on("cuda", scan_inputs(64, 40, 100, 16, torch.bfloat16))
    y, final_state = selective_scan(**inputs, dt_softplus=True)
    state, ys = inputs["initial_state"], []
    with torch.inference_mode():
        for t in range(40):
            part = {name: x[:, t : t + 1] if name in TIMED else x for name, x in inputs.items()}
            y_t, state = selective_scan(**{**part, "initial_state": state}, dt_softplus=True)
            ys.append(y_t)
    assert torch.equal(torch.cat(ys, 1), y)
    assert torch.equal(state, final_state)


def test_the_same_bits_every_time(scan_inputs, conv_inputs):
    scan = scan_inputs(3, 500, 200, 16, torch.float32)
    conv = conv_inputs(3, 500, 200, 4, torch.float32)
    for _ in range(3):
        runs = [
            {**_run(selective_scan, scan, "cuda", dt_softplus=True), **{f"conv {k}": v for k, v in other.items()}}
            for other in (_run(causal_conv1d, conv, "cuda", activation="silu") for _ in range(2))
        ]
        assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_a_closed_gate_holds_and_a_reset_forgets_to_the_bit(scan_inputs):
    inputs = _on("cuda", scan_inputs(2, 40, 19, 16, torch.float32))
    inputs["keep"][:] = 1
    held = {**inputs, "gate": torch.zeros_like(inputs["gate"])}
    assert torch.equal(selective_scan(**held, dt_softplus=True)[1], inputs["initial_state"])
    inputs["keep"][:, 17] = 0
    other = {**inputs, "initial_state": inputs["initial_state"] + 1}
    y, state = selective_scan(**inputs, dt_softplus=True)
    y_other, state_other = selective_scan(**other, dt_softplus=True)
    assert torch.equal(y[:, 17:], y_other[:, 17:])
    assert torch.equal(state, state_other)


def test_a_cuda_graph_captures_forward_and_backward(scan_inputs):
    inputs = _on("cuda", scan_inputs(2, 300, 64, 16, torch.bfloat16))
    leaves = [tensor.requires_grad_() for tensor in inputs.values()]

    def run():
        y, state = selective_scan(**inputs, dt_softplus=True)
        return [y, state, *torch.autograd.grad(y.float().sum() + state.sum(), leaves)]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run()
    with torch.no_grad():
        inputs["x"] += 1
    graph.replay()
    for again, direct in zip(captured, run(), strict=True):
        assert torch.equal(again, direct)


def test_another_stream_and_another_current_device(scan_inputs):
    inputs = scan_inputs(2, 64, 32, 16, torch.float32)
    truth, _ = selective_scan(**_on("cuda:0", inputs), dt_softplus=True)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        y, _ = selective_scan(**_on("cuda:0", inputs), dt_softplus=True)
        assert torch.equal(y, truth)
    last = DEVICES[-1]
    with torch.cuda.device(0):
        y, _ = selective_scan(**_on(last, inputs), dt_softplus=True)
        assert y.device == torch.device(last)
        assert torch.cuda.current_device() == 0
    assert torch.equal(y.cpu(), truth.cpu())


def test_every_output_is_written(scan_inputs, monkeypatch):
    inputs = scan_inputs(3, 300, 21, 16, torch.float32)
    clean = _run(selective_scan, inputs, "cuda", dt_softplus=True)
    # Deterministic mode asks cuBLAS for a workspace of fixed size.
    monkeypatch.setitem(os.environ, "CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    try:
        poisoned = _run(selective_scan, inputs, "cuda", dt_softplus=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(tensor, poisoned[name]) for name, tensor in clean.items())


def test_more_elements_than_32_bits_count(scan_inputs):
    """The last steps of a tensor of 2.3e9 elements equal those of a short call from the state before them."""
    length, channels, n = 70_016, 32_768, 16
    free, _ = torch.cuda.mem_get_info()
    if free < 32 << 30:
        pytest.skip("needs 32 GiB of free memory on the device; smaller ones cannot hold such a tensor")
    generator = torch.Generator("cuda").manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, device="cuda", dtype=torch.bfloat16)

    A = -torch.arange(1.0, n + 1, device="cuda").repeat(channels, 1)
    x, dt, B, C = normal(1, length, channels), normal(1, length, channels), normal(1, length, n), normal(1, length, n)
    with torch.no_grad():
        y, final_state = selective_scan(x, dt, A, B, C, dt_softplus=True)
        early = slice(0, length - 64), slice(length - 64, length)
        _, state = selective_scan(*(t[:, early[0]] if t is not A else A for t in (x, dt, A, B, C)), dt_softplus=True)
        late = [t[:, early[1]] if t is not A else A for t in (x, dt, A, B, C)]
        y_late, final_late = selective_scan(*late, dt_softplus=True, initial_state=state)
    assert torch.equal(y[:, early[1]], y_late)
    assert torch.equal(final_state, final_late)


def test_opcheck(scan_inputs, conv_inputs):
    scan = list(_on("cuda", scan_inputs(2, 34, 5, 16, torch.float32)).values())
    scan.insert(8, True)
    torch.library.opcheck(torch.ops.ssm_sense.scan.default, (*scan, True))
    conv = list(_on("cuda", conv_inputs(2, 9, 5, 4, torch.float32)).values())
    torch.library.opcheck(torch.ops.ssm_sense.conv.default, (*conv, True))


@pytest.mark.skipif("mamba-ssm" not in ops.available("cuda"), reason="needs mamba-ssm, built for this GPU")
def test_mamba_ssm_agrees(scan_inputs):
    inputs = {k: t for k, t in scan_inputs(2, 300, 64, 16, torch.float32).items() if k not in ("gate", "keep")}
    del inputs["initial_state"]
    inputs = _on("cuda", inputs)
    y, state = selective_scan(**inputs, dt_softplus=True)
    with ops.use_backend("mamba-ssm"):
        y_theirs, state_theirs = selective_scan(**inputs, dt_softplus=True)
    torch.testing.assert_close(y, y_theirs, rtol=6e-4, atol=2e-3)
    torch.testing.assert_close(state, state_theirs, rtol=6e-4, atol=2e-3)
