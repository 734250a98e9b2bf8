// The C interface of the CPU kernels: plain pointers and 64-bit integers, no torch, no Python.
//
// Every field is 8 bytes, so a caller packs a struct as a flat list of 64-bit words. Absent tensors are null.
// Element type T is float, or double when is_double. A function returns 0, or an error of ssm_error.
// Tensors are dense in their last dimension; those with strides give theirs for (batch, length), in elements,
// all others are contiguous. Letters: E channels, N state size, W filter width.

#pragma once
#include <stdint.h>

#if defined(_WIN32)
#define SSM_EXPORT __declspec(dllexport)
#else
#define SSM_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum ssm_error { SSM_OK = 0, SSM_NO_MEMORY = 1, SSM_NO_SUCH_BUILD = 2, SSM_REFUSED = 3 };

// x, dt, z (batch, length, E); A (E, N); B, C (batch, length, N); D, dt_bias (E); gate, keep (batch, length);
// states (batch, E, N); checkpoints (batch, ceil(length / chunk), N, E): the state before every chunk of steps.
struct ssm_scan {
    int64_t build, is_double, threads;
    int64_t batch, length, channels, n, chunk, softplus;
    const void *x, *dt, *A, *B, *C, *D, *z, *dt_bias, *gate, *keep, *initial_state;
    int64_t x_stride[2], dt_stride[2], z_stride[2], B_stride[2], C_stride[2];
    void *y, *final_state, *checkpoints;  // y is contiguous; checkpoints may be null in the forward pass
};

// Every gradient has the shape of its tensor and is contiguous; null where the tensor is absent.
struct ssm_scan_backward {
    struct ssm_scan in;
    const void *grad_y, *grad_final;
    int64_t grad_y_stride[2];
    void *dx, *ddt, *dA, *dB, *dC, *dD, *dz, *ddt_bias, *dgate, *dkeep, *dinitial_state;
};

// x, y (batch, length, E); weight (E, W); bias (E); keep (batch, length); states (batch, W-1, E).
struct ssm_conv {
    int64_t build, is_double, threads;
    int64_t batch, length, channels, width, silu;
    const void *x, *weight, *bias, *keep, *initial_state;
    int64_t x_stride[2];
    void *y, *final_state;
};

struct ssm_conv_backward {
    struct ssm_conv in;
    const void *grad_y, *grad_final;
    int64_t grad_y_stride[2];
    void *dx, *dweight, *dbias, *dkeep, *dinitial_state;
};

SSM_EXPORT int ssm_scan_forward(const struct ssm_scan *);
SSM_EXPORT int ssm_scan_gradient(const struct ssm_scan_backward *);
SSM_EXPORT int ssm_conv_forward(const struct ssm_conv *);
SSM_EXPORT int ssm_conv_gradient(const struct ssm_conv_backward *);

// The name of a build that this processor can run, best first; null past the last. Its place is `build` above.
SSM_EXPORT const char *ssm_build_name(int64_t place);

// The GOMP_parallel of the OpenMP runtime that the process already runs; without it everything runs on one thread.
SSM_EXPORT void ssm_set_parallel(void (*parallel)(void (*)(void *), void *, unsigned, unsigned));

// How to read what Python holds (direct_cpu.h): torch's function for a tensor, Python's for an item of a tuple and for
// forgetting an error, and None.
struct direct_tensor;
SSM_EXPORT void ssm_set_runtime(int (*read)(void *, struct direct_tensor *), void *(*item)(void *, intptr_t),
                                void (*forget_error)(void), void *none);

// The forward passes on a Python tuple of tensors, None where absent, Python's lock held throughout: small calls only.
// Checks all that the kernels rely on; SSM_REFUSED, nothing computed, unless all are plain and of one floating type.
SSM_EXPORT int ssm_scan_direct(int64_t build, int64_t threads, int64_t chunk, int64_t softplus, void *tensors);
SSM_EXPORT int ssm_conv_direct(int64_t build, int64_t threads, int64_t silu, void *tensors);

// Runs the body of the scan's inner loop on registers alone, `updates` state updates of float channels shared out over
// the same threads as a scan's: what the processor could do if memory were free. Returns an ssm_error.
SSM_EXPORT int ssm_scan_floor(int64_t build, int64_t threads, int64_t updates);

#ifdef __cplusplus
}
#endif
