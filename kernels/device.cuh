// What every CUDA kernel here stands on: types, exact small functions, sums over lanes. It includes nothing, so that
// NVRTC needs no include path; the tests build the same text as host C++ (`SSM_HOST`), with fibers for threads.
//
// SSM_TYPE   of x, dt, B, C, z, y: 0 float32, 1 bfloat16, 2 float16. Everything is computed in float32.
#pragma once

using i64 = long long;
using u16 = unsigned short;
using u32 = unsigned int;

#ifndef SSM_HOST
#define DEVICE static __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define SHARED(name) float* const name = ssm_shared
extern __shared__ __align__(16) float ssm_shared[];
// One instruction of the special function unit, subnormals as zero; exact at 0.
DEVICE float exp2_fast(float v) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(v));
  return out;
}
DEVICE float reciprocal_fast(float v) {
  float out;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(v));
  return out;
}
DEVICE float from_half(u16 bits) {
  float out;
  asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(bits));
  return out;
}
DEVICE u16 to_half(float v) {
  u16 out;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out) : "f"(v));
  return out;
}
#endif

constexpr u32 WARP = 0xffffffffu;
constexpr int CHUNK = 32;  // Steps between checkpoints, as in the other implementations.
constexpr float LOG2E = 1.4426950408889634f;
constexpr float LOG2E_LOW = 1.925963033500e-8f;  // What float32 cuts off log2(e).
constexpr float LN2 = 0.6931471805599453f;

DEVICE float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }

#if SSM_TYPE == 0
using Value = float;
DEVICE float widen(Value v) { return v; }
DEVICE void store(Value* at, float v) { *at = v; }
#elif SSM_TYPE == 1
using Value = u16;
DEVICE float widen(Value v) { return __uint_as_float((u32)v << 16); }
DEVICE void store(Value* at, float v) {  // To nearest, ties to even; a NaN stays one.
  const u32 bits = __float_as_uint(v);
  *at = v != v ? (u16)(bits >> 16 | 0x40u) : (u16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
#else
using Value = u16;
DEVICE float widen(Value v) { return from_half(v); }
DEVICE void store(Value* at, float v) { *at = to_half(v); }
#endif

// a / b for b in [1, 3]: one Newton step and one correction, no slow path.
DEVICE float divide(float a, float b) {
  const float guess = reciprocal_fast(b);
  const float inverse = fma(guess, fma(-b, guess, 1.0f), guess);
  const float quotient = a * inverse;
  return fma(fma(-b, quotient, a), inverse, quotient);
}

DEVICE float load(const Value* at) { return widen(*at); }

// One of an array of floats, or of `Value`s if narrow: small inputs come in either.
DEVICE float load_either(const void* from, i64 i, bool narrow) {
  return narrow ? load((const Value*)from + i) : ((const float*)from)[i];
}

// exp(-|v|), to float32's rounding however large |v|.
DEVICE float exp_minus(float v) {
  const float negative = v < 0 ? v : -v;
  const float size = negative < -200.0f ? -200.0f : negative;  // A NaN passes, an infinity gives 0.
  const float high = size * LOG2E;
  const float low = fma(size, LOG2E, -high) + size * LOG2E_LOW;
  const float out = exp2_fast(high);
  return fma(out, low * LN2, out);
}

DEVICE float sigmoid(float v) {
  const float small = exp_minus(v);
  const float out = divide(1.0f, 1.0f + small);
  return v < 0 ? small * out : out;
}

// log(1 + exp(v)) = max(v, 0) + log1p(exp(-|v|)), the logarithm as 2 artanh(w): relatively exact where it is tiny.
DEVICE float softplus(float v) {
  const float small = exp_minus(v);
  const float w = divide(small, 2.0f + small);
  const float square = w * w;
  float series = 1.0f / 15;
  series = fma(series, square, 1.0f / 13);
  series = fma(series, square, 1.0f / 11);
  series = fma(series, square, 1.0f / 9);
  series = fma(series, square, 1.0f / 7);
  series = fma(series, square, 1.0f / 5);
  series = fma(series, square, 1.0f / 3);
  const float twice = w + w;
  const float log1p = fma(twice * square, series, twice);
  return v > 0 ? v + log1p : log1p != log1p ? v : log1p;
}

DEVICE float silu(float v) { return v * sigmoid(v); }

DEVICE float silu_slope(float v) {
  const float s = sigmoid(v);
  return s * fma(v, 1.0f - s, 1.0f);
}

// A sum that keeps what rounding takes away (Kahan).
struct Sum {
  float total, lost;
};
DEVICE void add(Sum& sum, float v) {
  const float term = v - sum.lost;
  const float total = sum.total + term;
  sum.lost = (total - sum.total) - term;
  sum.total = total;
}

template <int WIDTH>
struct alignas(4 * WIDTH) Vector {
  float at[WIDTH];
};

// COUNT values in each of LANES neighbouring lanes (STRIDE apart) are summed over the lanes. Afterwards place l of the
// lanes holds values l COUNT/LANES ... in v[0] ...; with fewer values than lanes, neighbours hold the same value. The
// order of the additions depends on nothing but COUNT and LANES.
template <int COUNT, int LANES, int STRIDE>
DEVICE void scatter_sums(float (&v)[COUNT]) {
  int held = COUNT;
#pragma unroll
  for (int step = LANES / 2; step >= 1; step /= 2) {
    const int mask = step * STRIDE;
    const bool upper = (threadIdx.x & mask) != 0;
    if (held > 1) {
      held /= 2;
#pragma unroll
      for (int i = 0; i < COUNT / 2; ++i) {
        if (i < held) {
          const float given = upper ? v[i] : v[i + held];
          const float kept = upper ? v[i + held] : v[i];
          v[i] = kept + __shfl_xor_sync(WARP, given, mask);
        }
      }
    } else {
      v[0] += __shfl_xor_sync(WARP, v[0], mask);
    }
  }
}

// The sum over LANES lanes, STRIDE apart, in all of them.
template <int LANES, int STRIDE>
DEVICE float sum_lanes(float v) {
#pragma unroll
  for (int step = LANES / 2; step >= 1; step /= 2) v += __shfl_xor_sync(WARP, v, step * STRIDE);
  return v;
}
