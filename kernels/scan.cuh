// What all passes of the scan share: the call, who computes what, and tiles in shared memory.
//
// SSM_LANES x SSM_STATES   a channel's N states, padded to this product, on so many lanes of so many registers.
// A block holds blockDim.x / SSM_LANES neighbouring channels of one batch item and one segment of its length.
#pragma once
#include "device.cuh"

constexpr int LANES = SSM_LANES;
constexpr int STATES = SSM_STATES;
constexpr int PADDED = LANES * STATES;
constexpr int WIDE = STATES < 4 ? STATES : 4;

// One call, in 64-bit words. Strides are in elements, of batch and time; channels and states lie densely. An absent
// input is null. Segments are multiples of CHUNK steps; arrays by segment are (batch, segments, ...).
struct Scan {
  i64 batch, length, channels, n, softplus, segments, segment_length, tiles;
  i64 gate_narrow, keep_narrow;  // Whether these hold `Value`s, not floats.
  const Value *x, *dt;
  const float* A;
  const Value *B, *C;
  const float* D;
  const Value* z;
  const float* bias;
  const void *gate, *keep;
  i64 x_batch, x_time, dt_batch, dt_time, z_batch, z_time, B_batch, B_time, C_batch, C_time;
  const float* entering;  // (batch, segments, E, N): the state before each segment; null for zero.
  Value* y;               // Dense, as all outputs are.
  float* final_state;
  float* checkpoints;  // (batch, chunks, N, E): the state before every chunk; null if not asked for.
  float* ends;         // (batch, segments, E, N): of each segment alone, begun at zero.
  float* exponents;    // (batch, segments, E): the sum of its step sizes.
  float* kept;         // (batch, segments): the product of its keeps.
  // The gradient's own.
  const Value* grad_y;
  const float* leaving;  // (batch, segments, E, N): the gradient of the state after each segment.
  i64 grad_batch, grad_time;
  Value *grad_x, *grad_dt, *grad_z;
  float* grad_initial;
  float *part_A, *part_D, *part_bias;                // (batch, segments, E, ...)
  float *part_B, *part_C, *part_gate, *part_keep;  // (batch, tiles, length, ...)
};

// Which state a lane keeps in register r: vectors of WIDE neighbours, lanes next to each other.
DEVICE int state_of(int lane, int r) { return r / WIDE * (WIDE * LANES) + lane * WIDE + r % WIDE; }

// Where a block and a thread stand.
struct Place {
  int lane;         // Of the channel's LANES.
  int slot;         // The channel within the block.
  int slots;
  i64 tile, segment, item, channel, begin, end;
  bool valid;       // Threads beyond the last channel compute on zeros and write nothing.
  i64 region;       // (item, segment) flattened.
};

DEVICE Place place_of(const Scan& p) {
  Place at;
  const i64 unit = blockIdx.x;
  at.lane = threadIdx.x % LANES;
  at.slot = threadIdx.x / LANES;
  at.slots = blockDim.x / LANES;
  at.tile = unit % p.tiles;
  at.region = unit / p.tiles;
  at.segment = at.region % p.segments;
  at.item = at.region / p.segments;
  at.channel = at.tile * at.slots + at.slot;
  at.valid = at.channel < p.channels;
  at.begin = at.segment * p.segment_length;
  at.end = at.begin + p.segment_length < p.length ? at.begin + p.segment_length : p.length;
  return at;
}

// Steps of a (batch, length, N) input as floats [steps][PADDED], zero beyond `end` and beyond N.
DEVICE void stage(float* to, const Value* from, i64 stride, i64 begin, i64 end, int steps, i64 n) {
  for (int i = threadIdx.x; i < steps * PADDED; i += blockDim.x) {
    const i64 t = begin + i / PADDED;
    const int state = i % PADDED;
    to[i] = t < end && state < n ? load(from + t * stride + state) : 0.0f;
  }
}

// Gates or keeps from `row` on, 1 where absent or beyond the end.
DEVICE void stage_scalars(float* to, const void* from, bool narrow, i64 row, i64 begin, i64 end, int steps) {
  for (int i = threadIdx.x; i < steps; i += blockDim.x) {
    to[i] = from && begin + i < end ? load_either(from, row + begin + i, narrow) : 1.0f;
  }
}

DEVICE void load_row(float (&to)[STATES], const float* row, int lane) {
#pragma unroll
  for (int r = 0; r < STATES; r += WIDE) {
    const Vector<WIDE> part = *(const Vector<WIDE>*)(row + state_of(lane, r));
#pragma unroll
    for (int i = 0; i < WIDE; ++i) to[r + i] = part.at[i];
  }
}

// States of (..., E, N), from memory that is aligned to 16 bytes: whole vectors where N fills them.
DEVICE void load_states(float (&to)[STATES], const float* from, const Scan& p, const Place& at) {
  if (from && at.valid && p.n == PADDED) {
    load_row(to, from + at.channel * p.n, at.lane);
    return;
  }
#pragma unroll
  for (int r = 0; r < STATES; ++r) {
    const int n = state_of(at.lane, r);
    to[r] = from && at.valid && n < p.n ? from[at.channel * p.n + n] : 0.0f;
  }
}

DEVICE void store_states(float* to, const float (&from)[STATES], const Scan& p, const Place& at) {
  if (at.valid && p.n == PADDED) {
#pragma unroll
    for (int r = 0; r < STATES; r += WIDE) {
      Vector<WIDE> part;
#pragma unroll
      for (int i = 0; i < WIDE; ++i) part.at[i] = from[r + i];
      *(Vector<WIDE>*)(to + at.channel * p.n + state_of(at.lane, r)) = part;
    }
    return;
  }
#pragma unroll
  for (int r = 0; r < STATES; ++r) {
    const int n = state_of(at.lane, r);
    if (at.valid && n < p.n) to[at.channel * p.n + n] = from[r];
  }
}

// A log2(e), so that exp(s A) is one exp2.
DEVICE void load_rates(float (&to)[STATES], const Scan& p, const Place& at) {
  load_states(to, p.A, p, at);
#pragma unroll
  for (int r = 0; r < STATES; ++r) to[r] *= LOG2E;
}

// What one (step, channel) needs before its states can move: worked out by one lane, read by all of the channel's.
struct alignas(16) Move {
  float size, input, keep, pull;  // g Δ, g Δ x, k; the gradient of C·h + D x in the backward.
};

// Δ and the argument of its softplus.
DEVICE float step_size(float raw, i64 with_softplus) { return with_softplus ? softplus(raw) : raw; }

// h <- k exp(s A) h + s x B.
DEVICE void advance(float (&h)[STATES], const float (&rates)[STATES], const float (&B)[STATES], const Move& move) {
#pragma unroll
  for (int r = 0; r < STATES; ++r) {
    const float decay = exp2_fast(move.size * rates[r]) * move.keep;
    h[r] = fma(decay, h[r], move.input * B[r]);
  }
}

DEVICE float dot(const float (&a)[STATES], const float (&b)[STATES]) {
  float sum = 0;
#pragma unroll
  for (int r = 0; r < STATES; ++r) sum = fma(a[r], b[r], sum);
  return sum;
}
