// The Gauss-Newton sums J^T J and J^T r by local support, without J; and J itself, for coarse grids.
//
// A column of the Jacobian is d_o B_b(x_i): the derivative of the output in sum o times a function of input
// i. So the block of H that belongs to two edges is a sum over samples of K x K numbers, at the place where
// the two samples' cells meet, weighted with the product of the two signals. Each pair of edges has a block
// of its own: threads share nothing, and the sums do not depend on their number.
#pragma once

#include <cstdint>

#include "kernels.hpp"
#include "vec.hpp"

namespace ew::EW_ISA {

constexpr int kLanes = 4;  // the values of a node are filled up with zeros to whole groups of so many

// Rows that are summed up before they are added to H: many for a fine grid, whose block of H is large.
inline int samples_for(std::int64_t size1, std::int64_t size2) {
  return static_cast<int>(larger<std::int64_t>(4096, smaller<std::int64_t>(65536, 2 * size1 * size2)));
}

// A chunk of samples, node by node and sum by sum, in float64.
template <class T>
class Chunk {
 public:
  Chunk(const Columns<T>& of, int samples)
      : of_(of),
        samples_(samples),
        support_((of.support + kLanes - 1) / kLanes * kLanes),
        start_(of.nodes * samples),
        values_(of.nodes * samples * support_),
        signal_(of.sums * of.rows * samples) {}

  void read(std::int64_t row, int n) {
    for (std::int64_t node = 0; node < of_.nodes; ++node) {
      std::int32_t* start = start_.get() + node * samples_;
      double* values = values_.get() + node * samples_ * support_;
      for (int s = 0; s < n; ++s) {
        start[s] = static_cast<std::int32_t>(of_.start[(row + s) * of_.nodes + node]);
        const T* from = of_.values + ((row + s) * of_.nodes + node) * of_.support;
        for (int k = 0; k < support_; ++k) values[s * support_ + k] = k < of_.support ? from[k] : T(0);
      }
    }
    for (std::int64_t r = 0; r < of_.rows; ++r)
      for (std::int64_t o = 0; o < of_.sums; ++o)
        for (int s = 0; s < n; ++s)
          signal_[(o * of_.rows + r) * samples_ + s] = of_.signal[((row + s) * of_.rows + r) * of_.sums + o];
  }

  int support() const { return support_; }
  const std::int32_t* start(std::int64_t edge) const { return start_.get() + node(edge) * samples_; }
  const double* values(std::int64_t edge) const { return values_.get() + node(edge) * samples_ * support_; }
  const double* signal(std::int64_t edge) const { return signal_.get() + of_.edges[2 * edge] * of_.rows * samples_; }

 private:
  std::int64_t node(std::int64_t edge) const { return of_.edges[2 * edge + 1]; }

