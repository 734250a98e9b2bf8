// exp2, exp, softplus and the sigmoid on vectors.
//
// The polynomials interpolate at Chebyshev nodes with the constant and the linear term held exact, so exp2(0) is 1 to
// the bit (a closed gate holds the state) and slow decays, close to 1, are right to half a unit in the last place.

#pragma once
#include "vector.h"

namespace SSM_BUILD {

// c[0] + c[1] x + ... + c[COUNT-1] x^(COUNT-1)
template <int COUNT, class T> SSM_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[COUNT]) {
    Vec<T> sum = broadcast<T>(c[COUNT - 1]);
#pragma GCC unroll 16
    for (int i = COUNT - 2; i >= 0; --i) sum = fma(sum, x, broadcast<T>(c[i]));
    return sum;
}

template <class T> struct Constants;
template <> struct Constants<float> {
    // exp2(r) = 1 + ln2 r + r^2 p(r) on |r| < 1/2 (error 1e-8), and on |r| < 1/32 (5e-9)
    static constexpr float EXP2[5] = {2.402265070e-01f, 5.550381014e-02f, 9.618103253e-03f, 1.338130254e-03f,
                                      1.544488395e-04f};
    static constexpr float EXP2_NEAR[2] = {2.402312033e-01f, 5.550475972e-02f};
    // exp(r) = 1 + r + r^2 p(r) on |r| < ln2 / 2 (1e-8)
    static constexpr float EXP[5] = {5.000000000e-01f, 1.666657667e-01f, 4.166655421e-02f, 8.363232884e-03f,
                                     1.392625083e-03f};
    // atanh(r) = r (1 + r^2 p(r^2)) on |r| < 1/3 (4e-10)
    static constexpr float ATANH[5] = {3.333333366e-01f, 1.999985317e-01f, 1.429617900e-01f, 1.085328790e-01f,
                                       1.161216461e-01f};
    static constexpr float LN2_HIGH = 0.693145751953125f, LN2_LOW = 1.428606820e-06f;
    static constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    static constexpr float LOWEST = -126.0f, HIGHEST = 127.0f;
    static constexpr int MANTISSA = 23;
};
template <> struct Constants<double> {
    // The same with errors of 2e-17, 2e-17 and 1e-19.
    static constexpr double EXP2[10] = {2.40226506959100750e-01, 5.55041086648215831e-02, 9.61812910761866528e-03,
                                        1.33335581464232131e-03, 1.54035304247765285e-04, 1.52527338207958027e-05,
                                        1.32154516332214336e-06, 1.01780672674494273e-07, 7.07097786650813825e-09,
                                        4.45410341058703999e-10};
    static constexpr double EXP[10] = {5.00000000000000111e-01, 1.66666666666666685e-01, 4.16666666666238236e-02,
                                       8.33333333333003898e-03, 1.38888889173670814e-03, 1.98412698631715573e-04,
                                       2.48015210578682038e-05, 2.75572682769056960e-06, 2.76202015910315469e-07,
                                       2.51004725056949961e-08};
    static constexpr double ATANH[11] = {3.33333333333333315e-01, 1.99999999999997624e-01, 1.42857142858000496e-01,
                                         1.11111110991183856e-01, 9.09090994898135718e-02, 7.69227198243027516e-02,
                                         6.66758931572462854e-02, 5.86713953065159874e-02, 5.42258919744000728e-02,
                                         3.74607189777538332e-02, 7.81528890046142566e-02};
    static constexpr double LN2_HIGH = 0x1.62e42fefp-1, LN2_LOW = 0x1.473de6af278edp-34;
    static constexpr double ROUND = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double LOWEST = -1022.0, HIGHEST = 1023.0;
    static constexpr int MANTISSA = 52;
};
template <class T> constexpr T LN2 = T(0.693147180559945286);
template <class T> constexpr T LOG2E = T(1.44269504088896339);

