"""The gated, resettable selective scan and its causal convolution: one op each, several implementations behind it."""

from ssm_sense.ops.conv import causal_conv1d
from ssm_sense.ops.dispatch import available, backend, require, use_backend, without_native
from ssm_sense.ops.scan import selective_scan

__all__ = ["available", "backend", "causal_conv1d", "require", "selective_scan", "use_backend", "without_native"]
