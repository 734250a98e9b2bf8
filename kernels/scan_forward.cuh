// The scan forwards, its local ends for splitting over length, and the single step.
#pragma once
#include "scan.cuh"

// Steps that run between two exchanges: each lane prepares STEPS/LANES of them and finishes their y. Fewer where one
// lane has many registers.
constexpr int STEPS = LANES >= 4 ? LANES : STATES > 8 ? 2 : 4;
constexpr int OWN = STEPS / LANES;
// Steps staged at a time: 32, fewer where rows of B and C are long.
constexpr int TILE = PADDED <= 64 ? CHUNK : STEPS;

constexpr int FORWARD_THREADS = 128;
// Blocks that must fit on a multiprocessor: what bounds the registers, which the compiler would otherwise all use.
constexpr int FORWARD_BLOCKS = STATES > 8 ? 3 : STATES > 4 ? 4 : 5;

// What a lane reads of its own steps, one exchange before it is needed, so that the wait for memory passes unseen.
struct Ahead {
  Value x[OWN], dt[OWN], z[OWN];
};

template <bool LOCAL>
DEVICE void read_ahead(Ahead& ahead, const Scan& p, const Place& at, i64 start) {
  const Value* const x = p.x + at.item * p.x_batch + at.channel;
  const Value* const dt = p.dt + at.item * p.dt_batch + at.channel;
  const Value* const z = p.z + at.item * p.z_batch + at.channel;
#pragma unroll
  for (int o = 0; o < OWN; ++o) {
    const i64 t = start + at.lane * OWN + o;
    const bool inside = at.valid && t < at.end;
    ahead.x[o] = inside ? x[t * p.x_time] : Value(0);
    ahead.dt[o] = inside ? dt[t * p.dt_time] : Value(0);
    if (!LOCAL) ahead.z[o] = inside && p.z ? z[t * p.z_time] : Value(0);
  }
}

// LOCAL: the segment's end begun at zero, the sum of its step sizes and the product of its keeps, without y.
template <bool LOCAL>
DEVICE void scan_forward(const Scan& p) {
  SHARED(shared);
  const Place at = place_of(p);
  float* const tile_B = shared;
  float* const tile_C = tile_B + TILE * PADDED;
  float* const tile_gate = tile_C + TILE * PADDED;
  float* const tile_keep = tile_gate + TILE;
  Move* const moves = (Move*)(tile_keep + TILE);  // [STEPS][slots]

  float rates[STATES], h[STATES];
  load_rates(rates, p, at);
  load_states(h, LOCAL || !p.entering ? nullptr : p.entering + at.region * p.channels * p.n, p, at);
  const float skip = p.D && at.valid ? p.D[at.channel] : 0.0f;
  const float bias = p.bias && at.valid ? p.bias[at.channel] : 0.0f;
  const i64 chunks = (p.length + CHUNK - 1) / CHUNK;
  const i64 row = at.item * p.length;  // Of dense (batch, length) arrays.
  const Value* const B = p.B + at.item * p.B_batch;
  const Value* const C = p.C + at.item * p.C_batch;
  float exponent = 0, kept = 1;
  Ahead ahead;
  read_ahead<LOCAL>(ahead, p, at, at.begin);

#pragma unroll 1
  for (i64 start = at.begin; start < at.end; start += TILE) {
    __syncthreads();
    stage(tile_B, B, p.B_time, start, at.end, TILE, p.n);
    if (!LOCAL) stage(tile_C, C, p.C_time, start, at.end, TILE, p.n);
    stage_scalars(tile_gate, p.gate, p.gate_narrow, row, start, at.end, TILE);
    stage_scalars(tile_keep, p.keep, p.keep_narrow, row, start, at.end, TILE);
    __syncthreads();
    if (!LOCAL && p.checkpoints && start % CHUNK == 0 && at.valid) {
      float* const saved = p.checkpoints + (at.item * chunks + start / CHUNK) * p.n * p.channels + at.channel;
#pragma unroll
      for (int r = 0; r < STATES; ++r) {
        const int n = state_of(at.lane, r);
        if (n < p.n) saved[n * p.channels] = h[r];
      }
    }
#pragma unroll 1
    for (int group = 0; group < TILE && start + group < at.end; group += STEPS) {
      float x_own[OWN], z_own[OWN];
      Move own[OWN];
#pragma unroll
      for (int o = 0; o < OWN; ++o) {
        const int step = group + at.lane * OWN + o;
        const i64 t = start + step;
        const bool inside = at.valid && t < at.end;
        x_own[o] = widen(ahead.x[o]);
        if (!LOCAL) z_own[o] = widen(ahead.z[o]);
        const float size = inside ? step_size(widen(ahead.dt[o]) + bias, p.softplus) * tile_gate[step] : 0.0f;
        own[o] = {size, size * x_own[o], tile_keep[step], 0.0f};
        if (LANES > 1) moves[(at.lane * OWN + o) * at.slots + at.slot] = own[o];
        if (LOCAL) exponent += size;
      }
      if (LANES > 1) __syncwarp();
      read_ahead<LOCAL>(ahead, p, at, start + group + STEPS);
      float y[STEPS];
#pragma unroll
      for (int i = 0; i < STEPS; ++i) {
        const Move move = LANES > 1 ? moves[i * at.slots + at.slot] : own[i % OWN];
        float b[STATES], c[STATES];
        load_row(b, tile_B + (group + i) * PADDED, at.lane);
        advance(h, rates, b, move);
        if (LOCAL) {
          kept *= move.keep;
        } else {
          load_row(c, tile_C + (group + i) * PADDED, at.lane);
          y[i] = dot(c, h);
        }
      }
      if (LANES > 1) __syncwarp();
      if (LOCAL) continue;
      scatter_sums<STEPS, LANES, 1>(y);
#pragma unroll
      for (int o = 0; o < OWN; ++o) {
        const i64 t = start + group + at.lane * OWN + o;
        if (at.valid && t < at.end) {
          float out = fma(skip, x_own[o], y[o]);
          if (p.z) out *= silu(z_own[o]);
          store(p.y + (row + t) * p.channels + at.channel, out);
        }
      }
    }
  }
  if (LOCAL) {
    store_states(p.ends + at.region * p.channels * p.n, h, p, at);
    exponent = sum_lanes<LANES, 1>(exponent);
    if (at.valid && at.lane == 0) p.exponents[at.region * p.channels + at.channel] = exponent;
    if (at.tile == 0 && threadIdx.x == 0) p.kept[at.region] = kept;
  } else if (at.end == p.length) {
    store_states(p.final_state + at.item * p.channels * p.n, h, p, at);
  }
}

