// A CUDA block on one core: every thread is a fiber that runs until a barrier or a shuffle. Included before a .cu file.
//
// Shared memory is as large as the launch asks for, full of NaN, with a guard behind it. Threads run in two very
// different orders, so that a missing barrier shows as a difference. A barrier that some never reach is an error.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <vector>

#define SSM_HOST
#define DEVICE static inline
#define KERNEL static void
#define SHARED(name) float* const name = emulator::shared.data()
#define __launch_bounds__(...)

struct Index {
  unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

constexpr size_t STACK = 64 << 10;
constexpr int GUARD = 64;

struct Barrier {
  volatile int arrived = 0;
  volatile unsigned passed = 0;
};

struct Fiber {
  std::vector<char> stack = std::vector<char>(STACK);
  jmp_buf resume;
  bool started = false, done = false;
  unsigned exchanges = 0;
};

static std::vector<Fiber> fibers;
static std::vector<float> shared;
static std::vector<Barrier> warp_barriers;
static Barrier block_barrier;
static std::vector<float> exchange;  // [warp][2][32]
static std::function<void()> body;
static jmp_buf scheduler;
static int running;
static volatile long progress;

inline void yield() {
  if (!_setjmp(fibers[running].resume)) _longjmp(scheduler, 1);
}

inline void wait(Barrier& barrier, int all) {
  progress = progress + 1;
  barrier.arrived = barrier.arrived + 1;
  if (barrier.arrived == all) {
    barrier.arrived = 0;
    barrier.passed = barrier.passed + 1;
    return;
  }
  const unsigned before = barrier.passed;
  while (barrier.passed == before) yield();
}

inline void start() {
  body();
  fibers[running].done = true;
  progress = progress + 1;
  _longjmp(scheduler, 1);
}

// A thread runs until it has to wait, or ends.
inline void run_thread(int thread) {
  Fiber& fiber = fibers[thread];
  if (fiber.done) return;
  running = thread;
  threadIdx = {(unsigned)thread, 0, 0};
  if (_setjmp(scheduler)) return;
  if (fiber.started) _longjmp(fiber.resume, 1);
  fiber.started = true;
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = fiber.stack.data();
  context.uc_stack.ss_size = STACK;
  context.uc_link = nullptr;
  makecontext(&context, start, 0);
  setcontext(&context);
}

// One block; false if its threads wait for each other for ever. Either all threads in turn, a little each; or,
// reversed, the last warp as far as it gets before the one before it may begin.
inline bool run_block(int threads, bool reversed) {
  for (;;) {
    const long before = progress;
    if (!reversed) {
      for (int i = 0; i < threads; ++i) run_thread(i);
    }
    for (int warp = threads / 32 - 1; reversed && warp >= 0; --warp) {
      for (long here = -1; here != progress;) {
        here = progress;
        for (int lane = 31; lane >= 0; --lane) run_thread(warp * 32 + lane);
      }
    }
    bool ended = true;
    for (int i = 0; i < threads; ++i) ended = ended && fibers[i].done;
    if (ended) return true;
    if (progress == before) return false;
  }
}

// 0: done, 1: threads waited for each other for ever, 2: a write behind the end of shared memory.
inline int launch(unsigned grid_x, unsigned grid_y, int threads, size_t shared_bytes, bool reversed,
                  std::function<void()> kernel) {
  gridDim = {grid_x, grid_y, 1};
  blockDim = {(unsigned)threads, 1, 1};
  body = std::move(kernel);
  if ((int)fibers.size() < threads) fibers.resize(threads);
  const int warps = threads / 32;
  const float guard = 12345.0f;
  for (unsigned y = 0; y < grid_y; ++y) {
    for (unsigned x = 0; x < grid_x; ++x) {
      blockIdx = {x, y, 0};
      shared.assign(shared_bytes / 4, NAN);
      shared.resize(shared_bytes / 4 + GUARD, guard);
      warp_barriers.assign(warps, {});
      block_barrier = {};
      exchange.assign(warps * 64, NAN);
      for (int i = 0; i < threads; ++i) fibers[i].started = fibers[i].done = false;
      if (!run_block(threads, reversed)) return 1;
      for (int i = 0; i < GUARD; ++i) {
        if (shared[shared_bytes / 4 + i] != guard) return 2;
      }
    }
  }
  return 0;
}

}  // namespace emulator

static void __syncthreads() { emulator::wait(emulator::block_barrier, blockDim.x); }
static void __syncwarp() { emulator::wait(emulator::warp_barriers[threadIdx.x / 32], 32); }
static float __shfl_xor_sync(unsigned, float v, int mask) {
  const unsigned me = threadIdx.x;
  float* const place = &emulator::exchange[me / 32 * 64 + emulator::fibers[me].exchanges++ % 2 * 32];
  place[me % 32] = v;
  __syncwarp();
  return place[me % 32 ^ mask];
}

static inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline float __uint_as_float(unsigned bits) {
  float out;
  memcpy(&out, &bits, 4);
  return out;
}
static inline unsigned __float_as_uint(float v) {
  unsigned out;
  memcpy(&out, &v, 4);
  return out;
}
static inline float exp2_fast(float v) {
  const float out = exp2f(v);
  return out < 1.17549435e-38f ? 0.0f : out;
}
static inline float reciprocal_fast(float v) { return 1.0f / v; }
static inline float from_half(unsigned short bits) {
  _Float16 out;
  memcpy(&out, &bits, 2);
  return (float)out;
}
static inline unsigned short to_half(float v) {
  const _Float16 rounded = (_Float16)v;
  unsigned short out;
  memcpy(&out, &rounded, 2);
  return out;
}

// int NAME(call, grid_x, grid_y, threads, shared_bytes, reversed): what Python calls.
#define EMULATED(name, Call)                                                                                       \
  extern "C" __attribute__((visibility("default"))) int emulate_##name(const void* call, unsigned grid_x,          \
                                                                       unsigned grid_y, int threads,               \
                                                                       size_t shared_bytes, int reversed) {        \
    Call p;                                                                                                        \
    memcpy(&p, call, sizeof p);                                                                                    \
    return emulator::launch(grid_x, grid_y, threads, shared_bytes, reversed, [&] { name(p); });                     \
  }                                                                                                                \
  extern "C" __attribute__((visibility("default"))) size_t emulate_size_##name() { return sizeof(Call); }
