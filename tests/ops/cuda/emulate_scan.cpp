// The kernels of kernels/scan.cu as host code.
#include "emulator.h"
#include "scan.cu"

EMULATED(ssm_carry, Carry)
#if SSM_GRADIENT
EMULATED(ssm_adjoint_ends, Scan)
EMULATED(ssm_scan_gradient, Scan)
EMULATED(ssm_sums, Sums)
#else
EMULATED(ssm_scan, Scan)
EMULATED(ssm_scan_ends, Scan)
EMULATED(ssm_step, Scan)
#endif
