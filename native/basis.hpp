// B-splines by their local support: de Boor, "A Practical Guide to Splines" (1978).
//
// Letters as there: knots t, degree D, K = D + 1 functions that are not zero on a cell. Inner cell number c
// is [t_{c+D}, t_{c+D+1}], and the functions c ... c+D are the ones that live on it. Outside the grid every
// function goes on linearly, at once or (a smooth grid) after half a cell.
#pragma once

#include <cstdint>

#include "vec.hpp"

namespace ew::EW_ISA {

constexpr int kMaxOrder = 4;  // the highest derivative

constexpr double binomial(int n, int k) {
  double value = 1;
  for (int j = 1; j <= k; ++j) value = value * (n - k + j) / j;
  return value;
}

constexpr double power(double base, int exponent) {
  double value = 1;
  for (int j = 0; j < exponent; ++j) value *= base;
  return value;
}

// On evenly spaced knots all cells look alike: function j is a polynomial in u, the place in the cell from
// 0 to 1, and c[m][p][j] is the coefficient of u^p of its m-th derivative. All sums are of whole numbers
// below 2^53, so the table is right to the last bit. Such knots are taken as even to the last bit, which
// stored ones are not.
template <int D>
struct Pieces {
  double c[kMaxOrder + 1][D + 1][D + 1];

  constexpr Pieces() : c{} {
    double factorial = 1;
    for (int j = 2; j <= D; ++j) factorial *= j;
    for (int j = 0; j <= D; ++j) {
      for (int p = 0; p <= D; ++p) {
        double sum = 0;
        for (int i = 0; i <= D - j; ++i) {
          double term = binomial(D + 1, i) * power(D - j - i, D - p);
          sum += i % 2 ? -term : term;
        }
        c[0][p][j] = binomial(D, p) * sum / factorial;
      }
      for (int m = 1; m <= kMaxOrder; ++m)
        for (int p = 0; p + m <= D; ++p) c[m][p][j] = (p + 1) * c[m - 1][p + 1][j];
    }
  }
};

template <int D>
inline constexpr Pieces<D> pieces{};

template <class T>
struct Epsilon;
template <>
struct Epsilon<float> {
  static constexpr double value = 1.1920929e-07;
};
template <>
struct Epsilon<double> {
  static constexpr double value = 2.220446049250313e-16;
};

// The knots of one input.
template <class T, int D>
struct Grid {
  const T* t;
  int cells;
  bool uniform, smooth;
  double low, high, per_cell;  // per_cell: cells for each unit of x

  Grid(const T* knots, int count, bool smooth)
      : t(knots), cells(count - 2 * D - 1), uniform(true), smooth(smooth) {
    low = t[D];
    high = t[D + cells];
    per_cell = cells / (high - low);
    double step = (high - low) / cells;
    double reach = larger(t[0] < 0 ? -double(t[0]) : double(t[0]),
                          t[count - 1] < 0 ? -double(t[count - 1]) : double(t[count - 1]));
    double tolerance = 8 * Epsilon<T>::value * reach;
    int uneven = 0;
#pragma omp simd reduction(+ : uneven)
    for (int j = 0; j < count; ++j) {
      double off = t[j] - (low + (j - D) * step);
      uneven += !((off <= tolerance) & (off >= -tolerance));
    }
    uniform = uneven == 0;
  }

