// The selective scan, forward. See README.md for the tiling.

#include "scan_step_cpu.h"

namespace SSM_BUILD {

// States held in registers at once.
#if SSM_BYTES == 64
constexpr int STATES = 16;
#elif SSM_BYTES == 32
constexpr int STATES = 8;
#else
constexpr int STATES = 4;
#endif

// One step of COUNT states: h = exp2(step A) h + input B; returns sum + C h.
template <class T, int COUNT>
SSM_INLINE Vec<T> one_step(Vec<T> *state, Vec<T> step, Vec<T> input, const T *A, const T *B, const T *C, Vec<T> sum) {
#pragma GCC unroll 16
    for (int n = 0; n < COUNT; ++n) {
        state[n] = fma(exp2<T>(step * load(A + n * LANES<T>)), state[n], input * B[n]);
        sum = fma_by<T>(state[n], C[n], sum);
    }
    return sum;
}

// The inner loop: COUNT states of a tile move `steps` steps. size, sx, y: a vector a step. A, h: a vector a state.
// Adds C h to y, or starts y with it.
template <class T, int COUNT>
static void advance(int64_t steps, const T *size, const T *sx, const T *keep, Track<T> B, Track<T> C, const T *A, T *h,
                    T *y, bool starts) {
    constexpr int W = LANES<T>;
    Vec<T> state[COUNT];
#pragma GCC unroll 16
    for (int n = 0; n < COUNT; ++n) state[n] = load(h + n * W);
    for (int64_t t = 0; t < steps; ++t) {
        if (keep && keep[t] != T(1)) {
#pragma GCC unroll 16
            for (int n = 0; n < COUNT; ++n) state[n] *= keep[t];
        }
        const Vec<T> sum = starts ? Vec<T>{} : load(y + t * W);
        store(y + t * W, one_step<T, COUNT>(state, load(size + t * W), load(sx + t * W), A, B.at(t), C.at(t), sum));
    }
#pragma GCC unroll 16
    for (int n = 0; n < COUNT; ++n) store(h + n * W, state[n]);
}

template <class T> struct ForwardCall : ScanCall {
    const T *A;  // tiled
};

// One tile of one batch item. h: a vector a state, which outlives the object.
template <class T> struct ForwardTile {
    static constexpr int W = LANES<T>;
    const ssm_scan &s;
    const int64_t b, e, states;
    const int lanes;
    const Track<T> x, dt, z, B, C;
    const T *gate, *keep, *A;
    T *h;

    ForwardTile(const ForwardCall<T> &call, int64_t b, int64_t tile, T *h)
        : s(call.s), b(b), e(tile * W), states((b * s.channels + e) * s.n), lanes(lanes_of<T>(tile, s.channels)),
          x(s.x, s.x_stride, b, e), dt(s.dt, s.dt_stride, b, e), z(s.z, s.z_stride, b, e), B(s.B, s.B_stride, b, 0),
          C(s.C, s.C_stride, b, 0), gate(s.gate ? static_cast<const T *>(s.gate) + b * s.length : nullptr),
          keep(s.keep ? static_cast<const T *>(s.keep) + b * s.length : nullptr), A(call.A + tile * s.n * W), h(h) {}

    void start() const {
        if (s.initial_state)
            gather<T>(static_cast<const T *>(s.initial_state) + states, lanes, s.n, h);
        else
            for (int64_t i = 0; i < s.n * W; ++i) h[i] = T(0);
    }

    void finish() const { scatter<T>(h, lanes, s.n, static_cast<T *>(s.final_state) + states); }

    void save(int64_t t0) const {
        const int64_t chunks = (s.length + s.chunk - 1) / s.chunk;
        T *checkpoint = static_cast<T *>(s.checkpoints) + (b * chunks + t0 / s.chunk) * s.n * s.channels + e;
        for (int64_t n = 0; n < s.n; ++n) store(checkpoint + n * s.channels, load(h + n * W), lanes);
    }

    // g Δ of step t.
    Vec<T> size_of(int64_t t, Vec<T> bias) const {
        return size_of_step<T>(s, load(dt.at(t), lanes) + bias, gate ? gate + t : nullptr);
    }

    // (y + D x) silu(z) of step t.
    Vec<T> output(int64_t t, Vec<T> y, Vec<T> D) const {
        if (s.D) y = fma(D, load(x.at(t), lanes), y);
        return s.z ? gated<T>(y, load(z.at(t), lanes)) : y;
    }

    // `steps` steps from t0. Scratch: a vector a step each of g Δ, g Δ x and C h.
    void chunk(int64_t t0, int64_t steps, T *scratch) const {
        T *size = scratch, *sx = size + s.chunk * W, *y = sx + s.chunk * W;
        T *out = static_cast<T *>(s.y) + (b * s.length + t0) * s.channels + e;
        const Vec<T> bias = of_channels<T>(s.dt_bias, e, lanes), D = of_channels<T>(s.D, e, lanes);
        for (int64_t t = 0; t < steps; ++t) {
            x.fetch(t0 + t + s.chunk, s.length);
            dt.fetch(t0 + t + s.chunk, s.length);
            z.fetch(t0 + t + s.chunk, s.length);
            claim(out + t * s.channels);
            const Vec<T> step = size_of(t0 + t, bias);
            store(size + t * W, step);
            store(sx + t * W, step * load(x.at(t0 + t), lanes));
        }
        in_pieces<STATES>(s.n, [&](int64_t n, auto count) {
            const Track<T> B_n(B.at(t0) + n, B.stride), C_n(C.at(t0) + n, C.stride);
            advance<T, decltype(count)::value>(steps, size, sx, keep ? keep + t0 : nullptr, B_n, C_n, A + n * W,
                                               h + n * W, y, n == 0);
        });
        for (int64_t t = 0; t < steps; ++t) store(out + t * s.channels, output(t0 + t, load(y + t * W), D), lanes);
    }
};

template <class T> static void forward_unit(const void *context, int64_t unit, void *scratch) {
    const ForwardCall<T> &call = *static_cast<const ForwardCall<T> *>(context);
    const ssm_scan &s = call.s;
    const Range batches = call.cut.batches(unit), tiles = call.cut.tiles_of(unit);
    T *states = static_cast<T *>(scratch) + 3 * s.chunk * LANES<T>;
    for (int64_t b = batches.begin; b < batches.end; ++b) {
        auto tile_at = [&](int64_t tile) {
            return ForwardTile<T>(call, b, tile, states + (tile - tiles.begin) * s.n * LANES<T>);
        };
        for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) tile_at(tile).start();
        for (int64_t t0 = 0; t0 < s.length; t0 += s.chunk)
            for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
                const ForwardTile<T> here = tile_at(tile);
                if (s.checkpoints) here.save(t0);
                here.chunk(t0, at_most_of(s.chunk, s.length - t0), static_cast<T *>(scratch));
            }
        for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) tile_at(tile).finish();
    }
}

