"""Every layout compiles for three generations of devices, without spills and within its registers; the cache holds.

No GPU is needed: NVRTC and cuda-bindings come from their pip packages, in the dev extra (Linux).
"""

import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ssm_sense.ops.cuda import layout, nvrtc
from ssm_sense.ops.cuda.program import Program, digest, sources

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the dev extra brings NVRTC on Linux only; run these tests there"
)

BF16 = 1
OLDEST, HOPPER, BLACKWELL = "sm_80", "sm_90", "sm_100"
FORWARD = [*layout._FORWARD.values(), layout._ONE_LANE]
BACKWARD = list(layout._BACKWARD.values())
COMMON = [(4, 4, 0), (1, 16, 0), (16, 16, 0), (4, 4, 1), (32, 8, 1)]
ALL = [(*sizes, 0) for sizes in FORWARD] + [(*sizes, 1) for sizes in BACKWARD]


def _scan(lanes, states, gradient, dtype=BF16):
    constants = {"SSM_TYPE": dtype, "SSM_LANES": lanes, "SSM_STATES": states, "SSM_GRADIENT": gradient}
    return Program("scan.cu", tuple(constants.items()))


def _conv(width, dtype=BF16):
    return Program("conv.cu", (("SSM_TYPE", dtype), ("SSM_WIDTH", width)))


CASES = [(HOPPER, _scan(*case)) for case in ALL]
CASES += [(target, _scan(*case)) for target in (OLDEST, BLACKWELL) for case in COMMON]
CASES += [(HOPPER, _scan(4, 4, gradient, dtype)) for dtype in (0, 2) for gradient in (0, 1)]
CASES += [(target, _conv(width)) for target in (OLDEST, HOPPER, BLACKWELL) for width in (4, 8)]


def _budget(program):
    """Registers a thread may take, by kernel, so that as many blocks run on a multiprocessor as README.md counts on."""
    constants = dict(program.constants)
    if program.file == "conv.cu":
        return {"ssm_conv": 168, "ssm_conv_gradient": 168, "ssm_sums": 40}
    if constants["SSM_GRADIENT"]:
        wide = constants["SSM_STATES"] > 4 or constants["SSM_LANES"] < 4
        gradient = 255 if wide else 168
        return {"ssm_scan_gradient": gradient, "ssm_adjoint_ends": 168, "ssm_carry": 40, "ssm_sums": 40}
    forward = {16: 168, 8: 128}.get(constants["SSM_STATES"], 96)
    ends = {16: 255, 8: 168}.get(constants["SSM_STATES"], 128)
    return {"ssm_scan": forward, "ssm_scan_ends": ends, "ssm_step": 168, "ssm_carry": 40}


@pytest.mark.parametrize(("target", "program"), CASES, ids=lambda part: str(getattr(part, "constants", part)))
def test_registers_and_spills(target, program):
    code, log = nvrtc.compile_program(program, target, "--ptxas-options=-v")
    assert code.startswith(b"\x7fELF")
    found = re.findall(
        r"entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
        r".*?Used (\d+) registers",
        log,
        re.DOTALL,
    )
    budget = _budget(program)
    assert {kernel for kernel, *_ in found} == set(budget), log
    assert "warning" not in log, log
    for kernel, stack, stores, loads, registers in found:
        assert (int(stack), int(stores), int(loads)) == (0, 0, 0), f"{kernel} spills on {target}"
        assert int(registers) <= budget[kernel], f"{kernel} on {target}"


def test_the_files_include_nothing_of_others():
    """So that NVRTC needs no include path: neither CUDA's headers nor C++'s are on a user's machine."""
    for name, text in sources().items():
        included = re.findall(r"#\s*include\s+(.*)", text)
        assert all(re.fullmatch(r'"\w+\.cuh"', line) for line in included), name


def test_compiling_leaves_pythons_shared_bytes_as_they_are():
    """The bindings write a log of one byte into the bytes that they are given, and Python shares those of one byte."""
    nvrtc.compile_program(_conv(4), HOPPER)
    assert [bytes([i])[0] for i in range(256)] == list(range(256))


