// The two inner loops of the scan's gradient: a chunk of steps recomputed forwards, then walked backwards.

#pragma once
#include "scan_cpu.h"

namespace SSM_BUILD {

// States handled at once: the adjoint and the gradient of A of each live in registers.
#if SSM_BYTES == 64
constexpr int MOST_STATES = 8;
#else
constexpr int MOST_STATES = 4;
#endif
template <class T> constexpr int STATES = MOST_STATES < LANES<T> ? MOST_STATES : LANES<T>;

// Writes the first COUNT lanes, or adds them to what is there.
template <class T, int COUNT> SSM_INLINE void put(T *p, Vec<T> v, bool first) {
    typedef T Lanes __attribute__((vector_size(COUNT * sizeof(T))));
    Lanes wanted, before;
    __builtin_memcpy(&wanted, &v, sizeof wanted);
    if (!first) {
        __builtin_memcpy(&before, p, sizeof before);
        wanted += before;
    }
    __builtin_memcpy(p, &wanted, sizeof wanted);
}

// What is known about every step of a chunk, a vector a step.
template <class T> struct Chunk {
    T *size, *sx, *delta, *slope, *grad;           // g Δ, g Δ x, Δ, dΔ/draw, gradient of C h
    T *y, *from_input, *from_decay, *from_state;   // C h, Σ λB, Σ λ a h A log2 e, Σ λ a h
    T *decays, *states;                            // STATES vectors a step: a_t, h_{t-1}

    static int64_t numbers(const ssm_scan &s) { return (9 + 2 * STATES<T>) * s.chunk * LANES<T>; }
    Chunk(const ssm_scan &s, T *scratch) {
        T **each_step[] = {&size, &sx, &delta, &slope, &grad, &y, &from_input, &from_decay, &from_state};
        for (T **part : each_step) *part = scratch, scratch += s.chunk * LANES<T>;
        decays = scratch;
        states = decays + s.chunk * STATES<T> * LANES<T>;
    }
};

// What a tile carries from chunk to chunk.
template <class T> struct Carried {
    T *adjoint;    // a vector a state: λ
    T *dA, *lost;  // a vector a state, then dD and ddt_bias; what their sums rounded off

    static int64_t numbers(const ssm_scan &s) { return (3 * s.n + 4) * LANES<T>; }
    Carried(const ssm_scan &s, T *scratch)
        : adjoint(scratch), dA(adjoint + s.n * LANES<T>), lost(dA + (s.n + 2) * LANES<T>) {}
};

// The tile and steps that a call of the loops below is about.
template <class T> struct Place {
    int64_t steps;
    int lanes;
    bool first_tile, with_y;
    const T *keep;  // of the chunk's first step; null when absent
    int64_t n_total;
    T *dB, *dC;  // of the chunk's first step
};

// KEEPS says whether there is a keep at all: without one, its sums and branches are left out.

// Recomputes COUNT states over the chunk, keeping a_t and h_{t-1}; gives y and the gradient of C.
template <class T, int COUNT, bool KEEPS>
static void recompute(const Place<T> &p, const Chunk<T> &c, Track<T> B, Track<T> C, const T *A, const T *checkpoint,
                      int64_t channels, int64_t n0) {
    constexpr int W = LANES<T>;
    Vec<T> state[COUNT], product[COUNT];
#pragma GCC unroll 16
    for (int n = 0; n < COUNT; ++n) state[n] = load(checkpoint + n * channels, p.lanes);
    for (int64_t t = 0; t < p.steps; ++t) {
        const Vec<T> step = load(c.size + t * W), input = load(c.sx + t * W), grad = load(c.grad + t * W);
        const T *B_t = B.at(t), *C_t = C.at(t), keep = KEEPS ? p.keep[t] : T(1);
        T *decays = c.decays + t * COUNT * W, *states = c.states + t * COUNT * W;
#pragma GCC unroll 16
        for (int n = 0; n < COUNT; ++n) store(states + n * W, state[n]);
        if (KEEPS && keep != T(1)) {
#pragma GCC unroll 16
            for (int n = 0; n < COUNT; ++n) state[n] *= keep;
        }
#pragma GCC unroll 16
        for (int n = 0; n < COUNT; ++n) {
            const Vec<T> decay = exp2<T>(step * load(A + n * W));
            store(decays + n * W, decay);
            state[n] = fma(decay, state[n], input * B_t[n]);
            product[n] = state[n] * grad;
        }
        if (p.with_y) {
            Vec<T> sum = n0 ? load(c.y + t * W) : Vec<T>{};
#pragma GCC unroll 16
            for (int n = 0; n < COUNT; ++n) sum = fma_by<T>(state[n], C_t[n], sum);
            store(c.y + t * W, sum);
        }
        put<T, COUNT>(p.dC + t * p.n_total, sums<COUNT, T>(product), p.first_tile);
    }
}

// Walks COUNT states back over the chunk: λ_t = C_t grad_t + k_{t+1} a_{t+1} λ_{t+1}.
template <class T, int COUNT, bool KEEPS>
static void walk_back(const Place<T> &p, const Chunk<T> &c, Track<T> B, Track<T> C, const T *A, T *adjoint, T *dA,
                      T *lost, int64_t n0) {
    constexpr int W = LANES<T>;
    Vec<T> lambda[COUNT], dA_chunk[COUNT], product[COUNT];
#pragma GCC unroll 16
    for (int n = 0; n < COUNT; ++n) lambda[n] = load(adjoint + n * W), dA_chunk[n] = Vec<T>{};
    for (int64_t t = p.steps - 1; t >= 0; --t) {
        const Vec<T> input = load(c.sx + t * W), grad = load(c.grad + t * W);
        const T *B_t = B.at(t), *C_t = C.at(t), keep = KEEPS ? p.keep[t] : T(1);
        const T *decays = c.decays + t * COUNT * W, *states = c.states + t * COUNT * W;
        const Vec<T> kept_step = load(c.size + t * W) * keep;
        Vec<T> from_input = n0 ? load(c.from_input + t * W) : Vec<T>{};
        Vec<T> from_decay = n0 ? load(c.from_decay + t * W) : Vec<T>{};
        Vec<T> from_state = KEEPS && n0 ? load(c.from_state + t * W) : Vec<T>{};
#pragma GCC unroll 16
        for (int n = 0; n < COUNT; ++n) {
            lambda[n] = fma_by<T>(grad, C_t[n], lambda[n]);
            product[n] = lambda[n] * input;
            from_input = fma_by<T>(lambda[n], B_t[n], from_input);
            lambda[n] *= load(decays + n * W);
            const Vec<T> through = lambda[n] * load(states + n * W);
            if (KEEPS) from_state += through;
            from_decay = fma(through, load(A + n * W), from_decay);
            dA_chunk[n] = fma(through, kept_step, dA_chunk[n]);
        }
        if (KEEPS && keep != T(1)) {
#pragma GCC unroll 16
            for (int n = 0; n < COUNT; ++n) lambda[n] *= keep;
        }
        put<T, COUNT>(p.dB + t * p.n_total, sums<COUNT, T>(product), p.first_tile);
        store(c.from_input + t * W, from_input);
        store(c.from_decay + t * W, from_decay);
        if (KEEPS) store(c.from_state + t * W, from_state);
    }
#pragma GCC unroll 16
    for (int n = 0; n < COUNT; ++n) {
        store(adjoint + n * W, lambda[n]);
        add_exactly<T>(dA + n * W, lost + n * W, dA_chunk[n]);
    }
}

}  // namespace SSM_BUILD
