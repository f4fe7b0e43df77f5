// Every edge for itself: phi_oi(x_bi) and its derivatives, by local support.
#pragma once

#include <cstdint>

#include "basis.hpp"

namespace ew::EW_ISA {

constexpr int kRows = 256;  // rows that are worked on together

// The K functions that are not zero: start (batch, inputs), values (order + 1, batch, inputs, K).
template <class T, int D>
void local_splines(const T* x, const T* knots, std::int64_t* start, T* values, std::int64_t batch, std::int64_t inputs,
                   int knot_count, int order, bool smooth, int threads) {
  constexpr int K = D + 1;
  const std::int64_t blocks = (batch + kRows - 1) / kRows;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Buffer<T> point(kRows), u(kRows), basis((order + 1) * K * kRows);
    Buffer<std::int32_t> cell(kRows);
#pragma omp for schedule(static)
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t row = b * kRows;
      const int n = static_cast<int>(smaller<std::int64_t>(kRows, batch - row));
      for (std::int64_t i = 0; i < inputs; ++i) {
        Grid<T, D> grid(knots + i * knot_count, knot_count, smooth);
        for (int s = 0; s < n; ++s) point[s] = x[(row + s) * inputs + i];
        column(grid, point.get(), n, order, kRows, cell.get(), u.get(), basis.get());
        for (int s = 0; s < n; ++s) start[(row + s) * inputs + i] = cell[s];
        for (int m = 0; m <= order; ++m)
          for (int s = 0; s < n; ++s)
            for (int k = 0; k < K; ++k)
              values[((m * batch + row + s) * inputs + i) * K + k] = basis[(m * K + k) * kRows + s];
      }
    }
  }
}

// result (order + 1, batch, outputs, inputs) from coef (outputs, inputs, basis).
template <class T, int D>
void edges(const T* x, const T* coef, const T* knots, T* result, std::int64_t batch, std::int64_t inputs,
           std::int64_t outputs, int knot_count, int order, bool smooth, int threads) {
  constexpr int K = D + 1;
  const std::int64_t size = knot_count - D - 1;
  const std::int64_t blocks = (batch + kRows - 1) / kRows;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Buffer<T> point(kRows), u(kRows), basis((order + 1) * K * kRows);
    Buffer<std::int32_t> cell(kRows);
#pragma omp for schedule(static)
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t row = b * kRows;
      const int n = static_cast<int>(smaller<std::int64_t>(kRows, batch - row));
      for (std::int64_t i = 0; i < inputs; ++i) {
        Grid<T, D> grid(knots + i * knot_count, knot_count, smooth);
        for (int s = 0; s < n; ++s) point[s] = x[(row + s) * inputs + i];
        column(grid, point.get(), n, order, kRows, cell.get(), u.get(), basis.get());
        for (int m = 0; m <= order; ++m) {
          const T* local = basis.get() + m * K * kRows;
          for (std::int64_t o = 0; o < outputs; ++o) {
            const T* c = coef + (o * inputs + i) * size;
            T* out = result + ((m * batch + row) * outputs + o) * inputs + i;
            for (int s = 0; s < n; ++s) {
              const T* near = c + cell[s];
              T sum = 0;
              for (int k = 0; k < K; ++k) sum += near[k] * local[k * kRows + s];
              out[s * outputs * inputs] = sum;
            }
          }
        }
      }
    }
  }
}

}  // namespace ew::EW_ISA
