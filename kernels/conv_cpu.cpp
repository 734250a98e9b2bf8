// The causal convolution with a keep, forward and backward. The window of one tile of channels stays in registers or
// L1 and moves through time; at each step the keep multiplies what it holds, so cuts of a stream change no bit.

#include "exponential.h"
#include "tiles.h"

namespace SSM_BUILD {

template <class T> struct ConvCall {
    const ssm_conv &c;
    const ssm_conv_backward *back;  // null in the forward pass
    Cut cut;
    T *over_batch;     // per block, per tile: W vectors of dweight and one of dbias
    T *over_channels;  // per group: dkeep; null when there is one group
    const T *weight;   // tiled: width vectors a tile

    int64_t window_reads() const { return c.keep ? c.width - 1 : 0; }
};

// One tile of one batch item. The window holds W-1 past inputs, oldest first, and then the new one.
template <class T> struct ConvTile {
    static constexpr int W = LANES<T>;
    const ssm_conv &c;
    const int64_t e, past;
    const int lanes;
    const T *x, *keep;
    const int64_t x_stride;
    T *window;  // width vectors, as has the weight
    const T *weight;
    Vec<T> bias;

    ConvTile(const ConvCall<T> &call, int64_t b, int64_t tile, T *scratch)
        : c(call.c), e(tile * W), past(c.width - 1), lanes(lanes_of<T>(tile, c.channels)),
          x(static_cast<const T *>(c.x) + b * c.x_stride[0] + e),
          keep(c.keep ? static_cast<const T *>(c.keep) + b * c.length : nullptr), x_stride(c.x_stride[1]),
          window(scratch), weight(call.weight + tile * c.width * W),
          bias(c.bias ? load(static_cast<const T *>(c.bias) + e, lanes) : Vec<T>{}) {
        const T *before = static_cast<const T *>(c.initial_state);
        for (int64_t j = 0; j < past; ++j)
            store(window + j * W, before ? load(before + (b * past + j) * c.channels + e, lanes) : Vec<T>{});
    }

    // Lets step t in; returns the filter's output before the activation. `seen`, if any, receives the past before the
    // keep is applied.
    Vec<T> step(int64_t t, T *seen) const {
        if (keep) {
            for (int64_t j = 0; j < past && seen; ++j) store(seen + j * W, load(window + j * W));
            if (keep[t] != T(1))
                for (int64_t j = 0; j < past; ++j) store(window + j * W, load(window + j * W) * keep[t]);
        }
        const Vec<T> now = load(x + t * x_stride, lanes);
        Vec<T> y = fma(now, load(weight + past * W), bias);
        for (int64_t j = 0; j < past; ++j) y = fma(load(window + j * W), load(weight + j * W), y);
        for (int64_t j = 0; j + 1 < past; ++j) store(window + j * W, load(window + (j + 1) * W));
        if (past) store(window + (past - 1) * W, now);
        return y;
    }
};

template <class T> static void conv_forward_unit(const void *context, int64_t unit, void *scratch) {
    const ConvCall<T> &call = *static_cast<const ConvCall<T> *>(context);
    const ssm_conv &c = call.c;
    const Range batches = call.cut.batches(unit), tiles = call.cut.tiles_of(unit);
    for (int64_t b = batches.begin; b < batches.end; ++b)
        for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
            const ConvTile<T> here(call, b, tile, static_cast<T *>(scratch));
            T *y = static_cast<T *>(c.y) + b * c.length * c.channels + here.e;
            for (int64_t t = 0; t < c.length; ++t) {
                const Vec<T> out = here.step(t, nullptr);
                store(y + t * c.channels, c.silu ? out * sigmoid<T>(out) : out, here.lanes);
            }
            T *last = static_cast<T *>(c.final_state) + b * here.past * c.channels + here.e;
            for (int64_t j = 0; j < here.past; ++j)
                store(last + j * c.channels, load(here.window + j * LANES<T>), here.lanes);
        }
}

// Steps whose share of the sums over time is added up before it joins the rest: short sums first, for accuracy.
constexpr int64_t SHORT = 64;

