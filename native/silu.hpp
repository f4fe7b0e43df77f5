// The base function silu(x) = x s(x), s(x) = 1 / (1 + e^-x), and its slope s (1 + x (1 - s)).
#pragma once

#include <cstdint>

#include "vec.hpp"

namespace ew::EW_ISA {

template <class T>
struct Exp;
template <>
struct Exp<float> {
  typedef std::uint32_t Bits;
  static constexpr int terms = 7, mantissa = 23, bias = 127;
  static constexpr float lowest = -104, log2_e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float round = 12582912;  // 1.5 * 2^23: adding it rounds to a whole number
};
template <>
struct Exp<double> {
  typedef std::uint64_t Bits;
  static constexpr int terms = 13, mantissa = 52, bias = 1023;
  static constexpr double lowest = -746, log2_e = 1.4426950408889634, ln2_high = 6.93147180369123816490e-01,
                          ln2_low = 1.90821492927058770002e-10;
  static constexpr double round = 6755399441055744;
};

template <class T>
struct Taylor {
  T c[Exp<T>::terms + 1];

  constexpr Taylor() : c{} {
    double factorial = 1;
    for (int j = 0; j <= Exp<T>::terms; factorial *= ++j) c[j] = T(1 / factorial);
  }
};

template <class T>
inline constexpr Taylor<T> taylor{};

// e^a for a <= 0 (NaN gives 0): 2^n e^r with |r| <= ln(2) / 2, where Taylor's series ends early. ln(2) comes in
// two parts, the first so short that n times it is exact. 2^n is multiplied in two halves: it may be below the
// smallest normal number.
template <class T>
inline typename Vec<T>::type exp_below_zero(typename Vec<T>::type a) {
  typedef Exp<T> E;
  typedef typename E::Bits Bits __attribute__((vector_size(EW_VECTOR_BYTES)));
  typedef typename Vec<T>::type V;
  a = a > E::lowest ? a : Vec<T>::splat(E::lowest);
  const V rounded = a * E::log2_e + E::round;
  const V n = rounded - E::round;
  const V r = a - n * E::ln2_high - n * E::ln2_low;
  V sum = Vec<T>::splat(taylor<T>.c[E::terms]);
#pragma GCC unroll 16
  for (int j = E::terms - 1; j >= 0; --j) sum = sum * r + taylor<T>.c[j];
  // The last bits of `rounded` are n, as those of `round` are 0. Both halves of n + 2 bias are positive.
  const Bits shifted = reinterpret_cast<Bits>(rounded) - reinterpret_cast<Bits>(Vec<T>::splat(E::round)) + 2 * E::bias;
  const Bits half = shifted >> 1;
  return sum * reinterpret_cast<V>(half << E::mantissa) * reinterpret_cast<V>((shifted - half) << E::mantissa);
}

// Whole vectors of points, so up to a vector's width after the n-th.
template <class T, bool slope>
inline void silu_at(const T* x, int n, T* value, T* slopes) {
  typedef Vec<T> V;
  for (int s = 0; s < n; s += V::width) {
    const typename V::type at = V::load(x + s);
    const auto positive = at > T(0);
    const typename V::type e = exp_below_zero<T>(positive ? -at : at);
    const typename V::type large = T(1) / (T(1) + e), small = e * large;  // s(|x|) and 1 - s(|x|), neither cancels
    const typename V::type sigmoid = positive ? large : small;
    V::store(value + s, at * sigmoid);
    if constexpr (slope) V::store(slopes + s, sigmoid * (T(1) + at * (positive ? small : large)));
  }
}

}  // namespace ew::EW_ISA
