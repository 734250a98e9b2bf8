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

enum ssm_error { SSM_OK = 0, SSM_NO_MEMORY = 1, SSM_NO_SUCH_BUILD = 2 };

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

// What the direct entries use of the running Python and torch (direct_cpu.h): functions of Python's stable interface under
// the names at their right, and objects that live as long as the process.
struct direct_tensor;
struct ssm_runtime {
    int (*read)(void *object, struct direct_tensor *);  // torch's, of DLPack's exchange interface
    void *(*call)(void *callable, ...);                 // PyObject_CallFunctionObjArgs
    void *(*call_method)(void *object, const char *name, const char *format, ...);  // PyObject_CallMethod
    void *(*pack)(intptr_t count, ...);                 // PyTuple_Pack
    void *(*type_of)(void *object);                     // PyObject_Type
    long (*number)(void *object);                       // PyLong_AsLong
    void (*hold)(void *object);                         // Py_IncRef
    void (*let_go)(void *object);                       // Py_DecRef
    void (*forget_error)(void);                         // PyErr_Clear
    void *none, *yes, *no;                              // None, True, False
    void *tensor, *parameter;                           // the types torch.Tensor and torch.nn.Parameter
    void *empty_like, *is_neg, *get_num_threads;        // of torch
    int64_t chunk;                                      // as in ssm_scan
};
SSM_EXPORT void ssm_set_runtime(const struct ssm_runtime *);

// The forward passes as builtins of Python, each described by a PyMethodDef and to be bound to the place of a build. They
// return (y, final_state), or None, with nothing computed, unless all tensors are plain and of one floating type.
// Python's lock is held throughout: small calls only.
struct ssm_method {
    const char *name;
    void *(*function)(void *build, void *const *args, intptr_t count);
    int flags;
    const char *doc;
};
SSM_EXPORT extern const struct ssm_method ssm_scan_method, ssm_conv_method;

// Runs the body of the scan's inner loop on registers alone, `updates` state updates of float channels shared out over
// the same threads as a scan's: what the processor could do if memory were free. Returns an ssm_error.
SSM_EXPORT int ssm_scan_floor(int64_t build, int64_t threads, int64_t updates);

#ifdef __cplusplus
}
#endif
