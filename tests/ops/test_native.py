"""What only the native kernels promise: the same bits on any number of threads, and a clear word where missing."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ssm_sense import ops
from ssm_sense.errors import UserError
from ssm_sense.lit.module import StreamModule
from ssm_sense.ops import causal_conv1d, cpu, selective_scan

NATIVE = [name for name in ops.available() if name.startswith("native")]


@pytest.fixture
def restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("backend", NATIVE)
@pytest.mark.parametrize(("batch", "length", "channels"), [(70, 20, 17), (1, 300, 200), (5, 130, 48)])
@pytest.mark.usefixtures("restore_threads")
def test_the_same_bits_on_any_number_of_threads(
    backend, batch, length, channels, scan_inputs, conv_inputs, run_with_gradients
):
    scan = scan_inputs(batch, length, channels, 16, torch.float32)
    conv = conv_inputs(batch, length, channels, 4, torch.float32)
    assert batch * length * channels * 4 > 1 << 16, "too small for a second thread"

    def run():
        results = run_with_gradients(selective_scan, scan, dt_softplus=True)
        return [*results.values(), *run_with_gradients(causal_conv1d, conv, activation="silu").values()]

    with ops.use_backend(backend):
        torch.set_num_threads(1)
        alone = run()
        assert all(torch.equal(a, b) for a, b in zip(alone, run(), strict=True)), "run to run"
        for threads in (2, 2, 3, 5):
            torch.set_num_threads(threads)
            assert all(torch.equal(a, b) for a, b in zip(alone, run(), strict=True)), threads


@pytest.mark.parametrize("backend", NATIVE)
def test_builds_answer_by_name(backend):
    with ops.use_backend(backend):
        assert ops.backend() == backend
        ops.require("native")
        ops.require(backend)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="lists the libraries of a process on Linux")
def test_one_openmp_in_the_process():
    code = (
        "import re, torch\nfrom ssm_sense import ops\ntorch.set_num_threads(2)\n"
        "x, A, B = torch.ones(4, 64, 64), -torch.ones(64, 16), torch.ones(4, 64, 16)\n"
        "ops.selective_scan(x, x, A, B, B)\n"
        "paths = set(re.findall(r'\\S*/lib\\w*omp\\d*[-.]\\S*', open('/proc/self/maps').read()))\n"
        "print(len(paths), 'torch' in ''.join(paths))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 True\n"


def test_demanding_what_does_not_run_is_an_error():
    with ops.use_backend("torch"), pytest.raises(RuntimeError, match="'native' was demanded, but 'torch' runs here"):
        ops.require("native")
    with pytest.raises(ValueError, match="backend must be one of"), ops.use_backend("fortran"):
        pass
    assert ops.backend() == ops.available()[0]


def test_without_a_library_there_are_no_builds(monkeypatch):
    assert (ops.without_native() is None) == bool(NATIVE)
    monkeypatch.setattr(cpu, "_library", None)
    assert cpu.builds() == ()
    assert "not installed" in ops.without_native()
    with ops.use_backend("torch"), pytest.raises(UserError, match="install GCC or Clang"):
        ops.require("native")


@pytest.mark.filterwarnings("ignore:Attribute 'model' is an instance of")
def test_a_config_that_demands_native_fails_before_it_trains():
    module = StreamModule(torch.nn.Identity(), backend="native")
    with ops.use_backend("torch"), pytest.raises(UserError, match="'native' was demanded, but 'torch' runs here"):
        module.configure_model()


def test_an_install_without_a_library_says_so_and_answers():
    """In a process of its own: the library's file has another name there, so it is not found."""
    code = (
        "import platform, torch\nplatform.system = lambda: 'Windows'\n"
        "from ssm_sense import ops, cli\nassert ops.available() == (ops.backend(),) == ('torch',)\n"
        "x, A, B = torch.ones(1, 1, 2), -torch.ones(2, 4), torch.ones(1, 1, 4)\n"
        "with torch.inference_mode():\n    print(ops.selective_scan(x, x, A, B, B)[0].tolist())\n"
        "raise SystemExit(cli.main(['bench', 'ops', '--rounds', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "[[[4.0, 4.0]]]\n"), done.stderr
    warning, error = done.stderr.splitlines()
    assert warning.startswith("ssm-sense: warning: the native CPU kernels are not installed")
    assert error == "ssm-sense: --rounds must be at least 1, got 0"


def test_an_unknown_build_is_an_error_not_a_crash(scan_inputs):
    if not NATIVE:
        assert cpu.builds() == ()
        return
    names = ("x", "dt", "A", "B", "C")
    inputs = scan_inputs(1, 2, 3, 4, torch.float32)
    with pytest.raises(RuntimeError, match="no such build"):
        cpu.scan_forward(99, *(inputs[name] for name in names), None, None, None, False, None, None, None, False)