// v * 2^n for the n that adding ROUND left in `rounded`.
template <class T> SSM_INLINE Vec<T> scale(Vec<T> v, Vec<T> rounded) {
    using I = typename Vector<T>::I;
    return (Vec<T>)((I)v + ((I)rounded << Constants<T>::MANTISSA));
}

// 2^x, from 0 or the smallest normal number below to the largest above.
template <class T> SSM_INLINE Vec<T> exp2(Vec<T> x) {
    using K = Constants<T>;
    x = at_most<T>(at_least<T>(x, K::LOWEST), K::HIGHEST);
    Vec<T> rounded = x + K::ROUND;
    Vec<T> r = x - (rounded - K::ROUND);
    Vec<T> p = fma(polynomial(r, K::EXP2), r, broadcast<T>(LN2<T>));
    return scale<T>(fma(p, r, broadcast<T>(T(1))), rounded);
}

#if defined(__AVX512F__)
// The exponent to a sixteenth picks 2^(j/16) from a register, a short polynomial does the rest: fewer multiplications,
// which are what bounds the scan.
template <> inline __attribute__((always_inline)) VF exp2<float>(VF x) {
    const VF table = {1.000000000e+00f, 1.044273782e+00f, 1.090507733e+00f, 1.138788635e+00f,
                      1.189207115e+00f, 1.241857812e+00f, 1.296839555e+00f, 1.354255547e+00f,
                      1.414213562e+00f, 1.476826146e+00f, 1.542210825e+00f, 1.610490332e+00f,
                      1.681792831e+00f, 1.756252160e+00f, 1.834008086e+00f, 1.915206561e+00f};
    const float round = Constants<float>::ROUND / 16;
    VF rounded = x + round;
    VF n = rounded - round;
    VF r = x - n;
    VF power = (VF)_mm512_permutexvar_ps((__m512i)rounded, (__m512)table);
    power = (VF)_mm512_scalef_ps((__m512)power, (__m512)n);
    VF p = fma(polynomial(r, Constants<float>::EXP2_NEAR), r, broadcast<float>(LN2<float>));
    return fma(p * r, power, power);
}
#endif

// e^x, its argument reduced in two parts so that a large x loses no accuracy.
template <class T> SSM_INLINE Vec<T> exp(Vec<T> x) {
    using K = Constants<T>;
    x = at_most<T>(at_least<T>(x, K::LOWEST * LN2<T>), K::HIGHEST * LN2<T>);
    Vec<T> rounded = fma_by<T>(x, LOG2E<T>, broadcast<T>(K::ROUND));
    Vec<T> n = rounded - K::ROUND;
    Vec<T> r = fma_by<T>(n, -K::LN2_LOW, fma_by<T>(n, -K::LN2_HIGH, x));
    return scale<T>(fma(polynomial(r, K::EXP) * r, r, r) + T(1), rounded);
}

template <class T> struct Logistic {
    Vec<T> softplus, sigmoid;
};

// log(1 + e^v) and its derivative 1 / (1 + e^-v), without overflow or cancellation on either side.
template <class T> SSM_INLINE Logistic<T> logistic(Vec<T> v) {
    Vec<T> u = exp<T>(v < T(0) ? v : -v);
    Vec<T> r = u / (u + T(2));
    Vec<T> square = r * r;
    Vec<T> log1p = T(2) * fma(polynomial(square, Constants<T>::ATANH) * square, r, r);
    Vec<T> share = broadcast<T>(T(1)) / (u + T(1));
    return {at_least<T>(v, T(0)) + log1p, v < T(0) ? u * share : share};
}

template <class T> SSM_INLINE Vec<T> sigmoid(Vec<T> v) {
    Vec<T> u = exp<T>(v < T(0) ? v : -v);
    Vec<T> share = broadcast<T>(T(1)) / (u + T(1));
    return v < T(0) ? u * share : share;
}

}  // namespace SSM_BUILD
