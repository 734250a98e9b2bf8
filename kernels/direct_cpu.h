// A scan or a convolution on tensors as Python holds them, checked here: what a stream calls at every step, where reading
// some ten tensors from Python and sending them through torch's dispatcher took five times as long as the step itself.
//
// Tensors are read by the function that torch publishes for this, `dltensor_from_py_object_no_sync` of DLPack's exchange
// interface (its specification, version 1), handed over as a pointer: nothing of torch or Python is linked or included.
// Whatever is not plain, or is wrong, is refused with nothing computed; the caller's other way explains or converts it.

#pragma once
#include <stdint.h>

#include "ssm_cpu.h"

// DLPack's DLTensor.
struct direct_tensor {
    void *data;
    int32_t device_type, device_id, dims;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
};

static struct {
    int (*read)(void *object, direct_tensor *tensor);
    void *(*item)(void *tuple, intptr_t place);
    void (*forget_error)(void);
    void *none;
} runtime = {nullptr, nullptr, nullptr, nullptr};

// Up to this many state updates a call may hold Python's lock: a tenth of a millisecond of work.
static const int64_t MOST_UPDATES = 1 << 20;

// Reads tensors one after the other; `fine` stays true while each is plain and of the type of the first.
struct direct_reader {
    void *const objects;  // a Python tuple
    intptr_t next = 0;
    bool fine = true;
    int bits = 0;

    explicit direct_reader(void *objects) : objects(objects) {}

    // The next tensor if there is one, of `dims` dimensions, with each size that is not 0 in `shape` as it stands there; sizes
    // of 0 are filled in. Null, too, where the object is None, which is refused unless `optional`.
    void *operator()(int dims, int64_t *shape, int64_t *strides, bool optional = false) {
        void *object = runtime.item(objects, next++);
        if (!fine || (object == runtime.none && optional)) return nullptr;
        direct_tensor t;
        fine = false;
        if (object == runtime.none) return nullptr;
        if (runtime.read(object, &t)) {
            runtime.forget_error();
            return nullptr;
        }
        const int FLOAT = 2, CPU = 1;
        if (t.device_type != CPU || t.code != FLOAT || t.lanes != 1 || (t.bits != 32 && t.bits != 64)) return nullptr;
        if (!t.data || t.dims != dims || (bits && bits != t.bits)) return nullptr;
        bits = t.bits;
        bool dense = true, rows = true;
        int64_t step = 1;
        for (int d = dims - 1; d >= 0; --d) {
            if (t.shape[d] < 1 || (shape[d] && shape[d] != t.shape[d])) return nullptr;
            shape[d] = t.shape[d];
            if (t.shape[d] > 1 && t.strides[d] != step) {
                dense = false;
                if (d == dims - 1) rows = false;
            }
            step *= t.shape[d];
        }
        if (strides ? !rows : !dense) return nullptr;
        if (strides) strides[0] = t.strides[0], strides[1] = t.strides[1];
        fine = true;
        return static_cast<char *>(t.data) + t.byte_offset;
    }
};

static bool few(int64_t batch, int64_t length, int64_t channels, int64_t each) {
    return 1.0 * batch * length * channels * each <= MOST_UPDATES;  // in doubles, which do not overflow
}

// objects: x, A, dt, B, C, D, z, dt_bias, gate, keep, initial_state, y, final_state.
static bool direct_scan(ssm_scan &s, void *objects) {
    direct_reader read(objects);
    int64_t of_x[3] = {}, of_A[2] = {}, of_y[3] = {};
    s.x = read(3, of_x, s.x_stride);
    of_A[0] = of_x[2];
    s.A = read(2, of_A, nullptr);
    const int64_t batch = of_x[0], length = of_x[1], channels = of_x[2], n = of_A[1];
    int64_t of_B[3] = {batch, length, n}, of_channels[1] = {channels}, of_steps[2] = {batch, length};
    int64_t of_state[3] = {batch, channels, n};
    s.dt = read(3, of_x, s.dt_stride);
    s.B = read(3, of_B, s.B_stride);
    s.C = read(3, of_B, s.C_stride);
    s.D = read(1, of_channels, nullptr, true);
    s.z = read(3, of_x, s.z_stride, true);
    s.dt_bias = read(1, of_channels, nullptr, true);
    s.gate = read(2, of_steps, nullptr, true);
    s.keep = read(2, of_steps, nullptr, true);
    s.initial_state = read(3, of_state, nullptr, true);
    for (int d = 0; d < 3; ++d) of_y[d] = of_x[d];
    s.y = read(3, of_y, nullptr);
    s.final_state = read(3, of_state, nullptr);
    s.checkpoints = nullptr;
    s.is_double = read.bits == 64;
    s.batch = batch, s.length = length, s.channels = channels, s.n = n;
    return read.fine && few(batch, length, channels, n);
}

// objects: x, weight, bias, keep, initial_state, y, final_state.
static bool direct_conv(ssm_conv &c, void *objects) {
    direct_reader read(objects);
    int64_t of_x[3] = {}, of_weight[2] = {};
    c.x = read(3, of_x, c.x_stride);
    of_weight[0] = of_x[2];
    c.weight = read(2, of_weight, nullptr);
    const int64_t batch = of_x[0], length = of_x[1], channels = of_x[2], width = of_weight[1];
    if (width < 2) return false;  // an empty state has no data to read
    int64_t of_channels[1] = {channels}, of_steps[2] = {batch, length}, of_state[3] = {batch, width - 1, channels};
    c.bias = read(1, of_channels, nullptr, true);
    c.keep = read(2, of_steps, nullptr, true);
    c.initial_state = read(3, of_state, nullptr, true);
    c.y = read(3, of_x, nullptr);
    c.final_state = read(3, of_state, nullptr);
    c.is_double = read.bits == 64;
    c.batch = batch, c.length = length, c.channels = channels, c.width = width;
    return read.fine && few(batch, length, channels, width);
}
