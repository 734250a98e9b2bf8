// The gradient of the selective scan, derived in README.md: chunk by chunk from the last, each chunk recomputed from
// its checkpoint, then walked backwards.

#include "scan_backward_cpu.h"

namespace SSM_BUILD {

// Gradients that are sums over channels: (batch, length, N) and (batch, length), of one group of tiles.
template <class T> struct ChannelSums {
    T *dB, *dC, *dgate, *dkeep;
};

template <class T> struct BackwardCall {
    const ssm_scan_backward &s;
    Cut cut;
    const T *A;         // tiled
    T *over_batch;      // per block, per tile: N vectors of dA, one of dD, one of ddt_bias
    T *over_channels;   // per group: dB, dC, dgate, dkeep; null when there is one group, which writes them in place
    int64_t group_size;

    ChannelSums<T> sums_of(int64_t group) const {
        if (!over_channels)
            return {static_cast<T *>(s.dB), static_cast<T *>(s.dC), static_cast<T *>(s.dgate), static_cast<T *>(s.dkeep)};
        const int64_t steps = s.in.batch * s.in.length;
        T *dB = over_channels + group * group_size, *dC = dB + steps * s.in.n, *dgate = dC + steps * s.in.n;
        return {dB, dC, dgate, dgate + steps};
    }
};

// Everything that belongs to one tile of one batch item.
template <class T> struct BackwardTile {
    static constexpr int W = LANES<T>;
    const ssm_scan_backward &s;
    const ssm_scan &in;
    const int64_t b, e, length;
    const int lanes;
    const bool first_tile;
    const Track<T> x, dt, z, B, C, grad_y;
    const T *gate, *keep, *A;
    const Vec<T> bias, D;
    const ChannelSums<T> sums_here;
    const Chunk<T> c;
    const Carried<T> carried;

    BackwardTile(const BackwardCall<T> &call, int64_t b, int64_t tile, int64_t group, bool first, T *chunk, T *carry)
        : s(call.s), in(s.in), b(b), e(tile * W), length(in.length), lanes(lanes_of<T>(tile, in.channels)),
          first_tile(first), x(in.x, in.x_stride, b, e), dt(in.dt, in.dt_stride, b, e), z(in.z, in.z_stride, b, e),
          B(in.B, in.B_stride, b, 0), C(in.C, in.C_stride, b, 0), grad_y(s.grad_y, s.grad_y_stride, b, e),
          gate(in.gate ? static_cast<const T *>(in.gate) + b * length : nullptr),
          keep(in.keep ? static_cast<const T *>(in.keep) + b * length : nullptr), A(call.A + tile * in.n * W),
          bias(of_channels<T>(in.dt_bias, e, lanes)), D(of_channels<T>(in.D, e, lanes)),
          sums_here(call.sums_of(group)), c(in, chunk), carried(in, carry) {}

    void prepare(int64_t t0, int64_t steps) const {
        for (int64_t t = 0; t < steps; ++t) {
            x.fetch(t0 + t - in.chunk, length);
            dt.fetch(t0 + t - in.chunk, length);
            z.fetch(t0 + t - in.chunk, length);
            grad_y.fetch(t0 + t - in.chunk, length);
            const int64_t out = (b * length + t0 + t) * in.channels + e;
            claim(static_cast<T *>(s.dx) + out);
            claim(static_cast<T *>(s.ddt) + out);
            if (in.z) claim(static_cast<T *>(s.dz) + out);
            const Vec<T> raw = load(dt.at(t0 + t), lanes) + bias;
            Logistic<T> delta = {raw, broadcast<T>(T(1))};
            if (in.softplus) delta = logistic<T>(raw);
            const Vec<T> size = gate ? delta.softplus * gate[t0 + t] : delta.softplus;
            Vec<T> grad = load(grad_y.at(t0 + t), lanes);
            if (in.z) {
                const Vec<T> z_t = load(z.at(t0 + t), lanes);
                grad *= z_t * sigmoid<T>(z_t);
            }
            store(c.delta + t * W, delta.softplus);
            store(c.slope + t * W, delta.sigmoid);
            store(c.size + t * W, size);
            store(c.sx + t * W, size * load(x.at(t0 + t), lanes));
            store(c.grad + t * W, grad);
        }
    }

    template <bool KEEPS> void states(int64_t t0, int64_t steps) const {
        const int64_t chunks = (length + in.chunk - 1) / in.chunk, row = b * length + t0;
        const T *checkpoint = static_cast<const T *>(in.checkpoints);
        checkpoint += (b * chunks + t0 / in.chunk) * in.n * in.channels + e;
        in_pieces<STATES<T>>(in.n, [&](int64_t n, auto count) {
            constexpr int COUNT = decltype(count)::value;
            const Track<T> B_n(B.at(t0) + n, B.stride), C_n(C.at(t0) + n, C.stride);
            const Place<T> p = {steps, lanes, first_tile, in.z != nullptr, keep ? keep + t0 : nullptr, in.n,
                                sums_here.dB + row * in.n + n, sums_here.dC + row * in.n + n};
            recompute<T, COUNT, KEEPS>(p, c, B_n, C_n, A + n * W, checkpoint + n * in.channels, in.channels, n);
            walk_back<T, COUNT, KEEPS>(p, c, B_n, C_n, A + n * W, carried.adjoint + n * W, carried.dA + n * W, carried.lost + n * W,
                                n);
        });
    }

    // Sums W steps at a time over the lanes of what finish() left for each step.
    void put_step_sums(T *out, const T *vectors, int64_t steps) const {
        for (int64_t t = 0; t < steps; t += W) {
            Vec<T> rows[W];
            const int count = static_cast<int>(at_most_of(W, steps - t));
            for (int i = 0; i < W; ++i) rows[i] = i < count ? load(vectors + (t + i) * W) : Vec<T>{};
            Vec<T> total = sums<W, T>(rows);
            if (!first_tile) total += load(out + t, count);
            store(out + t, total, count);
        }
    }

    void finish(int64_t t0, int64_t steps) const {
        Vec<T> dD = {}, dbias = {};
        for (int64_t t = 0; t < steps; ++t) {
            const int64_t out = (b * length + t0 + t) * in.channels + e;
            const Vec<T> x_t = load(x.at(t0 + t), lanes), grad = load(c.grad + t * W);
            const Vec<T> from_input = load(c.from_input + t * W);
            const Vec<T> from_decay = load(c.from_decay + t * W) * (keep ? keep[t0 + t] * LN2<T> : LN2<T>);
            const Vec<T> dsize = fma(x_t, from_input, from_decay);
            Vec<T> ddelta = gate ? dsize * gate[t0 + t] : dsize;
            ddelta *= load(c.slope + t * W);
            dbias += ddelta;
            dD = fma(grad, x_t, dD);
            store(static_cast<T *>(s.dx) + out, fma(D, grad, load(c.size + t * W) * from_input), lanes);
            store(static_cast<T *>(s.ddt) + out, ddelta, lanes);
            if (in.z) {
                const Vec<T> z_t = load(z.at(t0 + t), lanes), share = sigmoid<T>(z_t);
                const Vec<T> slope = share * fma(z_t, broadcast<T>(T(1)) - share, broadcast<T>(T(1)));
                const Vec<T> y = fma(D, x_t, load(c.y + t * W));
                store(static_cast<T *>(s.dz) + out, load(grad_y.at(t0 + t), lanes) * y * slope, lanes);
            }
            store(c.delta + t * W, dsize * load(c.delta + t * W));
        }
        add_exactly<T>(carried.dA + in.n * W, carried.lost + in.n * W, dD);
        add_exactly<T>(carried.dA + (in.n + 1) * W, carried.lost + (in.n + 1) * W, dbias);
        if (s.dgate) put_step_sums(sums_here.dgate + b * length + t0, c.delta, steps);
        if (s.dkeep) put_step_sums(sums_here.dkeep + b * length + t0, c.from_state, steps);
    }

    int64_t states_at() const { return (b * in.channels + e) * in.n; }
    int64_t kept() const { return (in.n + 2) * W; }

    void start() const {
        gather<T>(static_cast<const T *>(s.grad_final) + states_at(), lanes, in.n, carried.adjoint);
        for (int64_t i = 0; i < kept(); ++i) carried.dA[i] = carried.lost[i] = T(0);
    }

    void chunk(int64_t t0, int64_t steps) const {
        prepare(t0, steps);
        if (keep)
            states<true>(t0, steps);
        else
            states<false>(t0, steps);
        finish(t0, steps);
    }

    // `over_batch` receives, or has added to it, this tile's dA, dD and ddt_bias.
    void end(T *over_batch, bool first_item) const {
        for (int64_t i = 0; i < kept(); ++i) over_batch[i] = first_item ? carried.dA[i] : over_batch[i] + carried.dA[i];
        if (s.dinitial_state) scatter<T>(carried.adjoint, lanes, in.n, static_cast<T *>(s.dinitial_state) + states_at());
    }
};

template <class T> static void backward_unit(const void *context, int64_t unit, void *scratch) {
    const BackwardCall<T> &call = *static_cast<const BackwardCall<T> *>(context);
    const ssm_scan &in = call.s.in;
    const Range batches = call.cut.batches(unit), tiles = call.cut.tiles_of(unit);
    const int64_t tile_size = (in.n + 2) * LANES<T>;
    T *over_batch = call.over_batch + call.cut.block(unit) * call.cut.tiles * tile_size;
    T *chunk = static_cast<T *>(scratch), *carries = chunk + Chunk<T>::numbers(in);
    for (int64_t b = batches.begin; b < batches.end; ++b) {
        auto tile_at = [&](int64_t tile) {
            T *carry = carries + (tile - tiles.begin) * Carried<T>::numbers(in);
            return BackwardTile<T>(call, b, tile, call.cut.group(unit), tile == tiles.begin, chunk, carry);
        };
        for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) tile_at(tile).start();
        for (int64_t t0 = (in.length - 1) / in.chunk * in.chunk; t0 >= 0; t0 -= in.chunk)
            for (int64_t tile = tiles.begin; tile < tiles.end; ++tile)
                tile_at(tile).chunk(t0, at_most_of(in.chunk, in.length - t0));
        for (int64_t tile = tiles.begin; tile < tiles.end; ++tile)
            tile_at(tile).end(over_batch + tile * tile_size, b == batches.begin);
    }
}

