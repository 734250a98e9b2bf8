// A stream's single step of the selective scan, on full tiles and N a multiple of W: a vector holds W states of one
// channel, as they lie in memory, and only C h is transposed. Every number is formed as in the loop over time, so it has
// its bits.

#pragma once
#include "scan_cpu.h"

namespace SSM_BUILD {

template <class T> static bool is_single_step(const ssm_scan &s) {
    return s.length == 1 && s.n % LANES<T> == 0 && s.channels % LANES<T> == 0 && !s.checkpoints;
}

// The next row's place, which the compiler may not work out in advance: it would keep the addresses of all rows, more
// than it has registers.
SSM_INLINE int64_t next_row(int64_t row, int64_t count) {
    row += count;
    __asm__ volatile("" : "+r"(row));
    return row;
}

// One batch item.
template <class T, bool BEFORE, bool KEEP> struct SingleStep {
    static constexpr int W = LANES<T>;
    const ssm_scan &s;
    const int64_t count;
    const T kept;
    const T *gate, *x, *dt, *z, *A, *B, *C, *before;
    T *after, *y;

    SingleStep(const ssm_scan &s, int64_t b)
        : s(s), count(s.n), kept(KEEP ? static_cast<const T *>(s.keep)[b] : T(1)),
          gate(s.gate ? static_cast<const T *>(s.gate) + b : nullptr),
          x(Track<T>(s.x, s.x_stride, b, 0).start), dt(Track<T>(s.dt, s.dt_stride, b, 0).start),
          z(Track<T>(s.z, s.z_stride, b, 0).start), A(static_cast<const T *>(s.A)),
          B(Track<T>(s.B, s.B_stride, b, 0).start), C(Track<T>(s.C, s.C_stride, b, 0).start),
          before(BEFORE ? static_cast<const T *>(s.initial_state) + b * s.channels * s.n : nullptr),
          after(static_cast<T *>(s.final_state) + b * s.channels * s.n),
          y(static_cast<T *>(s.y) + b * s.channels) {}

    // g Δ and g Δ x of the tile at channel e.
    void enter(int64_t e, T *size, T *input) const {
        const Vec<T> step = size_of_step<T>(s, load(dt + e) + of_channels<T>(s.dt_bias, e, W), gate);
        store(size, step);
        store(input, step * load(x + e));
    }

    // The states of the tile at channel e.
    void move(int64_t e, const T *size, const T *input) const {
        for (int64_t n = 0; n < count; n += W) {
            // Read where they are used: the compiler would hoist all and spill them.
            __asm__ volatile("" : "+r"(size), "+r"(input) : : "memory");
            const Vec<T> entering = load(B + n);
            Vec<T> state[W];
            int64_t row = e * count + n;
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i, row = next_row(row, count)) {
                Vec<T> h = BEFORE ? load(before + row) : Vec<T>{};
                if (KEEP) h *= kept;
                state[i] = fma(exp2<T>(load(A + row) * LOG2E<T> * size[i]), h, entering * input[i]);
            }
            // After every load: a load waits for any store before it whose address ends in the same twelve bits.
            row = e * count + n;
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i, row = next_row(row, count)) store(after + row, state[i]);
        }
    }

    // C h of the tile at channel e, once it has moved.
    void weigh(int64_t e) const {
        Vec<T> sum = {};
        for (int64_t n = 0; n < count; n += W) {
            Vec<T> state[W];
            int64_t row = e * count + n;
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i, row = next_row(row, count)) state[i] = load(after + row);
            transpose<T>(state);
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i) sum = fma_by<T>(state[i], C[n + i], sum);
        }
        store(y + e, sum);
    }

    // y of the tile at channel e, from its C h.
    void leave(int64_t e) const {
        Vec<T> out = load(y + e);
        if (s.D) out = fma(load(static_cast<const T *>(s.D) + e), load(x + e), out);
        store(y + e, z ? gated<T>(out, load(z + e)) : out);
    }
};

// First all step sizes and last all outputs: a softplus or a sigmoid is a long chain of operations, and those of
// neighbours run side by side. So do the exponentials of a tile and the sums of the one before it.
template <class T, bool BEFORE, bool KEEP> static void single_step_unit(const void *context, int64_t unit, void *) {
    constexpr int W = LANES<T>;
    const ScanCall &call = *static_cast<const ScanCall *>(context);
    const Range batches = call.cut.batches(unit), tiles = call.cut.tiles_of(unit);
    const int64_t begin = tiles.begin * W, end = tiles.end * W;
    alignas(64) T sizes[MOST_TILES * W], inputs[MOST_TILES * W];
    for (int64_t b = batches.begin; b < batches.end; ++b) {
        const SingleStep<T, BEFORE, KEEP> step(call.s, b);
        for (int64_t e = begin; e < end; e += W) step.enter(e, sizes + e - begin, inputs + e - begin);
        for (int64_t e = begin; e < end; e += W) {
            step.move(e, sizes + e - begin, inputs + e - begin);
            if (e > begin) step.weigh(e - W);
        }
        step.weigh(end - W);
        for (int64_t e = begin; e < end; e += W) step.leave(e);
    }
}

template <class T> static int single_step(const ssm_scan &s) {
    const ScanCall call = {s, Cut::into(s.batch, s.channels, LANES<T>, 1)};
    const ssm_unit steps[2][2] = {{single_step_unit<T, false, false>, single_step_unit<T, false, true>},
                                  {single_step_unit<T, true, false>, single_step_unit<T, true, true>}};
    const ssm_unit step = steps[s.initial_state != nullptr][s.keep != nullptr];
    if (threads_worth(s) > 1) return ssm_for_each(call.cut.units(), s.threads, step, &call, 0);
    for (int64_t unit = 0; unit < call.cut.units(); ++unit) step(&call, unit, nullptr);
    return SSM_OK;
}

}  // namespace SSM_BUILD
