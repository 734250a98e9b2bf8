// Work shared out over threads, and how a batch of channels is cut into units. The cut depends on shapes alone, and
// every unit writes places of its own, so results have the same bits on any number of threads.

#pragma once
#include <stddef.h>
#include <stdint.h>

// Below this many state updates a second thread costs more than it brings.
constexpr int64_t WORTH_A_THREAD = 1 << 16;

// One unit of work: `scratch` is the calling thread's own, aligned to 64 bytes.
typedef void (*ssm_unit)(const void *context, int64_t unit, void *scratch);

// Calls work(context, u, scratch) once for every u in [0, units), on up to `threads` threads. Returns an ssm_error.
int ssm_for_each(int64_t units, int64_t threads, ssm_unit work, const void *context, size_t scratch_bytes);

// Asks for large pages where a large result is about to be written for the first time, as numpy does for its arrays:
// otherwise a fifth of a training step goes into one page fault per 4 KiB.
void ssm_expect_writes(void *start, size_t bytes);

// A buffer aligned to 64 bytes, freed with its scope; null when there is no memory.
struct ssm_buffer {
    void *start;
    explicit ssm_buffer(size_t bytes);
    ~ssm_buffer();
    ssm_buffer(const ssm_buffer &) = delete;
    ssm_buffer &operator=(const ssm_buffer &) = delete;
};