// Adds up the blocks and the groups, in order, and puts dA, dD and ddt_bias where they belong.
template <class T> static int add_up(const BackwardCall<T> &call, T *total) {
    constexpr int W = LANES<T>;
    const ssm_scan_backward &s = call.s;
    const int64_t n = s.in.n, tile_size = (n + 2) * W, steps = s.in.batch * s.in.length;
    const int64_t summed = call.cut.tiles * tile_size;
    int error = add_parts<T>({call.over_batch, call.cut.blocks, summed, summed, total}, s.in.threads);
    for (int64_t tile = 0; tile < call.cut.tiles; ++tile) {
        const T *sums_of_tile = total + tile * tile_size;
        const int lanes = lanes_of<T>(tile, s.in.channels);
        scatter<T>(sums_of_tile, lanes, n, static_cast<T *>(s.dA) + tile * W * n);
        if (s.dD) store(static_cast<T *>(s.dD) + tile * W, load(sums_of_tile + n * W), lanes);
        if (s.ddt_bias) store(static_cast<T *>(s.ddt_bias) + tile * W, load(sums_of_tile + (n + 1) * W), lanes);
    }
    if (call.over_channels) {
        const ChannelSums<T> first = call.sums_of(0);
        const T *parts[] = {first.dB, first.dC, first.dgate, first.dkeep};
        void *totals[] = {s.dB, s.dC, s.dgate, s.dkeep};
        const int64_t sizes[] = {steps * n, steps * n, steps, steps};
        for (int i = 0; i < 4 && !error; ++i)
            if (totals[i])
                error = add_parts<T>({parts[i], call.cut.groups, call.group_size, sizes[i], static_cast<T *>(totals[i])},
                                     s.in.threads);
    }
    return error;
}

