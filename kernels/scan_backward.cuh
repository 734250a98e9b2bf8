// The gradient of the scan: chunks in reverse, each recomputed from its checkpoint; the derivation is in README.md.
//
// A chunk is walked once to find the state before each of its rounds of ROUND steps; then, round by round from the
// last, the states and decays of a round are held in registers while the adjoint runs back over them. Sums over
// channels are taken in registers, over warps in shared memory, over blocks by `ssm_sums`: always in the same order,
// with no atomics.
#pragma once
#include "scan_adjoint.cuh"

// Half a round's products of (step, state), summed over the channels of the warp, go to [HALF][PADDED].
DEVICE void sum_products(float (&products)[PRODUCTS], float* to, int lane) {
  scatter_sums<PRODUCTS, CHANNELS, LANES>(products);
  const int in_warp = threadIdx.x % 32 / LANES;
  if (in_warp % PRODUCT_SHARERS) return;
#pragma unroll
  for (int held = 0; held < PRODUCTS_HELD; ++held) {
    const int product = in_warp / PRODUCT_SHARERS * PRODUCTS_HELD + held;
    to[product / STATES * PADDED + state_of(lane, product % STATES)] = products[held];
  }
}

KERNEL __launch_bounds__(BACKWARD_THREADS, 1) ssm_scan_gradient(const Scan p) {
  SHARED(shared);
  const Place at = place_of(p);
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32;
  float* const tile_B = shared;
  float* const tile_C = tile_B + CHUNK * PADDED;
  float* const gates = tile_C + CHUNK * PADDED;
  float* const keeps = gates + CHUNK;
  float* const saved = keeps + CHUNK;                            // [ROUNDS][STATES][threads]
  // Of A's states, once a chunk, and of D and the bias: [STATES + 2][threads].
  Sum* const totals = (Sum*)(saved + ROUNDS * STATES * blockDim.x) + threadIdx.x;
  Move* const moves = (Move*)(totals - threadIdx.x + (STATES + 2) * blockDim.x);  // [CHUNK][slots]
  // Of each warp: the products of B and of C [ROUND][PADDED], those of gate and keep [ROUND].
  constexpr int SUMS = 2 * ROUND * PADDED + 2 * ROUND;
  float* const sums = (float*)(moves + CHUNK * at.slots);
  float* const own_sums = sums + warp * SUMS;

  const Inputs in = inputs_of(p, at);
  const i64 chunks = (p.length + CHUNK - 1) / CHUNK;
  const i64 row = at.item * p.length;
  const i64 part_row = (at.item * p.tiles + at.tile) * p.length;  // Of (batch, tiles, length) arrays.
  const bool scalars = p.part_gate || p.part_keep;
  float rates[STATES], adjoint[STATES];
  load_rates(rates, p, at);
  load_states(adjoint, p.leaving + at.region * p.channels * p.n, p, at);
#pragma unroll
  for (int r = 0; r < STATES + 2; ++r) totals[r * blockDim.x] = {0, 0};

#pragma unroll 1
  for (i64 start = at.begin + (at.end - 1 - at.begin) / CHUNK * CHUNK; start >= at.begin; start -= CHUNK) {
    __syncthreads();
    stage(tile_B, p.B + at.item * p.B_batch, p.B_time, start, at.end, CHUNK, p.n);
    stage(tile_C, p.C + at.item * p.C_batch, p.C_time, start, at.end, CHUNK, p.n);
    stage_scalars(gates, p.gate, p.gate_narrow, row, start, at.end, CHUNK);
    stage_scalars(keeps, p.keep, p.keep_narrow, row, start, at.end, CHUNK);
    __syncthreads();
    read_moves(moves, p, at, in, gates, keeps, start);
    const int rounds = at.end - start < CHUNK ? (int)((at.end - start + ROUND - 1) / ROUND) : ROUNDS;
    {
      float h[STATES];
      const float* const checkpoint =
          p.checkpoints + (at.item * chunks + start / CHUNK) * p.n * p.channels + at.channel;
#pragma unroll
      for (int r = 0; r < STATES; ++r) {
        const int n = state_of(at.lane, r);
        h[r] = at.valid && n < p.n ? checkpoint[n * p.channels] : 0.0f;
      }
#pragma unroll 1
      for (int round = 0; round < rounds; ++round) {
#pragma unroll
        for (int r = 0; r < STATES; ++r) saved[(round * STATES + r) * blockDim.x + threadIdx.x] = h[r];
        if (round == rounds - 1) break;
#pragma unroll
        for (int i = 0; i < ROUND; ++i) {
          float b[STATES];
          load_row(b, tile_B + (round * ROUND + i) * PADDED, at.lane);
          advance(h, rates, b, moves[(round * ROUND + i) * at.slots + at.slot]);
        }
      }
    }

    float chunk_A[STATES];
#pragma unroll
    for (int r = 0; r < STATES; ++r) chunk_A[r] = 0;
#pragma unroll 1
    for (int round = rounds - 1; round >= 0; --round) {
      const int first = round * ROUND;
      // Each lane finishes the gradients of its own steps; what it needs for them is read before the long part.
      Raw own[OWNED];
#pragma unroll
      for (int o = 0; o < OWNED; ++o) {
        own[o] = read_raw(p, at, in, start + first + at.lane / SHARERS * OWNED + o);
      }

      // The states before every step of the round, and its decays.
      float h[ROUND + 1][STATES], decay[ROUND][STATES], y[ROUND];
#pragma unroll
      for (int r = 0; r < STATES; ++r) h[0][r] = saved[(round * STATES + r) * blockDim.x + threadIdx.x];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float product_C[PRODUCTS];
#pragma unroll
        for (int j = 0; j < HALF; ++j) {
          const int i = half * HALF + j;
          const Move move = moves[(first + i) * at.slots + at.slot];
          float b[STATES], c[STATES];
          load_row(b, tile_B + (first + i) * PADDED, at.lane);
#pragma unroll
          for (int r = 0; r < STATES; ++r) {
            decay[i][r] = exp2_fast(move.size * rates[r]);
            h[i + 1][r] = fma(decay[i][r] * move.keep, h[i][r], move.input * b[r]);
            product_C[j * STATES + r] = move.pull * h[i + 1][r];
          }
          load_row(c, tile_C + (first + i) * PADDED, at.lane);
          y[i] = dot(c, h[i + 1]);
        }
        sum_products(product_C, own_sums + (ROUND + half * HALF) * PADDED, at.lane);
      }
      scatter_sums<ROUND, LANES, 1>(y);

      float pull_B[ROUND], path_A[ROUND], path[ROUND];  // Over a lane's states: lambda B, p A and p.
#pragma unroll
      for (int half = 1; half >= 0; --half) {
        float product_B[PRODUCTS];
#pragma unroll
        for (int j = HALF - 1; j >= 0; --j) {
          const int i = half * HALF + j;
          const Move move = moves[(first + i) * at.slots + at.slot];
          float b[STATES], c[STATES];
          load_row(b, tile_B + (first + i) * PADDED, at.lane);
          load_row(c, tile_C + (first + i) * PADDED, at.lane);
          const float kept_size = move.size * move.keep;
          pull_B[i] = path_A[i] = path[i] = 0;
#pragma unroll
          for (int r = 0; r < STATES; ++r) {
            const float lambda = fma(c[r], move.pull, adjoint[r]);
            product_B[j * STATES + r] = lambda * move.input;
            pull_B[i] = fma(lambda, b[r], pull_B[i]);
            const float decayed = lambda * decay[i][r];
            const float through = decayed * h[i][r];
            path[i] += through;
            path_A[i] = fma(through, rates[r], path_A[i]);
            chunk_A[r] = fma(through, kept_size, chunk_A[r]);
            adjoint[r] = decayed * move.keep;
          }
        }
        sum_products(product_B, own_sums + half * HALF * PADDED, at.lane);
      }

      scatter_sums<ROUND, LANES, 1>(pull_B);
      scatter_sums<ROUND, LANES, 1>(path_A);
      const bool owner = at.lane % SHARERS == 0;
      if (scalars) scatter_sums<ROUND, LANES, 1>(path);
#pragma unroll
      for (int o = 0; o < OWNED; ++o) {
        const int i = at.lane / SHARERS * OWNED + o;
        const i64 t = start + first + i;
        const Move move = moves[(first + i) * at.slots + at.slot];
        const bool inside = at.valid && t < at.end;
        const float x = widen(own[o].x), z = widen(own[o].z), raw = widen(own[o].dt) + in.bias;
        const float grad_size = fma(x, pull_B[o], move.keep * path_A[o] * LN2);
        if (inside && owner) {
          const i64 place = (row + t) * p.channels + at.channel;
          const float grad_delta = grad_size * gates[first + i];
          const float grad_raw = p.softplus ? grad_delta * sigmoid(raw) : grad_delta;
          store(p.grad_x + place, fma(in.skip, move.pull, move.size * pull_B[o]));
          store(p.grad_dt + place, grad_raw);
          if (p.z) store(p.grad_z + place, widen(own[o].grad) * fma(in.skip, x, y[o]) * silu_slope(z));
          add(totals[STATES * blockDim.x], move.pull * x);
          add(totals[(STATES + 1) * blockDim.x], grad_raw);
        }
        if (scalars) {
          const float delta = step_size(raw, p.softplus);
          const float of_gate = sum_lanes<CHANNELS, LANES>(inside ? grad_size * delta : 0.0f);
          const float of_keep = sum_lanes<CHANNELS, LANES>(inside ? path[o] : 0.0f);
          if (owner && threadIdx.x % 32 < LANES) {
            own_sums[2 * ROUND * PADDED + i] = of_gate;
            own_sums[2 * ROUND * PADDED + ROUND + i] = of_keep;
          }
        }
      }
      __syncthreads();
      for (int i = threadIdx.x; i < 2 * ROUND * PADDED; i += blockDim.x) {
        const int n = i % PADDED;
        const i64 t = start + first + i / PADDED % ROUND;
        float total = 0;
        for (int w = 0; w < warps; ++w) total += sums[w * SUMS + i];
        float* const part = i < ROUND * PADDED ? p.part_B : p.part_C;
        if (n < p.n && t < at.end) part[(part_row + t) * p.n + n] = total;
      }
      for (int i = threadIdx.x; scalars && i < 2 * ROUND; i += blockDim.x) {
        const i64 t = start + first + i % ROUND;
        float total = 0;
        for (int w = 0; w < warps; ++w) total += sums[w * SUMS + 2 * ROUND * PADDED + i];
        float* const part = i < ROUND ? p.part_gate : p.part_keep;
        if (part && t < at.end) part[part_row + t] = total;
      }
      __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < STATES; ++r) add(totals[r * blockDim.x], chunk_A[r]);
  }

  float grad_A[STATES];
#pragma unroll
  for (int r = 0; r < STATES; ++r) grad_A[r] = totals[r * blockDim.x].total;
  store_states(p.part_A + at.region * p.channels * p.n, grad_A, p, at);
  const float grad_D = sum_lanes<LANES, 1>(totals[STATES * blockDim.x].total);
  const float grad_bias = sum_lanes<LANES, 1>(totals[(STATES + 1) * blockDim.x].total);
  if (at.valid && at.lane == 0) {
    if (p.part_D) p.part_D[at.region * p.channels + at.channel] = grad_D;
    if (p.part_bias) p.part_bias[at.region * p.channels + at.channel] = grad_bias;
  }
  if (at.segment == 0 && p.grad_initial) store_states(p.grad_initial + at.item * p.channels * p.n, adjoint, p, at);
}
