// A vector of W lanes of T, one channel a lane, for whatever processor this file is compiled for.
//
// GNU vector extensions do the arithmetic; only fused multiply-add, rounding and scaling name an instruction.
// Contraction is off in the build, so a product and a sum fuse exactly where fma() stands and every path that runs the
// same formula gives the same bits. Everything is in a namespace of the build's own: a function shared by two builds
// would be emitted once, perhaps for the wrong processor.

#pragma once
#include <stdint.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define SSM_BYTES 64
#elif defined(__AVX2__)
#define SSM_BYTES 32
#else
#define SSM_BYTES 16
#endif

#define SSM_INLINE static inline __attribute__((always_inline))

namespace SSM_BUILD {

template <class T> struct Vector;
template <> struct Vector<float> {
    typedef float V __attribute__((vector_size(SSM_BYTES)));
    typedef int32_t I __attribute__((vector_size(SSM_BYTES)));
};
template <> struct Vector<double> {
    typedef double V __attribute__((vector_size(SSM_BYTES)));
    typedef int64_t I __attribute__((vector_size(SSM_BYTES)));
};
template <class T> using Vec = typename Vector<T>::V;
template <class T> constexpr int LANES = SSM_BYTES / sizeof(T);

using VF = Vec<float>;
using VD = Vec<double>;

// value - 0 is value to the bit, so the compiler leaves the broadcast alone (0 + value would turn -0 into 0).
template <class T> SSM_INLINE Vec<T> broadcast(T value) { return value - Vec<T>{}; }

template <class T> SSM_INLINE Vec<T> load(const T *p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T> SSM_INLINE void store(T *p, Vec<T> v) { __builtin_memcpy(p, &v, sizeof v); }

// The first `lanes` only: zeros elsewhere, nothing written elsewhere.
template <class T> SSM_INLINE Vec<T> load(const T *p, int lanes) {
    if (lanes == LANES<T>) return load(p);
    T whole[LANES<T>] = {};
    for (int i = 0; i < lanes; ++i) whole[i] = p[i];
    return load(whole);
}

template <class T> SSM_INLINE void store(T *p, Vec<T> v, int lanes) {
    if (lanes == LANES<T>) return store(p, v);
    for (int i = 0; i < lanes; ++i) p[i] = v[i];
}

#if defined(__AVX512F__)
SSM_INLINE VF fma(VF a, VF b, VF c) { return (VF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
SSM_INLINE VD fma(VD a, VD b, VD c) { return (VD)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
#elif defined(__AVX2__)
SSM_INLINE VF fma(VF a, VF b, VF c) { return (VF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
SSM_INLINE VD fma(VD a, VD b, VD c) { return (VD)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
#else
template <class V> SSM_INLINE V fma(V a, V b, V c) { return a * b + c; }
#endif

// a * b + c with a number in place of the second factor.
template <class T> SSM_INLINE Vec<T> fma_by(Vec<T> a, T b, Vec<T> c) { return fma(a, broadcast<T>(b), c); }

template <class T> SSM_INLINE Vec<T> at_least(Vec<T> v, T low) {
    return v < low ? broadcast<T>(low) : v;  // a NaN stays
}
template <class T> SSM_INLINE Vec<T> at_most(Vec<T> v, T high) { return v > high ? broadcast<T>(high) : v; }

// Has a line of memory brought near that will be written, so that the write need not wait for it.
template <class T> SSM_INLINE void claim(const T *p) { __builtin_prefetch(p, 1, 3); }

template <int... I> struct Places {};
template <int N, int... I> struct Count : Count<N - 1, N - 1, I...> {};
template <int... I> struct Count<0, I...> {
    typedef Places<I...> type;
};

// The lanes of a and b in turn within each 128 bits: of their first halves, or of their second halves. One instruction
// without a constant, where interleaving whole vectors takes a slower one.
template <class T, int HALF, int... I> SSM_INLINE Vec<T> unpack(Vec<T> a, Vec<T> b, Places<I...>) {
    constexpr int W = LANES<T>, Q = 16 / sizeof(T);
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, (I / Q * Q + HALF * Q / 2 + I % Q / 2 + I % 2 * W)...);
#else
    return __builtin_shuffle(a, b, typename Vector<T>::I{(I / Q * Q + HALF * Q / 2 + I % Q / 2 + I % 2 * W)...});
#endif
}

// Every second 128 bits of a and then of b: the even ones, or the odd ones.
template <class T, int ODD, int... I> SSM_INLINE Vec<T> alternate(Vec<T> a, Vec<T> b, Places<I...>) {
    constexpr int Q = 16 / sizeof(T);
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, (I / Q * 2 * Q + ODD * Q + I % Q)...);
#else
    return __builtin_shuffle(a, b, typename Vector<T>::I{(I / Q * 2 * Q + ODD * Q + I % Q)...});
#endif
}

// W vectors of W lanes, rows and columns exchanged: first as pieces of 128 bits, then the lanes within each piece.
template <class T> SSM_INLINE void transpose(Vec<T> *v) {
    using All = typename Count<LANES<T>>::type;
    constexpr int W = LANES<T>, Q = 16 / sizeof(T), PIECES = W / Q;
    Vec<T> next[W];
#pragma GCC unroll 4
    for (int round = 1; round < PIECES; round *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < W / 2; ++i) {
            const int row = i / Q * 2 * Q + i % Q;
            next[i] = alternate<T, 0>(v[row], v[row + Q], All{});
            next[i + W / 2] = alternate<T, 1>(v[row], v[row + Q], All{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) v[i] = next[i];
    }
#pragma GCC unroll 4
    for (int round = 1; round < Q; round *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < W / 2; ++i) {
            const int row = i * 2 / Q * Q + i % (Q / 2);
            next[2 * i] = unpack<T, 0>(v[row], v[row + Q / 2], All{});
            next[2 * i + 1] = unpack<T, 1>(v[row], v[row + Q / 2], All{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) v[i] = next[i];
    }
}

template <class T, int APART, int... I> SSM_INLINE Vec<T> rotate(Vec<T> v, Places<I...>) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(v, v, ((I + APART) % LANES<T>)...);
#else
    return __builtin_shuffle(v, typename Vector<T>::I{((I + APART) % LANES<T>)...});
#endif
}

// Adds lanes that lie APART, 2 APART, ... W/2 lanes from each other.
template <class T, int APART> SSM_INLINE Vec<T> fold(Vec<T> v) {
    if constexpr (APART < LANES<T>) {
        v = fold<T, 2 * APART>(v);
        return v + rotate<T, APART>(v, typename Count<LANES<T>>::type{});
    } else {
        return v;
    }
}

template <class T> SSM_INLINE Vec<T> unpacked_sum(Vec<T> a, Vec<T> b) {
    using All = typename Count<LANES<T>>::type;
    return unpack<T, 0>(a, b, All{}) + unpack<T, 1>(a, b, All{});
}

// Piece g of the result, 128 bits and g < GROUPS, is the sum of all 128-bit pieces of v[g].
template <class T, int HALF, int... I> SSM_INLINE Vec<T> interleave_pieces(Vec<T> a, Vec<T> b, Places<I...>) {
    constexpr int W = LANES<T>, Q = 16 / sizeof(T);
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, (HALF * W / 2 + I / Q / 2 * Q + I % Q + I / Q % 2 * W)...);
#else
    return __builtin_shuffle(a, b,
                             typename Vector<T>::I{(HALF * W / 2 + I / Q / 2 * Q + I % Q + I / Q % 2 * W)...});
#endif
}
template <int GROUPS, class T> SSM_INLINE Vec<T> quarters(Vec<T> *v) {
    using All = typename Count<LANES<T>>::type;
#pragma GCC unroll 4
    for (int half = GROUPS / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; ++i)
            v[i] = interleave_pieces<T, 0>(v[i], v[i + half], All{}) + interleave_pieces<T, 1>(v[i], v[i + half], All{});
    return fold<T, GROUPS * 16 / static_cast<int>(sizeof(T))>(v[0]);
}

// Lane i of the result, i < COUNT, is the sum of all lanes of v[i]. COUNT is a power of two, at most W.
template <int COUNT, class T> SSM_INLINE Vec<T> sums(Vec<T> *v) {
    constexpr int Q = 16 / sizeof(T);  // lanes in 128 bits
    static_assert(COUNT <= LANES<T>, "one lane a sum");
    if constexpr (COUNT <= Q) {
#pragma GCC unroll 8
        for (int half = COUNT / 2; half > 0; half /= 2)
#pragma GCC unroll 8
            for (int i = 0; i < half; ++i) v[i] = unpacked_sum<T>(v[i], v[i + half]);
        return fold<T, COUNT>(v[0]);
    } else {
        // Q sums at a time within each 128 bits; then 128 bits at a time, as pairs of vectors that share their halves.
        constexpr int GROUPS = COUNT / Q;
#pragma GCC unroll 8
        for (int g = 0; g < GROUPS; ++g) {
#pragma GCC unroll 4
            for (int half = Q / 2; half > 0; half /= 2)
#pragma GCC unroll 4
                for (int i = 0; i < half; ++i) v[g * Q + i] = unpacked_sum<T>(v[g * Q + i], v[g * Q + i + half]);
        }
#pragma GCC unroll 4
        for (int g = 0; g < GROUPS; ++g) v[g] = v[g * Q];
        return quarters<GROUPS, T>(v);
    }
}

}  // namespace SSM_BUILD
