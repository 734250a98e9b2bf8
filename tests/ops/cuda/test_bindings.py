"""The way to the driver through the real ``cuda.bindings``, to a stand-in for NVIDIA's library: what arrives there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ssm_sense.ops.cuda import nvrtc
from ssm_sense.ops.cuda.program import Program

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the dev extra brings cuda-bindings on Linux only"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="NVIDIA's own library is here: `pytest -m cuda` runs it"),
]

PROGRAM = Program("conv.cu", (("SSM_TYPE", 1), ("SSM_WIDTH", 4)))
SOURCE = Path(__file__).with_name("stand_in_driver.cpp")
PROCESS = """
from types import SimpleNamespace
import torch
from ssm_sense.ops.cuda import driver, nvrtc
from ssm_sense.ops.cuda.program import Program

properties = SimpleNamespace(major=9, minor=0, multi_processor_count=132, shared_memory_per_block_optin=232448)
driver._properties = lambda index: properties
torch.cuda.current_stream = lambda device: SimpleNamespace(cuda_stream=77 * device.index)
torch.cuda.is_current_stream_capturing = lambda: False
launcher = driver.Driver()
program = Program("conv.cu", (("SSM_TYPE", 1), ("SSM_WIDTH", 4)))

def launch(index, first):
    launcher.launch(program, "ssm_conv", (5, 2), 128, 64, [first, -1, 1 << 40], torch.device("cuda", index))

for index in (0, 1, 0):
    launch(index, 3)
try:
    launch(1, 0)
except nvrtc.CudaUnavailable as error:
    print(error, flush=True)
bindings = nvrtc.bindings("driver")
clock = bindings.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_CLOCK_RATE
print("clock", nvrtc.checked("the clock's rate", bindings.cuDeviceGetAttribute(clock, 1)))
"""


def _first(index):
    """Loading on a device whose context is not current: 8 is the bytes of shared memory that may be asked for."""
    context = 0x100 + index
    return [
        f"push {context:#x}",
        f"load ELF in {context:#x}",
        f"find ssm_conv in {context + 0x1000:#x}",
        f"set 8 of {context + 0x2000:#x} to 232448",
    ]


def _launched(index, first=3):
    function, words = f"{0x2100 + index:#x}", f"{first} -1 {1 << 40}"
    return [
        f"launch {function} on 5 2 1 of 128 1 1, 64 bytes, stream {77 * index}, words {words}, extra 0",
        f"pop {0x100 + index:#x}",
    ]


def test_what_arrives_at_the_driver(tmp_path, monkeypatch, compiler):
    library = tmp_path / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    monkeypatch.setenv("SSM_SENSE_CACHE", str(tmp_path / "kept"))
    nvrtc.compiled(PROGRAM, "sm_90")
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("LD_LIBRARY_PATH"))))
    environment = {**os.environ, "LD_LIBRARY_PATH": paths}
    ran = subprocess.run([sys.executable, "-c", PROCESS], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    refused = "launching ssm_conv on cuda:1, grid (5, 2), 128 threads failed: CUDA_ERROR_INVALID_VALUE"
    again = [f"push {0x100:#x}", *_launched(0), f"push {0x101:#x}", *_launched(1, 0)]
    expected = [*_first(0), *_launched(0), *_first(1), *_launched(1), *again, refused, "clock 13001"]
    assert ran.stdout.splitlines() == expected
