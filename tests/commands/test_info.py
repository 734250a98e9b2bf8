"""`ssm-sense info` tells what a bug report needs, and imports no more than it must."""

import subprocess
import sys

import pytest
import torch

from ssm_sense import __version__, ops
from ssm_sense.commands import info


def test_it_names_versions_backend_and_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert info.main([]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert facts["ssm-sense"] == __version__
    assert facts["torch"] == torch.__version__
    assert facts["backend"].startswith(ops.backend())
    assert facts["devices"].startswith("cpu (")
    assert facts["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")


def test_a_missing_package_is_said_to_be(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(info, "PACKAGES", ("no-such-package",))
    assert info.main([]) == 0
    assert "no-such-package not installed" in capsys.readouterr().out


def test_it_imports_none_of_the_packages_that_it_names_but_torch() -> None:
    code = (
        "import sys\nfrom ssm_sense.cli import main\nassert main(['info']) == 0\n"
        "print([m for m in ('lightning', 'transformers', 'av', 'decord', 'numba', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
