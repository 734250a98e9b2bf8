// A scan or a convolution on tensors as Python holds them, checked here: what a stream calls at every step, where reading
// some ten tensors from Python and sending them through torch's dispatcher took five times as long as the step itself.
//
// Python calls this as a builtin. Its own functions and torch's are handed over as pointers (ssm_runtime): nothing of
// either is linked or included. Tensors are read by what torch publishes for this, `dltensor_from_py_object_no_sync` of
// DLPack's exchange interface (its specification, version 1).
// Whatever is not plain, or fails, is refused with nothing computed; the caller's other way explains or converts it.

#pragma once
#include <stdint.h>

#include "parallel.h"
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

static ssm_runtime runtime = {};

// Up to this many state updates a call may hold Python's lock: a tenth of a millisecond of work.
static const int64_t MOST_UPDATES = 1 << 20;

// A new reference, let go with its scope; null where making it raised.
struct direct_object {
    void *const object;

    explicit direct_object(void *made) : object(made) {
        if (!object) runtime.forget_error();
    }
    ~direct_object() {
        if (object) runtime.let_go(object);
    }
    direct_object(const direct_object &) = delete;
    direct_object &operator=(const direct_object &) = delete;
};

// Absent, or a tensor and no subclass of it, which may stand for anything.
static bool direct_plain(void *object) {
    if (object == runtime.none) return true;
    const direct_object type(runtime.type_of(object));
    return type.object == runtime.tensor || type.object == runtime.parameter;
}

// A lazy negation, which shows in the strides of all tensors but those that may hold a single number.
static bool direct_negated(void *object) {
    return object != runtime.none && direct_object(runtime.call(runtime.is_neg, object, nullptr)).object != runtime.no;
}

// Reads tensors one after the other; `fine` stays true while each is plain and of the type of the first.
struct direct_reader {
    bool fine = true;
    int bits = 0;

