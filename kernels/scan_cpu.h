// What the two passes of the selective scan share.

#pragma once
#include "exponential.h"
#include "tiles.h"

namespace SSM_BUILD {

// One channel tile of one batch item: pointers to its first element, and how far apart steps lie.
template <class T> struct Track {
    const T *start;
    int64_t stride;

    Track(const void *tensor, const int64_t (&strides)[2], int64_t b, int64_t e)
        : start(static_cast<const T *>(tensor)), stride(strides[1]) {
        if (start) start += b * strides[0] + e;
    }
    Track(const T *start, int64_t stride) : start(start), stride(stride) {}
    const T *at(int64_t t) const { return start + t * stride; }

    // Has step t brought near, if it is one of `length` steps.
    void fetch(int64_t t, int64_t length) const {
        if (start && t >= 0 && t < length) __builtin_prefetch(at(t), 0, 2);
    }
};

struct ScanCall {
    const ssm_scan &s;
    Cut cut;
};

// g Δ of a step, from dt with its bias.
template <class T> SSM_INLINE Vec<T> size_of_step(const ssm_scan &s, Vec<T> size, const T *gate) {
    if (s.softplus) size = logistic<T>(size).softplus;
    return gate ? size * *gate : size;
}

// y silu(z)
template <class T> SSM_INLINE Vec<T> gated(Vec<T> y, Vec<T> z) { return y * (z * sigmoid<T>(z)); }

// The numbers of one channel each, as a vector; zeros when absent.
template <class T> SSM_INLINE Vec<T> of_channels(const void *tensor, int64_t e, int lanes) {
    return tensor ? load(static_cast<const T *>(tensor) + e, lanes) : Vec<T>{};
}

// A as tiles of N vectors, times log2 e so that exp(size A) is exp2.
template <class T> static void tile_A(const ssm_scan &s, T *tiled) {
    constexpr int W = LANES<T>;
    const T *A = static_cast<const T *>(s.A);
    for (int64_t tile = 0; tile * W < s.channels; ++tile, tiled += s.n * W) {
        gather<T>(A + tile * W * s.n, lanes_of<T>(tile, s.channels), s.n, tiled);
        for (int64_t n = 0; n < s.n; ++n) store(tiled + n * W, load(tiled + n * W) * LOG2E<T>);
    }
}

template <class T> SSM_INLINE int64_t tiled_A_bytes(const ssm_scan &s, const Cut &cut) {
    return cut.tiles * s.n * LANES<T> * static_cast<int64_t>(sizeof(T));
}

SSM_INLINE int64_t threads_worth(const ssm_scan &s) {
    return s.batch * s.length * s.channels * s.n < WORTH_A_THREAD ? 1 : s.threads;
}

}  // namespace SSM_BUILD
