// The causal convolution on CUDA, compiled by NVRTC for one dtype and one width of the filter (SSM_TYPE, SSM_WIDTH) at
// a time.
#include "conv.cuh"
#include "sums.cuh"