    // A tensor of `dims` dimensions, with each size that is not 0 in `shape` as it stands there; sizes of 0 are filled in.
    // Null, too, where the object is None, which is refused unless `optional`.
    void *operator()(void *object, int dims, int64_t *shape, int64_t *strides, bool optional = false) {
        if (!fine || (object == runtime.none && optional)) return nullptr;
        direct_tensor t;
        fine = false;
        if (!object || object == runtime.none) return nullptr;
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
            // A last dimension of 1 must be plain as well: that of a lazy negation has another stride, and nothing else tells.
            if ((t.shape[d] > 1 || d == dims - 1) && t.strides[d] != step) {
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

// Whether a call is small enough; how many threads it may take.
static bool direct_threads(int64_t batch, int64_t length, int64_t channels, int64_t each, int64_t *threads) {
    const double updates = 1.0 * batch * length * channels * each;  // does not overflow
    *threads = 1;
    if (updates > MOST_UPDATES) return false;
    if (updates >= WORTH_A_THREAD) {
        const direct_object count(runtime.call(runtime.get_num_threads, nullptr));
        *threads = count.object ? runtime.number(count.object) : 1;
    }
    return true;
}

// args: x, dt, A, B, C, D, z, dt_bias, dt_softplus, gate, keep, initial_state.
static bool direct_scan(ssm_scan &s, void *const *args, void *y, void *final_state) {
    direct_reader read;
    int64_t of_x[3] = {}, of_A[2] = {}, of_y[3] = {};
    s.x = read(args[0], 3, of_x, s.x_stride);
    of_A[0] = of_x[2];
    s.A = read(args[2], 2, of_A, nullptr);
    const int64_t batch = of_x[0], length = of_x[1], channels = of_x[2], n = of_A[1];
    int64_t of_B[3] = {batch, length, n}, of_channels[1] = {channels}, of_steps[2] = {batch, length};
    int64_t of_state[3] = {batch, channels, n};
    s.dt = read(args[1], 3, of_x, s.dt_stride);
    s.B = read(args[3], 3, of_B, s.B_stride);
    s.C = read(args[4], 3, of_B, s.C_stride);
    s.D = read(args[5], 1, of_channels, nullptr, true);
    s.z = read(args[6], 3, of_x, s.z_stride, true);
    s.dt_bias = read(args[7], 1, of_channels, nullptr, true);
    s.gate = read(args[9], 2, of_steps, nullptr, true);
    s.keep = read(args[10], 2, of_steps, nullptr, true);
    s.initial_state = read(args[11], 3, of_state, nullptr, true);
    for (int d = 0; d < 3; ++d) of_y[d] = of_x[d];
    s.y = read(y, 3, of_y, nullptr);
    s.final_state = read(final_state, 3, of_state, nullptr);
    if (!read.fine || !direct_threads(batch, length, channels, n, &s.threads)) return false;
    s.softplus = args[8] == runtime.yes;
    s.chunk = runtime.chunk;
    s.checkpoints = nullptr;
    s.is_double = read.bits == 64;
    s.batch = batch, s.length = length, s.channels = channels, s.n = n;
    return true;
}

// args: x, weight, bias, keep, initial_state, silu.
static bool direct_conv(ssm_conv &c, void *const *args, void *y, void *final_state) {
    direct_reader read;
    int64_t of_x[3] = {}, of_weight[2] = {};
    c.x = read(args[0], 3, of_x, c.x_stride);
    of_weight[0] = of_x[2];
    c.weight = read(args[1], 2, of_weight, nullptr);
    const int64_t batch = of_x[0], length = of_x[1], channels = of_x[2], width = of_weight[1];
    if (width < 2) return false;  // an empty state has no data to read
    int64_t of_channels[1] = {channels}, of_steps[2] = {batch, length}, of_state[3] = {batch, width - 1, channels};
    c.bias = read(args[2], 1, of_channels, nullptr, true);
    c.keep = read(args[3], 2, of_steps, nullptr, true);
    c.initial_state = read(args[4], 3, of_state, nullptr, true);
    c.y = read(y, 3, of_x, nullptr);
    c.final_state = read(final_state, 3, of_state, nullptr);
    if (!read.fine || !direct_threads(batch, length, channels, width, &c.threads)) return false;
    c.silu = args[5] == runtime.yes;
    c.is_double = read.bits == 64;
    c.batch = batch, c.length = length, c.channels = channels, c.width = width;
    return true;
}

// As many arguments as there should be, all plain but the one that is a bool.
static bool direct_arguments(void *const *args, intptr_t came, intptr_t count, intptr_t switch_place) {
    if (came != count || (args[switch_place] != runtime.yes && args[switch_place] != runtime.no)) return false;
    for (intptr_t i = 0; i < count; ++i)
        if (i != switch_place && !direct_plain(args[i])) return false;
    return true;
}

// Room for a stream's first state; a new reference, as all that Python makes.
static void *direct_first_state(void *x, void *A) {
    direct_reader read;
    int64_t of_x[3] = {}, of_A[2] = {}, strides[2];
    read(x, 3, of_x, strides);
    read(A, 2, of_A, nullptr);
    if (!read.fine) return nullptr;
    const long long batch = of_x[0], channels = of_A[0], n = of_A[1];
    return runtime.call_method(A, "new_empty", "LLL", batch, channels, n);
}

// Whether x may be served at all: on a device, or in half precision, no output is to be made only to be refused.
static bool direct_served(void *x) {
    direct_reader read;
    int64_t of_x[3] = {}, strides[2];
    read(x, 3, of_x, strides);
    return read.fine;
}

static void *direct_refusal() {
    runtime.hold(runtime.none);
    return runtime.none;
}

// Outputs come first: while they are made, other threads of Python may run and change what was read.
static void *direct_scan_of(void *build, void *const *args, intptr_t count) {
    if (!direct_arguments(args, count, 12, 8) || !direct_served(args[0]) || direct_negated(args[9]) ||
        direct_negated(args[10]))
        return direct_refusal();
    void *const x = args[0], *const before = args[11];
    const direct_object y(runtime.call(runtime.empty_like, x, nullptr));
    const direct_object final_state(before == runtime.none ? direct_first_state(x, args[2])
                                                           : runtime.call(runtime.empty_like, before, nullptr));
    ssm_scan s;
    s.build = runtime.number(build);
    if (!direct_scan(s, args, y.object, final_state.object) || ssm_scan_forward(&s)) return direct_refusal();
    return runtime.pack(2, y.object, final_state.object);
}

static void *direct_conv_of(void *build, void *const *args, intptr_t count) {
    if (!direct_arguments(args, count, 6, 5) || args[4] == runtime.none || !direct_served(args[0]) ||
        direct_negated(args[3]))
        return direct_refusal();
    const direct_object y(runtime.call(runtime.empty_like, args[0], nullptr));
    const direct_object final_state(runtime.call(runtime.empty_like, args[4], nullptr));
    ssm_conv c;
    c.build = runtime.number(build);
    if (!direct_conv(c, args, y.object, final_state.object) || ssm_conv_forward(&c)) return direct_refusal();
    return runtime.pack(2, y.object, final_state.object);
}
