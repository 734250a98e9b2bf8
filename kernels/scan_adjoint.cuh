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

// What a lane knows of a step of its own.
struct Step {
  float x, raw, delta, gate, r, grad, z;
  Move move;
  i64 t;
  bool inside;
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

// Step `first + own` of a chunk that begins at `start`; beyond the end every number is such that nothing moves.
DEVICE Step read_step(const Scan& p, const Place& at, const Inputs& in, const float* gates, const float* keeps,
                      i64 start, int step, bool with_gradient) {
  Step own;
  own.t = start + step;
  own.inside = at.valid && own.t < at.end;
  own.x = own.inside ? load(in.x + own.t * p.x_time) : 0.0f;
  own.raw = own.inside ? load(in.dt + own.t * p.dt_time) + in.bias : 0.0f;
  own.delta = own.inside ? step_size(own.raw, p.softplus) : 0.0f;
  own.gate = gates[step];
  own.grad = with_gradient && own.inside ? load(in.grad + own.t * p.grad_time) : 0.0f;
  own.z = with_gradient && p.z && own.inside ? load(in.z + own.t * p.z_time) : 0.0f;
  own.r = p.z ? own.grad * silu(own.z) : own.grad;
  const float size = own.delta * own.gate;
  own.move = {size, size * own.x, keeps[step], own.r};
  return own;
}

// The steps of a round that this lane looks after, and their moves for all lanes of the channel.
DEVICE void read_round(Step (&own)[OWNED], Move* moves, const Scan& p, const Place& at, const Inputs& in,
                       const float* gates, const float* keeps, i64 start, int first, bool with_gradient) {
  __syncwarp();
#pragma unroll
  for (int o = 0; o < OWNED; ++o) {
    const int step = at.lane / SHARERS * OWNED + o;
    own[o] = read_step(p, at, in, gates, keeps, start, first + step, with_gradient);
    moves[step * at.slots + at.slot] = own[o].move;
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
  Move* const moves = (Move*)(keeps + CHUNK);  // [ROUND][slots]
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
#pragma unroll 1
    for (int first = CHUNK - ROUND; first >= 0; first -= ROUND) {
      Step own[OWNED];
      read_round(own, moves, p, at, in, gates, keeps, start, first, true);
#pragma unroll
      for (int i = ROUND - 1; i >= 0; --i) {
        const Move move = moves[i * at.slots + at.slot];
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
