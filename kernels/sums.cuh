// Partial sums of many blocks, added in a fixed order.
#pragma once
#include "device.cuh"

constexpr int JOBS = 8;

// out[o, i] = sum over c of in[o, c, i]: outer x count x inner floats. narrow: out holds `Value`s, else floats.
struct SumJob {
  const float* in;
  void* out;
  i64 outer, count, inner, narrow;
};

struct Sums {
  SumJob job[JOBS];
};

// Grid: (blocks of outputs, jobs).
KERNEL __launch_bounds__(256) ssm_sums(const Sums p) {
  const SumJob& job = p.job[blockIdx.y];
  const i64 outputs = job.outer * job.inner;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < outputs; i += (i64)gridDim.x * blockDim.x) {
    const i64 outer = i / job.inner, inner = i % job.inner;
    const float* in = job.in + outer * job.count * job.inner + inner;
    Sum sum = {0, 0};
#pragma unroll 4
    for (i64 c = 0; c < job.count; ++c) add(sum, in[c * job.inner]);
    if (job.narrow) {
      store((Value*)job.out + i, sum.total);
    } else {
      ((float*)job.out)[i] = sum.total;
    }
  }
}