// Scratch: window, adjoint, used (width each), the sums of a few steps and what adding them rounds off
// (width + 1 each), then per step the gradient before the activation and the past seen.
template <class T>
static void conv_backward_tile(const ConvCall<T> &call, int64_t b, int64_t tile, bool first_item, T *dkeep,
                               bool first_tile, T *over_batch, T *scratch) {
    constexpr int W = LANES<T>;
    const ssm_conv &c = call.c;
    const ssm_conv_backward &s = *call.back;
    const ConvTile<T> here(call, b, tile, scratch);
    const int64_t past = here.past, seen_size = call.window_reads() * W;
    const int64_t summed = (c.width + 1) * W;
    T *adjoint = scratch + c.width * W, *used = adjoint + c.width * W, *shares = used + c.width * W;
    T *lost = shares + summed, *grads = lost + summed, *seen = grads + c.length * W;
    for (int64_t i = 0; i < summed; ++i) shares[i] = lost[i] = T(0);
    if (first_item)
        for (int64_t i = 0; i < summed; ++i) over_batch[i] = T(0);

    const T *grad_y = static_cast<const T *>(s.grad_y) + b * s.grad_y_stride[0] + here.e;
    for (int64_t t = 0; t < c.length; ++t) {
        // step() shifts the window, so the past that it used is kept aside to weigh it with the gradient.
        const T keep = here.keep ? here.keep[t] : T(1);
        for (int64_t j = 0; j < past; ++j) store(used + j * W, load(here.window + j * W) * keep);
        const Vec<T> out = here.step(t, seen + t * seen_size);
        Vec<T> grad = load(grad_y + t * s.grad_y_stride[1], here.lanes);
        if (c.silu) {
            const Vec<T> share = sigmoid<T>(out);
            grad *= share * fma(out, broadcast<T>(T(1)) - share, broadcast<T>(T(1)));
        }
        store(grads + t * W, grad);
        store(used + past * W, load(here.x + t * here.x_stride, here.lanes));
        for (int64_t j = 0; j <= past; ++j) store(shares + j * W, fma(grad, load(used + j * W), load(shares + j * W)));
        store(shares + c.width * W, load(shares + c.width * W) + grad);
        if ((t + 1) % SHORT == 0 || t + 1 == c.length)
            for (int64_t i = 0; i < summed; i += W) {
                add_exactly<T>(over_batch + i, lost + i, load(shares + i));
                store(shares + i, Vec<T>{});
            }
    }

    // adjoint[j] is the gradient of place j of the window once step t has left it; place 0 leaves with the next step.
    const T *grad_final = static_cast<const T *>(s.grad_final) + b * past * c.channels + here.e;
    for (int64_t j = 0; j < past; ++j) store(adjoint + j * W, load(grad_final + j * c.channels, here.lanes));
    T *dx = static_cast<T *>(s.dx) + b * c.length * c.channels + here.e;
    for (int64_t t = c.length - 1; t >= 0; --t) {
        const Vec<T> grad = load(grads + t * W);
        Vec<T> newest = grad * load(here.weight + past * W);
        if (past) newest += load(adjoint + (past - 1) * W);
        store(dx + t * c.channels, newest, here.lanes);
        Vec<T> from_keep = {};
        for (int64_t j = past - 1; j >= 0; --j) {
            Vec<T> place = grad * load(here.weight + j * W);
            if (j > 0) place += load(adjoint + (j - 1) * W);
            if (here.keep) {
                from_keep = fma(place, load(seen + t * seen_size + j * W), from_keep);
                place *= here.keep[t];
            }
            store(adjoint + j * W, place);
        }
        if (dkeep) {
            const T total = sums<1, T>(&from_keep)[0];
            dkeep[t] = first_tile ? total : dkeep[t] + total;
        }
    }
    T *dinitial = static_cast<T *>(s.dinitial_state);
    for (int64_t j = 0; j < past && dinitial; ++j)
        store(dinitial + (b * past + j) * c.channels + here.e, load(adjoint + j * W), here.lanes);
}