template <class T> static int forward(const ssm_scan &s) {
    constexpr int W = LANES<T>;
    if (is_single_step<T>(s)) return single_step<T>(s);
    const Cut cut = Cut::of(s.batch, s.channels, W);
    ssm_buffer A(tiled_A_bytes<T>(s, cut));
    if (!A.start) return SSM_NO_MEMORY;
    tile_A<T>(s, static_cast<T *>(A.start));
    const ForwardCall<T> call = {{s, cut}, static_cast<const T *>(A.start)};
    ssm_expect_writes(s.y, s.batch * s.length * s.channels * sizeof(T));
    const int64_t chunks = (s.length + s.chunk - 1) / s.chunk;
    ssm_expect_writes(s.checkpoints, s.batch * chunks * s.n * s.channels * sizeof(T));
    const size_t scratch = (3 * s.chunk + cut.most_tiles() * s.n) * W * sizeof(T);
    return ssm_for_each(cut.units(), threads_worth(s), forward_unit<T>, &call, scratch);
}

int scan_forward(const ssm_scan *s) { return s->is_double ? forward<double>(*s) : forward<float>(*s); }

// One share of the floor: `steps` steps on numbers that the compiler may not know, or it would work out in advance what
// the scan has to compute.
static void floor_unit(const void *context, int64_t, void *scratch) {
    constexpr int W = LANES<float>;
    const int64_t steps = *static_cast<const int64_t *>(context);
    float A[STATES * W], size[4 * W], B[4 * STATES], C[4 * STATES];
    for (int i = 0; i < STATES * W; ++i) A[i] = -1.0f - i % 7;
    for (int i = 0; i < 4 * W; ++i) size[i] = 0.01f * i;
    for (int i = 0; i < 4 * STATES; ++i) B[i] = 0.1f + 0.01f * i, C[i] = 0.2f + 0.01f * i;
    __asm__ volatile("" : : "r"(A), "r"(size), "r"(B), "r"(C) : "memory");
    VF state[STATES] = {}, total = {};
    for (int64_t t = 0; t < steps; ++t) {
        const int64_t row = t & 3;
        const VF step = load(size + row * W);
        total += one_step<float, STATES>(state, step, step, A, B + row * STATES, C + row * STATES, VF{});
    }
    store(static_cast<float *>(scratch), total);
    __asm__ volatile("" : : "r"(scratch) : "memory");
}

int scan_floor(int64_t threads, int64_t updates) {
    constexpr int64_t UNITS = 64;
    const int64_t steps = updates / (UNITS * STATES * LANES<float>);
    return ssm_for_each(UNITS, threads, floor_unit, &steps, SSM_BYTES);
}

}  // namespace SSM_BUILD