  Columns<T> of_;
  std::int64_t samples_;
  int support_;
  Buffer<std::int32_t> start_;
  Buffer<double> values_, signal_;
};

// One side of a block: the values of an edge's node.
struct Side {
  const std::int32_t* start;
  const double* values;
  int support;  // with the zeros
};

// Add the products of n samples to a block of `width` columns: K rows of Q groups of lanes for each sample.
// The zeros at the end of a row fall on the row below it, or behind the block.
template <int K, int Q>
inline void meet(const Side& left, const Side& right, int rows, const double* weight, int n, double* block,
                 std::int64_t width) {
  typedef double Lanes __attribute__((vector_size(8 * kLanes), aligned(8), may_alias));
  const int count = K ? K : rows, groups = Q ? Q : right.support / kLanes;
  for (int s = 0; s < n; ++s) {
    double* at = block + left.start[s] * width + right.start[s];
    const double *a = left.values + s * left.support, *b = right.values + s * right.support;
    for (int k = 0; k < count; ++k)
      for (int q = 0; q < groups; ++q) {
        Lanes* to = reinterpret_cast<Lanes*>(at + k * width + q * kLanes);
        *to += (weight[s] * a[k]) * *reinterpret_cast<const Lanes*>(b + q * kLanes);
      }
  }
}

// Add J1^T J2 to H, whose rows are `pitch` numbers apart. Where both are the same, only pairs with the first
// edge not after the second are summed: the upper triangle.
template <class T>
void gram(const Columns<T>& first, const Columns<T>& second, bool same, double* H, std::int64_t pitch, std::int64_t batch,
          int threads) {
  const int samples = static_cast<int>(smaller<std::int64_t>(samples_for(first.size, second.size), larger<std::int64_t>(batch, 1)));
  Chunk<T> left(first, samples), own(second, same ? 0 : samples);
  const Chunk<T>& right = same ? left : own;
  const std::int64_t pairs = first.count * second.count, width = second.size, entries = first.size * width;
  for (std::int64_t row = 0; row < batch; row += samples) {
    const int n = static_cast<int>(smaller<std::int64_t>(samples, batch - row));
    left.read(row, n);
    if (!same) own.read(row, n);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
      Buffer<double> block(entries + 4 * kLanes), weight(samples);
#pragma omp for schedule(dynamic)
      for (std::int64_t pair = 0; pair < pairs; ++pair) {
        const std::int64_t e1 = pair / second.count, e2 = pair % second.count;
        if (same && e1 > e2) continue;
        const double *d1 = left.signal(e1), *d2 = right.signal(e2);
        for (int s = 0; s < n; ++s) weight[s] = d1[s] * d2[s];
        for (std::int64_t r = 1; r < first.rows; ++r)
          for (int s = 0; s < n; ++s) weight[s] += d1[r * samples + s] * d2[r * samples + s];
        for (std::int64_t j = 0; j < entries + 4 * kLanes; ++j) block[j] = 0;
        const Side a{left.start(e1), left.values(e1), left.support()};
        const Side b{right.start(e2), right.values(e2), right.support()};
        const int rows = static_cast<int>(first.support);
        if (rows == 4 && b.support == 4)
          meet<4, 1>(a, b, rows, weight.get(), n, block.get(), width);
        else if (rows == 6 && b.support == 8)
          meet<6, 2>(a, b, rows, weight.get(), n, block.get(), width);
        else if (rows == 8 && b.support == 8)
          meet<8, 2>(a, b, rows, weight.get(), n, block.get(), width);
        else
          meet<0, 0>(a, b, rows, weight.get(), n, block.get(), width);
        double* out = H + e1 * first.size * pitch + e2 * width;
        for (std::int64_t j = 0; j < first.size; ++j)
          for (std::int64_t k = 0; k < width; ++k) out[j * pitch + k] += block[j * width + k];
      }
    }
  }
}

// Write J out, zeros included: rows of numbers that are `pitch` apart.
template <class T>
void write(const Columns<T>& of, double* J, std::int64_t pitch, std::int64_t batch, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (std::int64_t row = 0; row < batch * of.rows; ++row) {
    const std::int64_t sample = row / of.rows;
    const T* signal = of.signal + row * of.sums;
    double* out = J + row * pitch;
    for (std::int64_t e = 0; e < of.count; ++e, out += of.size) {
      const std::int64_t at = sample * of.nodes + of.edges[2 * e + 1];
      const double d = signal[of.edges[2 * e]];
      for (std::int64_t k = 0; k < of.size; ++k) out[k] = 0;
      for (std::int64_t k = 0; k < of.support; ++k) out[of.start[at] + k] = d * of.values[at * of.support + k];
    }
  }
}

// Add J^T 1 to g, (edges, size): the signal holds one row, the derivative of the loss.
template <class T>
void pull(const Columns<T>& of, double* g, std::int64_t batch, int threads) {
  const int samples = static_cast<int>(smaller<std::int64_t>(4096, larger<std::int64_t>(batch, 1)));
  Chunk<T> chunk(of, samples);
  for (std::int64_t row = 0; row < batch; row += samples) {
    const int n = static_cast<int>(smaller<std::int64_t>(samples, batch - row));
    chunk.read(row, n);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (std::int64_t edge = 0; edge < of.count; ++edge) {
      const std::int32_t* start = chunk.start(edge);
      const double *values = chunk.values(edge), *signal = chunk.signal(edge);
      double* out = g + edge * of.size;
      for (int s = 0; s < n; ++s)
        for (int k = 0; k < of.support; ++k) out[start[s] + k] += signal[s] * values[s * chunk.support() + k];
    }
  }
}

}  // namespace ew::EW_ISA