def test_an_error_shows_the_compilers_words():
    with pytest.raises(nvrtc.CudaUnavailable, match=r"did not compile scan\.cu for sm_90(?s:.*)error"):
        nvrtc.compile_program(_scan(4, 4, "nonsense("), HOPPER)


def test_a_device_newer_than_the_compiler_gets_ptx():
    assert nvrtc.architecture(9, 0) == "sm_90"
    newest = nvrtc.architecture(99, 0)
    assert newest.startswith("compute_")
    code, _ = nvrtc.compile_program(_conv(4), newest)
    assert b".visible .entry ssm_conv(" in code
    # The driver, which compiles it, fuses products and sums that do not say how they round.
    assert b"mul.rn.f32" in code
    assert not re.search(rb"\b(?:mul|add|sub)(?:\.ftz)?\.f32", code)
    with pytest.raises(nvrtc.CudaUnavailable, match=r"compiles for compute capability .* this device has 5\.2"):
        nvrtc.architecture(5, 2)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSM_SENSE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_a_program_is_compiled_once(cache, monkeypatch):
    code = nvrtc.compiled(_conv(4), HOPPER)
    (file,) = cache.iterdir()
    monkeypatch.setattr(nvrtc, "compile_program", lambda *_: pytest.fail("compiled again"))
    assert nvrtc.compiled(_conv(4), HOPPER) == code
    assert file.name == f"{digest(_conv(4), nvrtc.version(), HOPPER)}.bin"


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_file_is_replaced(damage, cache):
    code = nvrtc.compiled(_conv(4), HOPPER)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] if damage is None else damage)
    assert nvrtc.compiled(_conv(4), HOPPER) == code
    assert file.read_bytes() == whole
    assert list(cache.iterdir()) == [file]


def test_the_name_changes_with_all_that_matters(monkeypatch):
    names = {digest(_conv(4), "13.0", "sm_90")}
    names |= {digest(_conv(3), "13.0", "sm_90"), digest(_conv(4, 0), "13.0", "sm_90")}
    names |= {digest(_conv(4), "13.1", "sm_90"), digest(_conv(4), "13.0", "sm_80")}
    edited = {**sources(), "device.cuh": sources()["device.cuh"] + "\n"}
    monkeypatch.setattr("ssm_sense.ops.cuda.program.sources", lambda: edited)
    names.add(digest(_conv(4), "13.0", "sm_90"))
    assert len(names) == 6


def test_processes_that_start_together(cache):
    """Two processes and, in each, three threads ask for the same program at once: all get the same code."""
    code = (
        "import hashlib\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from ssm_sense.ops.cuda import nvrtc\n"
        "from ssm_sense.ops.cuda.program import Program\n"
        "program = Program('conv.cu', (('SSM_TYPE', 1), ('SSM_WIDTH', 3)))\n"
        "with ThreadPoolExecutor(3) as pool:\n"
        "    codes = list(pool.map(lambda _: nvrtc.compiled(program, 'sm_90'), range(3)))\n"
        "assert len(set(codes)) == 1\n"
        "print(hashlib.sha256(codes[0]).hexdigest())\n"
    )

    def start(_):
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(2) as pool:
        printed = set(pool.map(start, range(2)))
    assert printed == {hashlib.sha256(nvrtc.compiled(_conv(3), HOPPER)).hexdigest() + "\n"}
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_said_and_survived(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SSM_SENSE_CACHE", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="set SSM_SENSE_CACHE to a folder that can be written"):
        assert nvrtc.compiled(_conv(4), HOPPER).startswith(b"\x7fELF")


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.delenv("SSM_SENSE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert nvrtc.cache_folder().parts[-2:] == ("somewhere", "ssm_sense")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert nvrtc.cache_folder().parts[-2:] == (".cache", "ssm_sense") or os.name == "nt"


def test_missing_bindings_are_explained(monkeypatch):
    nvrtc.bindings.cache_clear()
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    with pytest.raises(nvrtc.CudaUnavailable, match=r"need cuda-bindings, NVRTC .* did not load"):
        nvrtc.version()
    nvrtc.bindings.cache_clear()
