// The kernels of kernels/conv.cu as host code.
#include "emulator.h"
#include "conv.cu"

EMULATED(ssm_conv, Conv)
EMULATED(ssm_conv_gradient, Conv)
EMULATED(ssm_sums, Sums)
