// The causal convolution with a carried history and a keep, and its gradient. A thread is a channel, over one segment
// of the length; a segment needs SSM_WIDTH - 1 steps of its neighbours, so segments are independent.
#pragma once
#include "device.cuh"

constexpr int WIDTH = SSM_WIDTH;
constexpr int PAST = WIDTH - 1;
constexpr int HELD = PAST > 0 ? PAST : 1;
constexpr int BATCHED = 8;  // Steps whose inputs are read together.

// One call, in 64-bit words, as `Scan` is. weight is (E, W), states are (batch, W-1, E). weight, bias and keep hold
// `Value`s where said to be narrow, else floats.
struct Conv {
  i64 batch, length, channels, silu, segments, segment_length, tiles, weight_narrow, bias_narrow, keep_narrow;
  const Value* x;
  const void *weight, *bias, *keep;
  const float* initial_state;
  i64 x_batch, x_time;
  Value* y;
  float* final_state;
  const Value* grad_y;
  const float* grad_final;
  i64 grad_batch, grad_time;
  Value* grad_x;
  float* grad_initial;
  float *part_weight, *part_bias;  // (batch, segments, E, ...)
  float* part_keep;                // (batch, tiles, length)
};

struct Filter {
  i64 region, item, tile, channel, begin, end;
  bool valid;
  const Value* x;
  const float* initial;
  float weight[WIDTH], bias;
};

DEVICE Filter filter_of(const Conv& p) {
  Filter f;
  const i64 unit = blockIdx.x;
  f.tile = unit % p.tiles;
  f.region = unit / p.tiles;
  f.item = f.region / p.segments;
  const i64 channel = f.tile * blockDim.x + threadIdx.x;
  f.valid = channel < p.channels;
  f.channel = f.valid ? channel : 0;  // Threads beyond the last channel read the first and write nothing.
  f.begin = f.region % p.segments * p.segment_length;
  f.end = f.begin + p.segment_length < p.length ? f.begin + p.segment_length : p.length;
  f.x = p.x + f.item * p.x_batch + f.channel;
  f.initial = p.initial_state ? p.initial_state + f.item * PAST * p.channels + f.channel : nullptr;
#pragma unroll
  for (int j = 0; j < WIDTH; ++j) f.weight[j] = load_either(p.weight, f.channel * WIDTH + j, p.weight_narrow);
  f.bias = p.bias ? load_either(p.bias, f.channel, p.bias_narrow) : 0.0f;
  return f;
}

// The input of step t; before the first step, what the history holds.
DEVICE float input_at(const Conv& p, const Filter& f, i64 t) {
  if (t >= 0) return load(f.x + t * p.x_time);
  return f.initial ? f.initial[(PAST + t) * p.channels] : 0.0f;
}

DEVICE float keep_at(const Conv& p, const Filter& f, i64 t) {
  return p.keep && t >= 0 ? load_either(p.keep, f.item * p.length + t, p.keep_narrow) : 1.0f;
}

// The sum over taps, newest first.
DEVICE float filtered(const Filter& f, const float (&taps)[WIDTH]) {
  float y = taps[0] * f.weight[PAST];
#pragma unroll
  for (int j = 1; j < WIDTH; ++j) y = fma(taps[j], f.weight[PAST - j], y);
  return y + f.bias;
}

KERNEL __launch_bounds__(128, 4) ssm_conv(const Conv p) {
  const Filter f = filter_of(p);
  float taps[WIDTH];  // taps[j] is the input j steps ago times the keeps since.
  // The taps of the segment's first step grow out of the W - 1 inputs before it, as they would in one pass.
  const i64 first = f.begin > PAST ? f.begin - PAST : 0;
#pragma unroll
  for (int j = 0; j < PAST; ++j) taps[j] = first == 0 ? input_at(p, f, -1 - j) : 0.0f;
#pragma unroll 1
  for (i64 start = first; start < f.end; start += BATCHED) {
    float x[BATCHED], keep[BATCHED];
#pragma unroll
    for (int i = 0; i < BATCHED; ++i) {
      const bool inside = start + i < f.end;
      x[i] = inside ? input_at(p, f, start + i) : 0.0f;
      keep[i] = inside ? keep_at(p, f, start + i) : 1.0f;
    }
#pragma unroll
    for (int i = 0; i < BATCHED; ++i) {
      const i64 t = start + i;
      if (t >= f.end) break;
#pragma unroll
      for (int j = PAST; j > 0; --j) taps[j] = taps[j - 1] * keep[i];
      taps[0] = x[i];
      const float y = filtered(f, taps);
      if (f.valid && t >= f.begin) {
        store(p.y + (f.item * p.length + t) * p.channels + f.channel, p.silu ? silu(y) : y);
      }
    }
  }
  if (f.end == p.length && f.valid) {
#pragma unroll
    for (int j = 0; j < PAST; ++j) p.final_state[(f.item * PAST + PAST - 1 - j) * p.channels + f.channel] = taps[j];
  }
}