  // The inner cell of a point that may lie outside or be NaN.
  inline int cell(T x) const {
    double s = (x - low) * per_cell;
    int c = s > 0 ? (s < cells - 1 ? static_cast<int>(s) : cells - 1) : 0;
    const T* first = t + D;
    if (x < first[c] || !(x < first[c + 1])) {  // uneven knots: bisection
      int below = 0, above = cells;
      while (above - below > 1) {
        int middle = (below + above) / 2;
        if (first[middle] <= x)
          below = middle;
        else
          above = middle;
      }
      c = below;
    }
    return c;
  }
};

// Values and derivatives up to `order` of the K functions on a cell, t[0] <= x < t[1]; result[m * K + j].
template <class T, int D>
inline void pieces_on(const T* t, T x, int order, T* result) {
  constexpr int K = D + 1;
  T level[K][K];
  level[0][0] = 1;
  for (int d = 1; d <= D; ++d) {  // ch. X, eq. 5
    T carry = 0;
    for (int j = 0; j < d; ++j) {
      T right = t[1 + j] - x, left = x - t[1 + j - d];
      T share = level[d - 1][j] / (right + left);
      level[d][j] = carry + share * right;
      carry = share * left;
    }
    level[d][d] = carry;
  }
  for (int j = 0; j < K; ++j) result[j] = level[D][j];
  for (int m = 1; m <= order; ++m) {
    T row[K] = {};
    if (m <= D) {
      for (int j = 0; j <= D - m; ++j) row[j] = level[D - m][j];
      for (int d = D - m + 1; d <= D; ++d) {  // ch. X, eq. 16
        T carry = 0;
        for (int j = 0; j < d; ++j) {
          T share = d * row[j] / (t[1 + j] - t[1 + j - d]);
          row[j] = carry - share;
          carry = share;
        }
        row[d] = carry;
      }
    }
    for (int j = 0; j < K; ++j) result[m * K + j] = x != x ? x : row[j];
  }
}

// The same at a point outside a smooth grid: the second derivative at the end fades over half a cell.
template <class T, int D>
void splines_beyond(const Grid<T, D>& grid, T x, int c, int order, T* result) {
  constexpr int K = D + 1;
  const bool left = x < grid.t[D];
  const T end = left ? grid.t[D] : grid.t[D + grid.cells];
  T at[3 * K];
  pieces_on<T, D>(grid.t + c + D, end, 2, at);
  const double width = 0.5 / grid.per_cell, away = left ? double(end) - x : double(x) - end, side = left ? -1 : 1;
  const double s = away / width, p = s < 1 ? 1 - s : 0;
  const double bend[kMaxOrder + 1] = {width * width * (s / 3 - (1 - p * p * p * p) / 12),
                                      side * width * (1 - p * p * p) / 3, p * p, -side * 2 * p / width,
                                      p > 0 ? 2 / (width * width) : 0};
  for (int j = 0; j < K; ++j) {
    for (int m = 0; m <= order; ++m) result[m * K + j] = static_cast<T>(bend[m]) * at[2 * K + j];
    result[j] += at[j] + (x - end) * at[K + j];
    if (order > 0) result[K + j] += at[K + j];
  }
}

// Values and derivatives up to `order` of the K functions on the cell of x, which may lie outside. There is room for
// the first derivative in any case.
template <class T, int D>
inline void splines_at(const Grid<T, D>& grid, T x, int c, int order, T* result) {
  constexpr int K = D + 1;
  const T* t = grid.t + c + D;
  T low = static_cast<T>(grid.low), high = static_cast<T>(grid.high);
  T inside = x < low ? low : (x > high ? high : x);
  if (grid.smooth && inside != x && x == x) return splines_beyond(grid, x, c, order, result);
  pieces_on<T, D>(t, inside, larger(order, 1), result);
  if (inside == x) return;
  for (int j = 0; j < K; ++j) {
    result[j] += (x - inside) * result[K + j];
    for (int m = 2; m <= order; ++m) result[m * K + j] = x == x ? T(0) : x;
  }
}

// The M-th derivative in u of function j. The first half of the functions is the mirror image of the second,
// which has no cancellation: so no value is below zero.
template <class T, int D, int M, bool flip>
inline T piece(int j, T u) {
  const int i = flip ? D - j : j;
  const T q = flip ? 1 - u : u;
  T value = T(pieces<D>.c[M][D - M][i]);
#pragma GCC unroll 9
  for (int p = D - M - 1; p >= 0; --p) value = value * q + T(pieces<D>.c[M][p][i]);
  return flip && M % 2 ? -value : value;
}

template <class T, int D, int M, bool flip>
inline void piece_at(int j, const T* u, int n, T scale, T* __restrict out) {
#pragma omp simd
  for (int s = 0; s < n; ++s) out[s] = scale * piece<T, D, M, flip>(j, u[s]);
}

template <class T, int D, int M>
inline void pieces_at(const T* u, int n, std::int64_t stride, T scale, T* out) {
  for (int j = 0; j <= D; ++j) {
    if constexpr (M > D) {
      for (int s = 0; s < n; ++s) out[j * stride + s] = u[s] == u[s] ? T(0) : u[s];
    } else if (2 * j < D) {
      piece_at<T, D, M, true>(j, u, n, scale, out + j * stride);
    } else {
      piece_at<T, D, M, false>(j, u, n, scale, out + j * stride);
    }
  }
}

// All n points of one input: their cells, and out[(m * K + j) * stride + s]. `u` is scratch of n numbers.
template <class T, int D>
void column(const Grid<T, D>& grid, const T* x, int n, int order, std::int64_t stride, std::int32_t* cell,
            T* u, T* out) {
  constexpr int K = D + 1;
  if (!grid.uniform) {
    T local[(kMaxOrder + 1) * K];
    for (int s = 0; s < n; ++s) {
      cell[s] = grid.cell(x[s]);
      splines_at(grid, x[s], cell[s], order, local);
      for (int j = 0; j < (order + 1) * K; ++j) out[j * stride + s] = local[j];
    }
    return;
  }
  const double low = grid.low, per_cell = grid.per_cell;
  const int cells = grid.cells;
#pragma omp simd
  for (int s = 0; s < n; ++s) {
    double place = (x[s] - low) * per_cell;
    double held = place < 0 ? 0 : (place > cells ? cells : place);  // NaN stays NaN
    int c = static_cast<int>(held > 0 ? (held < cells - 1 ? held : cells - 1) : 0);
    cell[s] = c;
    u[s] = static_cast<T>(held - c);
  }
  const T *first = grid.t + D, lowest = first[0], highest = first[cells];
  int outside = 0;
#pragma omp simd reduction(+ : outside)
  for (int s = 0; s < n; ++s) {  // a point on a knot belongs to the cell that it begins
    int c = cell[s];
    int step = ((x[s] >= first[c + 1]) & (c + 1 < cells)) - ((x[s] < first[c]) & (c > 0));
    T in_cell = u[s] - step;
    cell[s] = c + step;
    u[s] = in_cell < 0 ? 0 : (in_cell > 1 ? 1 : in_cell);
    outside += (x[s] < lowest) | (x[s] > highest);
  }
  T scale = 1;
  for (int m = 0; m <= order; ++m, scale *= static_cast<T>(per_cell)) {
    T* row = out + m * K * stride;
    switch (m) {
      case 0: pieces_at<T, D, 0>(u, n, stride, scale, row); break;
      case 1: pieces_at<T, D, 1>(u, n, stride, scale, row); break;
      case 2: pieces_at<T, D, 2>(u, n, stride, scale, row); break;
      case 3: pieces_at<T, D, 3>(u, n, stride, scale, row); break;
      default: pieces_at<T, D, 4>(u, n, stride, scale, row); break;
    }
  }
  if (outside == 0) return;
  for (int s = 0; s < n; ++s) {
    if (x[s] >= first[0] && x[s] <= first[cells]) continue;
    if (grid.smooth && x[s] == x[s]) {
      T local[(kMaxOrder + 1) * K];
      splines_beyond(grid, x[s], cell[s], order, local);
      for (int j = 0; j < (order + 1) * K; ++j) out[j * stride + s] = local[j];
      continue;
    }
    T end = x[s] < first[0] ? first[0] : first[cells];
    T beyond = (x[s] - end) * static_cast<T>(per_cell);
    for (int j = 0; j < K; ++j) {
      out[j * stride + s] += beyond * (2 * j < D ? piece<T, D, 1, true>(j, u[s]) : piece<T, D, 1, false>(j, u[s]));
      for (int m = 2; m <= order; ++m)
        out[(m * K + j) * stride + s] = u[s] == u[s] ? T(0) : u[s];
    }
  }
}

}  // namespace ew::EW_ISA