template <class T> static int backward(const ssm_scan_backward &s) {
    const ssm_scan &in = s.in;
    const Cut cut = Cut::of(in.batch, in.channels, LANES<T>);
    const int64_t summed = cut.tiles * (in.n + 2) * LANES<T>;
    const int64_t group_size = in.batch * in.length * (2 * in.n + 2);
    ssm_buffer A(tiled_A_bytes<T>(in, cut)), over_batch((cut.blocks + 1) * summed * sizeof(T));
    ssm_buffer over_channels(cut.groups > 1 ? cut.groups * group_size * sizeof(T) : 0);
    if (!A.start || !over_batch.start || !over_channels.start) return SSM_NO_MEMORY;
    tile_A<T>(in, static_cast<T *>(A.start));
    T *blocks = static_cast<T *>(over_batch.start);
    const BackwardCall<T> call = {s, cut, static_cast<const T *>(A.start), blocks,
                                  cut.groups > 1 ? static_cast<T *>(over_channels.start) : nullptr, group_size};
    void *const large[] = {s.dx, s.ddt, s.dz};
    for (void *grad : large) ssm_expect_writes(grad, in.batch * in.length * in.channels * sizeof(T));
    const size_t scratch = (Chunk<T>::numbers(in) + cut.most_tiles() * Carried<T>::numbers(in)) * sizeof(T);
    int error = ssm_for_each(cut.units(), threads_worth(in), backward_unit<T>, &call, scratch);
    return error ? error : add_up<T>(call, blocks + cut.blocks * summed);
}

int scan_gradient(const ssm_scan_backward *s) { return s->in.is_double ? backward<double>(*s) : backward<float>(*s); }

}  // namespace SSM_BUILD
