// States, or their gradients, from one segment of the length to the next.
#pragma once
#include "device.cuh"

// A segment turns the state before it into kept exp(exponent A) state + end. Replaces each segment's end by what
// enters the segment; backwards, where states are gradients, from the last segment to the first. No logarithm of a
// keep is taken.
struct Carry {
  i64 batch, channels, n, segments, backwards;
  const float *A, *outer, *exponents, *kept;  // outer: what enters from outside (batch, E, N), or null for zero.
  float* ends;
};

KERNEL __launch_bounds__(256) ssm_carry(const Carry p) {
  const i64 states = p.channels * p.n;
  const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= p.batch * states) return;
  const i64 item = i / states, state = i % states, channel = state / p.n;
  const float rate = p.A[state] * LOG2E;
  float carried = p.outer ? p.outer[i] : 0.0f;
#pragma unroll 4
  for (i64 s = 0; s < p.segments; ++s) {
    const i64 region = item * p.segments + (p.backwards ? p.segments - 1 - s : s);
    const float kept = p.kept[region];
    const float decay = kept == 0.0f ? 0.0f : exp2_fast(p.exponents[region * p.channels + channel] * rate) * kept;
    const float end = p.ends[region * states + state];
    p.ends[region * states + state] = carried;
    carried = fma(decay, carried, end);
  }
}
