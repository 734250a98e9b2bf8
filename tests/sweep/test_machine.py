"""What a cell's numbers were made on."""

from ssm_sense.provenance import package_versions
from ssm_sense.sweep.machine import machine


def test_what_ran_is_named() -> None:
    found = machine()
    assert set(found) == {"backend", "device", "versions"}
    assert str(found["device"]).startswith(("cpu (", "cuda ("))
    assert found["versions"] == package_versions()