template <class T> static void conv_backward_unit(const void *context, int64_t unit, void *scratch) {
    const ConvCall<T> &call = *static_cast<const ConvCall<T> *>(context);
    const ssm_conv &c = call.c;
    const Range batches = call.cut.batches(unit), tiles = call.cut.tiles_of(unit);
    const int64_t tile_size = (c.width + 1) * LANES<T>;
    T *over_batch = call.over_batch + call.cut.block(unit) * call.cut.tiles * tile_size;
    T *dkeep = static_cast<T *>(call.back->dkeep);
    if (dkeep && call.over_channels) dkeep = call.over_channels + call.cut.group(unit) * c.batch * c.length;
    for (int64_t b = batches.begin; b < batches.end; ++b)
        for (int64_t tile = tiles.begin; tile < tiles.end; ++tile)
            conv_backward_tile<T>(call, b, tile, b == batches.begin, dkeep ? dkeep + b * c.length : nullptr,
                                  tile == tiles.begin, over_batch + tile * tile_size, static_cast<T *>(scratch));
}

SSM_INLINE int64_t conv_threads(const ssm_conv &c) {
    return c.batch * c.length * c.channels * c.width < WORTH_A_THREAD ? 1 : c.threads;
}

template <class T> static void tile_weight(const ssm_conv &c, const Cut &cut, T *tiled) {
    const T *weight = static_cast<const T *>(c.weight);
    for (int64_t tile = 0; tile < cut.tiles; ++tile, tiled += c.width * LANES<T>)
        gather<T>(weight + tile * LANES<T> * c.width, lanes_of<T>(tile, c.channels), c.width, tiled);
}

template <class T> static int conv_forward_of(const ssm_conv &c) {
    const Cut cut = Cut::of(c.batch, c.channels, LANES<T>);
    const size_t window = c.width * LANES<T> * sizeof(T);
    ssm_buffer weight(cut.tiles * window);
    if (!weight.start) return SSM_NO_MEMORY;
    T *tiled = static_cast<T *>(weight.start);
    tile_weight<T>(c, cut, tiled);
    const ConvCall<T> call = {c, nullptr, cut, nullptr, nullptr, tiled};
    return ssm_for_each(cut.units(), conv_threads(c), conv_forward_unit<T>, &call, window);
}

template <class T> static int conv_backward_of(const ssm_conv_backward &s) {
    constexpr int W = LANES<T>;
    const ssm_conv &c = s.in;
    const Cut cut = Cut::of(c.batch, c.channels, W);
    const int64_t tile_size = (c.width + 1) * W, summed = cut.tiles * tile_size, steps = c.batch * c.length;
    ssm_buffer over_batch((cut.blocks + 1) * summed * sizeof(T));
    ssm_buffer over_channels(cut.groups > 1 && s.dkeep ? cut.groups * steps * sizeof(T) : 0);
    ssm_buffer weight(cut.tiles * c.width * W * sizeof(T));
    if (!over_batch.start || !over_channels.start || !weight.start) return SSM_NO_MEMORY;
    T *tiled = static_cast<T *>(weight.start);
    tile_weight<T>(c, cut, tiled);
    T *blocks = static_cast<T *>(over_batch.start), *total = blocks + cut.blocks * summed;
    T *groups = cut.groups > 1 ? static_cast<T *>(over_channels.start) : nullptr;
    const ConvCall<T> call = {c, &s, cut, blocks, groups, tiled};
    const size_t scratch = (5 * c.width + 2 + c.length * (1 + call.window_reads())) * W * sizeof(T);
    int error = ssm_for_each(cut.units(), conv_threads(c), conv_backward_unit<T>, &call, scratch);
    if (!error) error = add_parts<T>({blocks, cut.blocks, summed, summed, total}, c.threads);
    if (!error && groups && s.dkeep)
        error = add_parts<T>({groups, cut.groups, steps, steps, static_cast<T *>(s.dkeep)}, c.threads);
    for (int64_t tile = 0; tile < cut.tiles; ++tile) {
        const int lanes = lanes_of<T>(tile, c.channels);
        scatter<T>(total + tile * tile_size, lanes, c.width, static_cast<T *>(s.dweight) + tile * W * c.width);
        if (s.dbias) store(static_cast<T *>(s.dbias) + tile * W, load(total + tile * tile_size + c.width * W), lanes);
    }
    return error;
}

int conv_forward(const ssm_conv *c) { return c->is_double ? conv_forward_of<double>(*c) : conv_forward_of<float>(*c); }

int conv_gradient(const ssm_conv_backward *s) {
    return s->in.is_double ? conv_backward_of<double>(*s) : conv_backward_of<float>(*s);
}

}  // namespace SSM_BUILD