KERNEL __launch_bounds__(FORWARD_THREADS, FORWARD_BLOCKS) ssm_scan(const Scan p) { scan_forward<false>(p); }
KERNEL __launch_bounds__(FORWARD_THREADS, FORWARD_BLOCKS - 1) ssm_scan_ends(const Scan p) { scan_forward<true>(p); }

// One step of many streams: no tile, no barrier; a channel's lanes read their states side by side.
KERNEL __launch_bounds__(FORWARD_THREADS, FORWARD_BLOCKS) ssm_step(const Scan p) {
  const i64 thread = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  const i64 row = thread / LANES;
  Place at = {};
  at.lane = threadIdx.x % LANES;
  at.valid = row < p.batch * p.channels;
  at.item = at.valid ? row / p.channels : 0;
  at.channel = at.valid ? row % p.channels : 0;
  float rates[STATES], h[STATES], b[STATES], c[STATES];
  load_rates(rates, p, at);
  load_states(h, p.entering ? p.entering + at.item * p.channels * p.n : nullptr, p, at);
#pragma unroll
  for (int r = 0; r < STATES; ++r) {
    const int n = state_of(at.lane, r);
    b[r] = n < p.n ? load(p.B + at.item * p.B_batch + n) : 0.0f;
    c[r] = n < p.n ? load(p.C + at.item * p.C_batch + n) : 0.0f;
  }
  const float x = load(p.x + at.item * p.x_batch + at.channel);
  const float raw = load(p.dt + at.item * p.dt_batch + at.channel) + (p.bias ? p.bias[at.channel] : 0.0f);
  const float gate = p.gate ? load_either(p.gate, at.item, p.gate_narrow) : 1.0f;
  const float keep = p.keep ? load_either(p.keep, at.item, p.keep_narrow) : 1.0f;
  const float size = step_size(raw, p.softplus) * gate;
  advance(h, rates, b, {size, size * x, keep, 0.0f});
  const float sum = sum_lanes<LANES, 1>(dot(c, h));
  if (!at.valid) return;
  store_states(p.final_state + at.item * p.channels * p.n, h, p, at);
  if (at.lane) return;
  float y = fma(p.D ? p.D[at.channel] : 0.0f, x, sum);
  if (p.z) y *= silu(load(p.z + at.item * p.z_batch + at.channel));
  store(p.y + at.item * p.channels + at.channel, y);
}
