// The recurrence on CUDA: one program for the forward pass and the step, one for the gradient (SSM_GRADIENT). How each
// is cut into blocks is in README.md. Compiled by NVRTC for one dtype and one layout of the states (SSM_TYPE,
// SSM_LANES, SSM_STATES) at a time.
#include "carry.cuh"
#if SSM_GRADIENT
#include "scan_backward.cuh"
#include "sums.cuh"
#else
#include "scan_forward.cuh"
#endif