// The adjoint of the history runs backwards: pull[j] is that of tap j after the step. Shared: [warps][segment_length].
KERNEL __launch_bounds__(128, 3) ssm_conv_gradient(const Conv p) {
  SHARED(shared);
  const Filter f = filter_of(p);
  const Value* const grad_y = p.grad_y + f.item * p.grad_batch + f.channel;
  float* const own_sums = shared + threadIdx.x / 32 * p.segment_length;
  // Steps behind the segment that reach into it through the history; nothing before them does.
  const i64 last = f.end - 1 + PAST < p.length - 1 ? f.end - 1 + PAST : p.length - 1;
  float pull[HELD], grad_weight[WIDTH], grad_bias = 0;
#pragma unroll
  for (int j = 0; j < PAST; ++j) {
    const bool from_outside = last == p.length - 1 && p.grad_final;
    pull[j] = from_outside ? p.grad_final[(f.item * PAST + PAST - 1 - j) * p.channels + f.channel] : 0.0f;
  }
#pragma unroll
  for (int j = 0; j < WIDTH; ++j) grad_weight[j] = 0;

#pragma unroll 1
  for (i64 start = f.begin + (last - f.begin) / BATCHED * BATCHED; start >= f.begin; start -= BATCHED) {
    // Inputs and keeps from PAST steps before the batch, oldest first; gradients within it.
    float x[BATCHED + PAST], keep[BATCHED + PAST], grad[BATCHED], grad_keep[BATCHED];
#pragma unroll
    for (int i = 0; i < BATCHED + PAST; ++i) {
      const i64 t = start + i - PAST;
      x[i] = t <= last ? input_at(p, f, t) : 0.0f;
      keep[i] = t <= last ? keep_at(p, f, t) : 1.0f;
    }
#pragma unroll
    for (int i = 0; i < BATCHED; ++i) grad[i] = start + i <= last ? load(grad_y + (start + i) * p.grad_time) : 0.0f;
#pragma unroll
    for (int i = BATCHED - 1; i >= 0; --i) {
      const i64 t = start + i;
      grad_keep[i] = 0;
      if (t > last) continue;
      float before[WIDTH], taps[WIDTH];  // Taps without this step's keep, and with it.
      taps[0] = before[0] = x[i + PAST];
#pragma unroll
      for (int j = 1; j < WIDTH; ++j) {
        before[j] = x[i + PAST - j];
#pragma unroll
        for (int s = 1; s < j; ++s) before[j] *= keep[i + PAST - j + s];
        taps[j] = before[j] * keep[i + PAST];
      }
      const float pulled = p.silu ? grad[i] * silu_slope(filtered(f, taps)) : grad[i];
      const bool inside = t < f.end;
#pragma unroll
      for (int j = 0; j < WIDTH; ++j) {
        const float weight = f.weight[PAST - j];
        const float adjoint = j < PAST ? fma(weight, pulled, pull[j < PAST ? j : 0]) : weight * pulled;
        if (inside) grad_weight[PAST - j] = fma(pulled, taps[j], grad_weight[PAST - j]);
        if (j == 0) {
          if (inside && f.valid) store(p.grad_x + (f.item * p.length + t) * p.channels + f.channel, adjoint);
        } else {
          grad_keep[i] = fma(adjoint, before[j], grad_keep[i]);
          pull[j > 0 ? j - 1 : 0] = adjoint * keep[i + PAST];
        }
      }
      if (inside) grad_bias += pulled;
    }
    if (p.part_keep) {
#pragma unroll
      for (int i = 0; i < BATCHED; ++i) grad_keep[i] = f.valid ? grad_keep[i] : 0.0f;
      scatter_sums<BATCHED, 32, 1>(grad_keep);
      const int i = threadIdx.x % 32 / (32 / BATCHED);
      if (threadIdx.x % (32 / BATCHED) == 0 && start + i < f.end) own_sums[start + i - f.begin] = grad_keep[0];
    }
  }

  if (f.begin == 0 && f.valid && p.grad_initial) {
#pragma unroll
    for (int j = 0; j < PAST; ++j) p.grad_initial[(f.item * PAST + PAST - 1 - j) * p.channels + f.channel] = pull[j];
  }
  if (f.valid) {
    const i64 place = f.region * p.channels + f.channel;
#pragma unroll
    for (int j = 0; j < WIDTH; ++j) p.part_weight[place * WIDTH + j] = grad_weight[j];
    if (p.part_bias) p.part_bias[place] = grad_bias;
  }
  if (p.part_keep) {
    __syncthreads();
    for (int i = threadIdx.x; i < f.end - f.begin; i += blockDim.x) {
      float total = 0;
      for (int w = 0; w < (int)blockDim.x / 32; ++w) total += shared[w * p.segment_length + i];
      p.part_keep[(f.item * p.tiles + f.tile) * p.length + f.begin + i] = total;
    }
  }
}
