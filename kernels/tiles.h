// How both ops cut their work: tiles of W channels, blocks of the batch, groups of tiles; and how channels-last states
// (E, N) become the vectors of a tile, and back.

#pragma once
#include "parallel.h"
#include "ssm_cpu.h"
#include "vector.h"

namespace SSM_BUILD {

SSM_INLINE int64_t at_most_of(int64_t a, int64_t b) { return a < b ? a : b; }

struct Range {
    int64_t begin, end;
};

// A unit is a block of the batch times a group of tiles. Sums over the batch are kept per block, sums over channels per
// group, and both are added up in order afterwards. The numbers come from the shape alone. A group is small enough for
// its states to stay in the cache, and walks through time together, so that memory is read row by row.
constexpr int64_t MOST_TILES = 16;

struct Cut {
    int64_t batch, tiles, blocks, groups;

    static Cut of(int64_t batch, int64_t channels, int lanes) { return into(batch, channels, lanes, 32); }

    // Into `units` at least, where there are as many tiles.
    static Cut into(int64_t batch, int64_t channels, int lanes, int64_t units) {
        int64_t tiles = (channels + lanes - 1) / lanes;
        int64_t blocks = at_most_of(batch, 64);
        int64_t by_units = (units + blocks - 1) / blocks, by_size = (tiles + MOST_TILES - 1) / MOST_TILES;
        int64_t groups = at_most_of(tiles, by_units > by_size ? by_units : by_size);
        return {batch, tiles, blocks, groups};
    }
    int64_t most_tiles() const { return (tiles + groups - 1) / groups; }
    int64_t units() const { return blocks * groups; }
    int64_t block(int64_t unit) const { return unit / groups; }
    int64_t group(int64_t unit) const { return unit % groups; }
    Range batches(int64_t unit) const { return part(batch, blocks, block(unit)); }
    Range tiles_of(int64_t unit) const { return part(tiles, groups, group(unit)); }

  private:
    static Range part(int64_t whole, int64_t parts, int64_t i) { return {whole * i / parts, whole * (i + 1) / parts}; }
};

template <class T> SSM_INLINE int lanes_of(int64_t tile, int64_t channels) {
    return static_cast<int>(at_most_of(LANES<T>, channels - tile * LANES<T>));
}

// columns[j][lane] = rows[lane][j]: `count` numbers of each of `lanes` channels become `count` vectors.
template <class T> SSM_INLINE void gather(const T *rows, int lanes, int64_t count, T *columns) {
    constexpr int W = LANES<T>;
    int64_t j = 0;
    if (lanes == W)
        for (; j + W <= count; j += W) {
            Vec<T> v[W];
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i) v[i] = load(rows + i * count + j);
            transpose<T>(v);
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i) store(columns + (j + i) * W, v[i]);
        }
    for (; j < count; ++j)
        for (int i = 0; i < W; ++i) columns[j * W + i] = i < lanes ? rows[i * count + j] : T(0);
}

// rows[lane][j] = columns[j][lane]
template <class T> SSM_INLINE void scatter(const T *columns, int lanes, int64_t count, T *rows) {
    constexpr int W = LANES<T>;
    int64_t j = 0;
    if (lanes == W)
        for (; j + W <= count; j += W) {
            Vec<T> v[W];
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i) v[i] = load(columns + (j + i) * W);
            transpose<T>(v);
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i) store(rows + i * count + j, v[i]);
        }
    for (; j < count; ++j)
        for (int i = 0; i < lanes; ++i) rows[i * count + j] = columns[j * W + i];
}

// Calls f(place, Size<COUNT>) for pieces of `count` numbers: as many of COUNT as fit, then of COUNT / 2, ... and 1.
template <int COUNT> struct Size {
    static constexpr int value = COUNT;
};
template <int COUNT, class F> SSM_INLINE void in_pieces(int64_t count, F f, int64_t done = 0) {
    for (; done + COUNT <= count; done += COUNT) f(done, Size<COUNT>{});
    if constexpr (COUNT > 1) in_pieces<COUNT / 2>(count, f, done);
}

// Adds `share` to one vector of `sums`, and keeps in `lost` what rounding takes (Kahan 1965).
template <class T> SSM_INLINE void add_exactly(T *sums, T *lost, Vec<T> share) {
    const Vec<T> before = load(sums), wanted = share - load(lost), after = before + wanted;
    store(lost, (after - before) - wanted);
    store(sums, after);
}

// total[i] = parts[i] + parts[stride + i] + ... + parts[(count - 1) stride + i], in this order.
template <class T> struct Parts {
    const T *parts;
    int64_t count, stride, size;
    T *total;
};
constexpr int64_t PIECE = 4096;
template <class T> static void add_piece(const void *context, int64_t unit, void *) {
    const Parts<T> &p = *static_cast<const Parts<T> *>(context);
    const int64_t begin = unit * PIECE, end = at_most_of(begin + PIECE, p.size);
    for (int64_t i = begin; i < end; ++i) p.total[i] = p.parts[i];
    for (int64_t k = 1; k < p.count; ++k)
        for (int64_t i = begin; i < end; ++i) p.total[i] += p.parts[k * p.stride + i];
}
template <class T> static int add_parts(const Parts<T> &p, int64_t threads) {
    return ssm_for_each((p.size + PIECE - 1) / PIECE, threads, add_piece<T>, &p, 0);
}

}  // namespace SSM_BUILD
