// The adjoint of the scan: what its rounds read, and each segment's adjoint alone for splitting over length.
#pragma once
#include "scan.cuh"

constexpr int BACKWARD_THREADS = STATES > 4 || LANES < 4 ? 256 : 384;

constexpr int ROUND = 4;
constexpr int ROUNDS = CHUNK / ROUND;
constexpr int OWNED = ROUND > LANES ? ROUND / LANES : 1;
constexpr int SHARERS = LANES > ROUND ? LANES / ROUND : 1;  // Lanes that hold the same step.
constexpr int CHANNELS = 32 / LANES;                        // Of a warp.
constexpr int HALF = ROUND / 2;  // Products are summed over channels half a round at a time, to spare registers.
constexpr int PRODUCTS = HALF * STATES;
constexpr int PRODUCTS_HELD = PRODUCTS > CHANNELS ? PRODUCTS / CHANNELS : 1;
constexpr int PRODUCT_SHARERS = CHANNELS > PRODUCTS ? CHANNELS / PRODUCTS : 1;

// A step's inputs as they lie in memory, zero beyond the end.
struct Raw {
  Value x, dt, grad, z;
};

// Where the inputs of this block's channels lie.
struct Inputs {
  const Value *x, *dt, *z, *grad;
  float skip, bias;
};

DEVICE Inputs inputs_of(const Scan& p, const Place& at) {
  return {p.x + at.item * p.x_batch + at.channel,
          p.dt + at.item * p.dt_batch + at.channel,
          p.z + at.item * p.z_batch + at.channel,
          p.grad_y + at.item * p.grad_batch + at.channel,
          p.D && at.valid ? p.D[at.channel] : 0.0f,
          p.bias && at.valid ? p.bias[at.channel] : 0.0f};
}

DEVICE Raw read_raw(const Scan& p, const Place& at, const Inputs& in, i64 t) {
  const bool inside = at.valid && t < at.end;
  Raw raw;
  raw.x = inside ? in.x[t * p.x_time] : Value(0);
  raw.dt = inside ? in.dt[t * p.dt_time] : Value(0);
  raw.grad = inside ? in.grad[t * p.grad_time] : Value(0);
  raw.z = inside && p.z ? in.z[t * p.z_time] : Value(0);
  return raw;
}

// The moves of a chunk that begins at `start`, each worked out by one lane for all lanes of the channel:
// [CHUNK][slots]. Beyond the end they are such that nothing moves.
DEVICE void read_moves(Move* moves, const Scan& p, const Place& at, const Inputs& in, const float* gates,
                       const float* keeps, i64 start) {
#pragma unroll 4
  for (int step = at.lane; step < CHUNK; step += LANES) {
    const Raw raw = read_raw(p, at, in, start + step);
    const bool inside = at.valid && start + step < at.end;
    const float size = inside ? step_size(widen(raw.dt) + in.bias, p.softplus) * gates[step] : 0.0f;
    const float grad = widen(raw.grad);
    moves[step * at.slots + at.slot] = {size, size * widen(raw.x), keeps[step], p.z ? grad * silu(widen(raw.z)) : grad};
  }
  __syncwarp();
}

// Each segment's adjoint alone, begun at zero behind its last step: what `ssm_carry` turns into `leaving`.
KERNEL __launch_bounds__(BACKWARD_THREADS, 1) ssm_adjoint_ends(const Scan p) {
  SHARED(shared);
  const Place at = place_of(p);
  float* const tile_C = shared;
  float* const gates = tile_C + CHUNK * PADDED;
  float* const keeps = gates + CHUNK;
  Move* const moves = (Move*)(keeps + CHUNK);  // [CHUNK][slots]
  const Inputs in = inputs_of(p, at);
  const i64 row = at.item * p.length;
  float rates[STATES], adjoint[STATES];
  load_rates(rates, p, at);
#pragma unroll
  for (int r = 0; r < STATES; ++r) adjoint[r] = 0;
  float exponent = 0, kept = 1;

#pragma unroll 1
  for (i64 start = at.begin + (at.end - 1 - at.begin) / CHUNK * CHUNK; start >= at.begin; start -= CHUNK) {
    __syncthreads();
    stage(tile_C, p.C + at.item * p.C_batch, p.C_time, start, at.end, CHUNK, p.n);
    stage_scalars(gates, p.gate, p.gate_narrow, row, start, at.end, CHUNK);
    stage_scalars(keeps, p.keep, p.keep_narrow, row, start, at.end, CHUNK);
    __syncthreads();
    read_moves(moves, p, at, in, gates, keeps, start);
#pragma unroll 1
    for (int first = CHUNK - ROUND; first >= 0; first -= ROUND) {
#pragma unroll
      for (int i = ROUND - 1; i >= 0; --i) {
        const Move move = moves[(first + i) * at.slots + at.slot];
        float c[STATES];
        load_row(c, tile_C + (first + i) * PADDED, at.lane);
#pragma unroll
        for (int r = 0; r < STATES; ++r) {
          adjoint[r] = fma(c[r], move.pull, adjoint[r]) * exp2_fast(move.size * rates[r]) * move.keep;
        }
        exponent += move.size;
        kept *= move.keep;
      }
    }
  }
  store_states(p.ends + at.region * p.channels * p.n, adjoint, p, at);
  if (at.valid && at.lane == 0) p.exponents[at.region * p.channels + at.channel] = exponent;
  if (at.tile == 0 && threadIdx.x == 0) p.kept[at.region] = kept;
}
