// The C interface: sends each call to the build for the processor, and runs units of work on threads.
// It is itself compiled for the plainest processor.

#include "ssm_cpu.h"

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "direct_cpu.h"
#include "parallel.h"

struct build {
    const char *name;
    int (*scan_forward)(const ssm_scan *);
    int (*scan_gradient)(const ssm_scan_backward *);
    int (*conv_forward)(const ssm_conv *);
    int (*conv_gradient)(const ssm_conv_backward *);
    int (*scan_floor)(int64_t, int64_t);
};

#define SSM_DECLARE(name)                                                                                  \
    namespace name {                                                                                       \
    int scan_forward(const ssm_scan *);                                                                    \
    int scan_gradient(const ssm_scan_backward *);                                                          \
    int conv_forward(const ssm_conv *);                                                                    \
    int conv_gradient(const ssm_conv_backward *);                                                          \
    int scan_floor(int64_t, int64_t);                                                                      \
    }
#define SSM_BUILD_OF(name)                                                                                 \
    build { #name, name::scan_forward, name::scan_gradient, name::conv_forward, name::conv_gradient, name::scan_floor }

#if defined(__x86_64__)
SSM_DECLARE(avx512)
SSM_DECLARE(avx2)
SSM_DECLARE(sse2)
static bool runs_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
}
static bool runs_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
SSM_DECLARE(portable)
#endif

// Filled when the library loads: what this processor runs, best first.
static build builds[3];
static int64_t build_count = 0;

__attribute__((constructor)) static void find_builds() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (runs_avx512()) builds[build_count++] = SSM_BUILD_OF(avx512);
    if (runs_avx2()) builds[build_count++] = SSM_BUILD_OF(avx2);
    builds[build_count++] = SSM_BUILD_OF(sse2);
#else
    builds[build_count++] = SSM_BUILD_OF(portable);
#endif
}

static bool known(int64_t place) { return place >= 0 && place < build_count; }

extern "C" {

const char *ssm_build_name(int64_t place) { return known(place) ? builds[place].name : nullptr; }

int ssm_scan_forward(const ssm_scan *s) {
    return known(s->build) ? builds[s->build].scan_forward(s) : SSM_NO_SUCH_BUILD;
}
int ssm_scan_gradient(const ssm_scan_backward *s) {
    return known(s->in.build) ? builds[s->in.build].scan_gradient(s) : SSM_NO_SUCH_BUILD;
}
int ssm_conv_forward(const ssm_conv *c) {
    return known(c->build) ? builds[c->build].conv_forward(c) : SSM_NO_SUCH_BUILD;
}
int ssm_conv_gradient(const ssm_conv_backward *c) {
    return known(c->in.build) ? builds[c->in.build].conv_gradient(c) : SSM_NO_SUCH_BUILD;
}
int ssm_scan_floor(int64_t place, int64_t threads, int64_t updates) {
    return known(place) ? builds[place].scan_floor(threads, updates) : SSM_NO_SUCH_BUILD;
}

static void (*parallel)(void (*)(void *), void *, unsigned, unsigned) = nullptr;

void ssm_set_parallel(void (*run)(void (*)(void *), void *, unsigned, unsigned)) { parallel = run; }

void ssm_set_runtime(const ssm_runtime *given) { runtime = *given; }

static const int METH_FASTCALL = 0x80;  // the arguments come as an array
const ssm_method ssm_scan_method = {"scan", direct_scan_of, METH_FASTCALL, nullptr};
const ssm_method ssm_conv_method = {"conv", direct_conv_of, METH_FASTCALL, nullptr};
}

ssm_buffer::ssm_buffer(size_t bytes) : start(nullptr) {
    if (posix_memalign(&start, 64, bytes < 64 ? 64 : bytes)) start = nullptr;
}
ssm_buffer::~ssm_buffer() { free(start); }

void ssm_expect_writes(void *start, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t large = 1 << 21, begin = reinterpret_cast<uintptr_t>(start);
    const uintptr_t first = (begin + large - 1) & ~(large - 1), last = (begin + bytes) & ~(large - 1);
    if (start && last > first + large) madvise(reinterpret_cast<void *>(first), last - first, MADV_HUGEPAGE);
#else
    (void)start, (void)bytes;
#endif
}

// Every thread has a share of neighbouring units, and takes from the others' when its own is done: a stream's states stay
// in the cache of the core that wrote them. A counter a share, each on a cache line of its own.
constexpr int64_t MOST_SHARES = 64;
struct share {
    int64_t next, end, apart[6];
};
struct crew {
    share *shares;
    int64_t count, members;
    ssm_unit work;
    const void *context;
    size_t scratch_bytes;
    int failed;
};

static void take_units(void *shared) {
    crew *c = static_cast<crew *>(shared);
    ssm_buffer scratch(c->scratch_bytes);
    if (!scratch.start) {
        __atomic_store_n(&c->failed, 1, __ATOMIC_RELAXED);
        return;
    }
    const int64_t own = __atomic_fetch_add(&c->members, 1, __ATOMIC_RELAXED);
    for (int64_t i = 0; i < c->count; ++i) {
        share *s = c->shares + (own + i) % c->count;
        for (;;) {
            const int64_t unit = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
            if (unit >= s->end) break;
            c->work(c->context, unit, scratch.start);
        }
    }
}

int ssm_for_each(int64_t units, int64_t threads, ssm_unit work, const void *context, size_t scratch_bytes) {
    if (threads > units) threads = units;
    if (threads <= 1 || !parallel) {
        // Without the counters, whose atomic additions hold up what comes after them.
        const ssm_buffer scratch(scratch_bytes);
        if (!scratch.start) return SSM_NO_MEMORY;
        for (int64_t unit = 0; unit < units; ++unit) work(context, unit, scratch.start);
        return SSM_OK;
    }
    share shares[MOST_SHARES];
    const int64_t count = threads < MOST_SHARES ? threads : MOST_SHARES;
    for (int64_t i = 0; i < count; ++i) shares[i] = {units * i / count, units * (i + 1) / count, {}};
    crew c = {shares, count, 0, work, context, scratch_bytes, 0};
    parallel(take_units, &c, static_cast<unsigned>(threads), 0);
    return c.failed ? SSM_NO_MEMORY : SSM_OK;
}
