"""Loading compiled programs and queueing their kernels on torch's current stream."""

import ctypes
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from ssm_sense.ops.cuda import nvrtc
from ssm_sense.ops.cuda.program import Program

_THREADS_PER_PROCESSOR = 512
"""What counts as a busy multiprocessor when a length may be split; not yet tuned on a device."""


@cache
def _properties(index: int) -> Any:
    return torch.cuda.get_device_properties(index)


class Driver:
    """A ``Launcher`` for real devices: one module for each program and device, loaded at first use.

    Launching allocates nothing and waits for nothing, so a CUDA graph can capture it; loading does not, so
    run an op once on a device before capturing it.
    """

    def __init__(self) -> None:
        self._functions: dict[tuple[int, Program, str], Any] = {}
        self._modules: dict[tuple[int, Program], Any] = {}
        self._contexts: dict[int, Any] = {}
        self._lock = threading.Lock()

    def filling(self, device: torch.device) -> int:
        return _THREADS_PER_PROCESSOR * _properties(device.index).multi_processor_count

    def shared_limit(self, device: torch.device) -> int:
        return _properties(device.index).shared_memory_per_block_optin

    def launch(
        self,
        program: Program,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        shared_bytes: int,
        words: Sequence[int],
        device: torch.device,
    ) -> None:
        call = (ctypes.c_int64 * len(words))(*words)
        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(call))  # The driver copies what it points to.
        stream = torch.cuda.current_stream(device).cuda_stream
        driver = nvrtc.bindings("driver")
        with self._current(driver, device):
            function = self._functions.get((device.index, program, kernel))
            if function is None:
                function = self._load(program, kernel, device)
            result = driver.cuLaunchKernel(
                function, *grid, 1, threads, 1, 1, shared_bytes, stream, ctypes.addressof(arguments), 0
            )
        nvrtc.checked(f"launching {kernel} on {device}, grid {grid}, {threads} threads", result)

    @contextmanager
    def _current(self, driver: Any, device: torch.device) -> Iterator[None]:
        """The device's context, which torch uses, on this thread: a thread may have another one, or none yet."""
        context = self._contexts.get(device.index)
        if context is None:
            place = nvrtc.checked(f"finding {device}", driver.cuDeviceGet(device.index))
            context = nvrtc.checked(f"the context of {device}", driver.cuDevicePrimaryCtxRetain(place))
            self._contexts[device.index] = context
        if int(nvrtc.checked("the current context", driver.cuCtxGetCurrent())) == int(context):
            yield
            return
        nvrtc.checked(f"entering the context of {device}", driver.cuCtxPushCurrent(context))
        try:
            yield
        finally:
            driver.cuCtxPopCurrent()

    def _load(self, program: Program, kernel: str, device: torch.device) -> Any:
        if torch.cuda.is_current_stream_capturing():
            raise nvrtc.CudaUnavailable(
                f"{kernel} is not loaded on {device} yet, and a CUDA graph being captured cannot load it: "
                "run the op once with these dtypes and sizes before capturing"
            )
        driver = nvrtc.bindings("driver")
        with self._lock:
            module = self._modules.get((device.index, program))
            if module is None:
                properties = _properties(device.index)
                code = nvrtc.compiled(program, nvrtc.architecture(properties.major, properties.minor))
                module = nvrtc.checked(f"loading {program.file} on {device}", driver.cuModuleLoadData(code))
                self._modules[device.index, program] = module
            function = nvrtc.checked(f"finding {kernel}", driver.cuModuleGetFunction(module, kernel.encode()))
            most = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            limit = self.shared_limit(device)
            nvrtc.checked(f"giving {kernel} {limit} bytes", driver.cuFuncSetAttribute(function, most, limit))
            self._functions[device.index, program, kernel] = function
        return function
