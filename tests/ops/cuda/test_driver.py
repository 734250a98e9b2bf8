"""The way to the driver, with stand-ins for it and for torch's view of the devices: what is passed, when, where."""

import ctypes
from types import SimpleNamespace

import pytest
import torch

from ssm_sense.ops.cuda import driver, nvrtc
from ssm_sense.ops.cuda.program import Program

PROGRAM = Program("conv.cu", (("SSM_TYPE", 1), ("SSM_WIDTH", 4)))
WORDS = [3, -1, 1 << 40]


class StandIn:
    """NVIDIA's driver as ``cuda.bindings.driver`` shows it: (status, value) from every call, everything noted."""

    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="most")

    def __init__(self):
        self.calls = []
        self.contexts = [100]
        self.capturing = False
        self.status = 0

    def cuDeviceGet(self, ordinal):
        return 0, ordinal

    def cuDevicePrimaryCtxRetain(self, place):
        return 0, 100 + place

    def cuCtxGetCurrent(self):
        return 0, self.contexts[-1]

    def cuCtxPushCurrent(self, context):
        self.contexts.append(context)
        return (0,)

    def cuCtxPopCurrent(self):
        return 0, self.contexts.pop()

    @property
    def current(self):
        return self.contexts[-1] - 100

    def cuModuleLoadData(self, code):
        self.calls.append(("load", self.current, code))
        return 0, f"module {len(self.calls)}"

    def cuModuleGetFunction(self, module, name):
        return 0, (module, name)

    def cuFuncSetAttribute(self, function, what, value):
        self.calls.append((what, function, value))
        return (0,)

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared_bytes, stream, arguments, extra):
        (call,) = (ctypes.c_void_p * 1).from_address(arguments)
        words = list((ctypes.c_int64 * len(WORDS)).from_address(call))
        self.calls.append(("launch", self.current, function, (gx, gy, gz), (bx, by, bz), shared_bytes, stream, words))
        assert extra == 0
        return (self.status,)


@pytest.fixture
def device(monkeypatch):
    """Two devices, of different generations."""
    stand_in = StandIn()

    properties = [
        SimpleNamespace(major=9, minor=0, multi_processor_count=132, shared_memory_per_block_optin=227 << 10),
        SimpleNamespace(major=8, minor=0, multi_processor_count=108, shared_memory_per_block_optin=163 << 10),
    ]
    monkeypatch.setattr(nvrtc, "bindings", lambda name: {"driver": stand_in}[name])
    monkeypatch.setattr(nvrtc, "compiled", lambda program, target: f"{program.file} for {target}".encode())
    monkeypatch.setattr(nvrtc, "architecture", lambda major, minor: f"sm_{major}{minor}")
    monkeypatch.setattr(driver, "_properties", properties.__getitem__)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=77 + device.index))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: stand_in.capturing)
    return stand_in


def _launch(launcher, index=0):
    launcher.launch(PROGRAM, "ssm_conv", (5, 1), 128, 64, WORDS, torch.device("cuda", index))


def test_a_launch_carries_its_struct_and_the_stream(device):
    _launch(driver.Driver())
    load, limit, launch = device.calls
    assert load == ("load", 0, b"conv.cu for sm_90")
    assert limit == ("most", ("module 1", b"ssm_conv"), 227 << 10)
    assert launch == ("launch", 0, ("module 1", b"ssm_conv"), (5, 1, 1), (128, 1, 1), 64, 77, WORDS)


def test_each_device_has_a_module_of_its_own_and_is_current_when_it_launches(device):
    launcher = driver.Driver()
    for index in (0, 1, 1, 0):
        _launch(launcher, index)
    assert [call[1:] for call in device.calls if call[0] == "load"] == [
        (0, b"conv.cu for sm_90"),
        (1, b"conv.cu for sm_80"),
    ]
    assert [(call[1], call[6]) for call in device.calls if call[0] == "launch"] == [(0, 77), (1, 78), (1, 78), (0, 77)]
    assert device.contexts == [100]


def test_a_thread_without_a_context_gets_it_for_the_launch(device):
    device.contexts = [0]
    _launch(driver.Driver(), 1)
    assert [call[1] for call in device.calls if call[0] in ("load", "launch")] == [1, 1]
    assert device.contexts == [0]


def test_loading_while_a_graph_is_captured_is_explained(device):
    launcher = driver.Driver()
    device.capturing = True
    with pytest.raises(nvrtc.CudaUnavailable, match="run the op once with these dtypes and sizes before capturing"):
        _launch(launcher)
    device.capturing = False
    _launch(launcher)
    device.capturing = True
    _launch(launcher)
    assert [call[0] for call in device.calls] == ["load", "most", "launch", "launch"]


def test_a_failed_launch_names_the_kernel(device):
    device.status = 1
    with pytest.raises(
        nvrtc.CudaUnavailable, match=r"launching ssm_conv on cuda:0, grid \(5, 1\), 128 threads failed: 1"
    ):
        _launch(driver.Driver())


def test_what_a_device_is_asked_for(device):
    launcher = driver.Driver()
    assert launcher.filling(torch.device("cuda", 0)) == 132 * 512
    assert launcher.shared_limit(torch.device("cuda", 1)) == 163 << 10
