// The fused layer y_bo = sum_i (w_oi silu(x_bi) + sum_k c_oik B_k(x_bi)), with or without w, and its gradients.
//
// The samples of a block are sorted by cell, one input after the other: on a cell the K rows of coefficients
// stay in registers while its samples pass by. So the cost of a sample does not depend on the grid, and no
// (batch, inputs, basis) tensor exists. Coefficients are (inputs, basis, outputs) and base weights (inputs, outputs);
// `pitch` is the number of outputs, whole vectors of them.
#pragma once

#include <cstdint>

#include "basis.hpp"
#include "kernels.hpp"
#include "silu.hpp"

namespace ew::EW_ISA {

constexpr int kBlock = 1024;  // rows of a block: outputs of 64 float32 numbers each fill 256 kB
constexpr int kPitch = kBlock + 16;  // from column to column: at 4096 bytes all would share one set of the cache
constexpr std::int64_t kCached = 1 << 23;  // bytes: more than this does not stay in the caches
constexpr int kTile = 16;     // inputs whose columns are copied out of x together: a cache line of float32

// How many vectors of outputs the registers hold beside K rows of weights.
template <int K>
constexpr int most_vectors() {
  int registers = EW_VECTOR_BYTES == 64 ? 28 : 12;
  return K * 4 <= registers ? 4 : (K * 2 <= registers ? 2 : 1);
}

// The samples of a block in groups that share a cell, in the order of the cells.
class Groups {
 public:
  explicit Groups(int cells)
      : end_(kStreams * smaller(cells, 2 * kBlock)),
        rows_(kBlock),
        cell_(kBlock + 1),
        first_(kBlock + 1),
        cells_(cells) {}

  void sort(const std::int32_t* cell, int n) {
    count_ = 0;
    sorted_ = cells_ <= 2 * n;
    if (!sorted_) {  // hardly two samples share a cell: sorting brings nothing
      for (; count_ < n; ++count_) cell_[count_] = cell[count_], first_[count_] = rows_[count_] = count_;
      first_[count_] = n;
      return;
    }
    // Two counts of each cell, for even and odd samples: an addition does not wait for the one before.
    for (int j = 0; j < kStreams * cells_; ++j) end_[j] = 0;
    int s = 0;
    for (; s + kStreams <= n; s += kStreams)
      for (int q = 0; q < kStreams; ++q) ++end_[q * cells_ + cell[s + q]];
    for (; s < n; ++s) ++end_[cell[s]];
    std::int32_t total = 0;
    for (int c = 0; c < cells_; ++c) {
      cell_[count_] = c, first_[count_] = total;
      const std::int32_t before = total;
      for (int q = 0; q < kStreams; ++q) {
        const std::int32_t here = end_[q * cells_ + c];
        end_[q * cells_ + c] = total;
        total += here;
      }
      count_ += total > before;
    }
    first_[count_] = n;
    for (s = 0; s + kStreams <= n; s += kStreams)
      for (int q = 0; q < kStreams; ++q) rows_[end_[q * cells_ + cell[s + q]]++] = s + q;
    for (; s < n; ++s) rows_[end_[cell[s]]++] = s;
  }

  bool sorted() const { return sorted_; }
  int count() const { return count_; }
  int cell(int group) const { return cell_[group]; }
  const std::int32_t* begin(int group) const { return rows_.get() + first_[group]; }
  const std::int32_t* end(int group) const { return rows_.get() + first_[group + 1]; }

 private:
  static constexpr int kStreams = 2;
  Buffer<std::int32_t> end_, rows_, cell_, first_;
  int cells_, count_ = 0;
  bool sorted_ = true;
};

// K rows of NV vectors that move from cell to cell: a row is read once where cells follow each other.
template <class T, int K, int NV>
struct Window {
  typedef Vec<T> V;
  typename V::type row[K][NV] = {};

  inline void load(const T* from, std::int64_t pitch) {
    for (int k = 0; k < K; ++k) load(k, from + k * pitch);
  }
  inline void load(int k, const T* from) {
    for (int v = 0; v < NV; ++v) row[k][v] = V::load(from + v * V::width);
  }
  inline void store(int k, T* to) const {
    for (int v = 0; v < NV; ++v) V::store(to + v * V::width, row[k][v]);
  }
  inline void store(T* to, std::int64_t pitch) const {
    for (int k = 0; k < K; ++k) store(k, to + k * pitch);
  }
  inline void stream(int k, T* to) const {
    for (int v = 0; v < NV; ++v) V::stream(to + v * V::width, row[k][v]);
  }
  inline void shift() {
    for (int k = 0; k + 1 < K; ++k)
      for (int v = 0; v < NV; ++v) row[k][v] = row[k + 1][v];
  }
  // Go from one cell to another, whose rows begin at `from + cell * pitch`.
  inline void move(int at, int cell, const T* from, std::int64_t pitch) {
    if (at < 0 || cell < at || cell >= at + K) {
      load(from + cell * pitch, pitch);
      return;
    }
    for (; at < cell; ++at) {
      shift();
      load(K - 1, from + (at + K) * pitch);
    }
  }
};

// Coefficients of fine grids do not stay in the cache: while a cell is worked on, fetch what the next input
// has at its place.
template <bool write, class T, int NV>
inline void fetch(const T* row) {
  for (int v = 0; v < NV; v += 64 / EW_VECTOR_BYTES) __builtin_prefetch(row + v * Vec<T>::width, write, 2);
}

// What the functions of one input are at the samples of a block: K rows for the splines, and the base function.
template <class T>
struct Local {
  const T *values, *slopes, *base, *base_slope;
};

// The row of base weights, which belongs to all cells; nothing without a base.
template <class T, int NV, bool based>
struct BaseRow {
  typename Vec<T>::type row[NV] = {};

  explicit BaseRow(const T* from) {
    if (from != nullptr)
      for (int v = 0; v < NV; ++v) row[v] = Vec<T>::load(from + v * Vec<T>::width);
  }
  inline void store(T* to) const {
    for (int v = 0; v < NV; ++v) Vec<T>::store(to + v * Vec<T>::width, row[v]);
  }
};
template <class T, int NV>
struct BaseRow<T, NV, false> {
  explicit BaseRow(const T*) {}
  inline void store(T*) const {}
};

template <class T, int K, int NV, bool based>
inline void forward_strip(const T* c, const T* w, std::int64_t pitch, std::int64_t size, const Groups& groups,
                          const Local<T>& local, T* y) {
  typedef Vec<T> V;
  Window<T, K, NV> coef;
  const BaseRow<T, NV, based> base(w);
  for (int group = 0, at = -1; group < groups.count(); ++group) {
    const int cell = groups.cell(group);
    coef.move(at, cell, c, pitch);
    at = cell;
    fetch<false, T, NV>(c + (cell + size) * pitch);
    for (const std::int32_t *s = groups.begin(group), *end = groups.end(group); s < end; ++s) {
      T* row = y + *s * pitch;
      typename V::type sum[NV];
      for (int v = 0; v < NV; ++v) sum[v] = V::load(row + v * V::width);
      for (int k = 0; k < K; ++k) {
        typename V::type b = V::splat(local.values[k * kPitch + *s]);
        for (int v = 0; v < NV; ++v) sum[v] += b * coef.row[k][v];
      }
      if constexpr (based) {
        typename V::type b = V::splat(local.base[*s]);
        for (int v = 0; v < NV; ++v) sum[v] += b * base.row[v];
      }
      for (int v = 0; v < NV; ++v) V::store(row + v * V::width, sum[v]);
    }
  }
}

template <class T, int K, int NV, bool based>
inline void add_signals(Window<T, K, NV>& sum, BaseRow<T, NV, based>& base, const Groups& groups, int group,
                        std::int64_t pitch, const Local<T>& local, const T* g) {
  typedef Vec<T> V;
  for (const std::int32_t *s = groups.begin(group), *end = groups.end(group); s < end; ++s) {
    const T* row = g + *s * pitch;
    typename V::type signal[NV];
    for (int v = 0; v < NV; ++v) signal[v] = V::load(row + v * V::width);
    for (int k = 0; k < K; ++k) {
      typename V::type b = V::splat(local.values[k * kPitch + *s]);
      for (int v = 0; v < NV; ++v) sum.row[k][v] += b * signal[v];
    }
    if constexpr (based) {
      typename V::type b = V::splat(local.base[*s]);
      for (int v = 0; v < NV; ++v) base.row[v] += b * signal[v];
    }
  }
}

// Write the rows of sorted samples, whatever was there before: each row is written once, and none is read.
template <class T, int K, int NV, bool based>
inline void write_grad_coef(T* c, T* w, std::int64_t pitch, std::int64_t size, const Groups& groups, bool stream,
                            const Local<T>& local, const T* g) {
  typedef Vec<T> V;
  Window<T, K, NV> sum;
  BaseRow<T, NV, based> base(nullptr);
  std::int64_t at = 0;
  auto leave = [&](std::int64_t until) {
    for (; at < until; ++at) {
      if (stream)
        sum.stream(0, c + at * pitch);
      else
        sum.store(0, c + at * pitch);
      sum.shift();
      for (int v = 0; v < NV; ++v) sum.row[K - 1][v] = V::splat(0);
    }
  };
  for (int group = 0; group < groups.count(); ++group) {
    leave(groups.cell(group));
    add_signals(sum, base, groups, group, pitch, local, g);
  }
  leave(size);
  base.store(w);
}

template <class T, int K, int NV, bool based>
inline void add_grad_coef(T* c, T* w, std::int64_t pitch, std::int64_t size, const Groups& groups,
                          const Local<T>& local, const T* g) {
  Window<T, K, NV> sum;
  BaseRow<T, NV, based> base(w);
  int at = -1;
  for (int group = 0; group < groups.count(); ++group) {
    const int cell = groups.cell(group);
    if (at >= 0) {  // what leaves the window is done
      if (cell < at || cell >= at + K)
        sum.store(c + at * pitch, pitch);
      else
        for (int k = 0; k < cell - at; ++k) sum.store(k, c + (at + k) * pitch);
    }
    sum.move(at, cell, c, pitch);
    at = cell;
    fetch<true, T, NV>(c + (cell + size) * pitch);
    add_signals(sum, base, groups, group, pitch, local, g);
  }
  if (at >= 0) sum.store(c + at * pitch, pitch);
  base.store(w);
}

// The sums over a vector's lanes are left for later: `totals` has a vector for each sample until they are
// as many as a vector has lanes.
template <class T, int K, int NV, bool based>
inline void grad_x_strip(const T* c, const T* w, std::int64_t pitch, std::int64_t size, const Groups& groups,
                         const Local<T>& local, const T* g, T* totals, T* grad_x) {
  typedef Vec<T> V;
  Window<T, K, NV> coef;
  const BaseRow<T, NV, based> base(w);
  const std::int32_t *summed = groups.begin(0), *last = groups.end(groups.count() - 1);
  int waiting = 0;
  auto sum_up = [&](int many) {
    const typename V::type sum = sums<T>(totals);
    for (int j = 0; j < many; ++j) grad_x[summed[j]] += sum[j];
    summed += many;
    waiting = 0;
  };
  for (int group = 0, at = -1; group < groups.count(); ++group) {
    const int cell = groups.cell(group);
    coef.move(at, cell, c, pitch);
    at = cell;
    fetch<false, T, NV>(c + (cell + size) * pitch);
    for (const std::int32_t *s = groups.begin(group), *end = groups.end(group); s < end; ++s) {
      const T* row = g + *s * pitch;
      typename V::type b[K], total = V::splat(0), bend = V::splat(0);
      for (int k = 0; k < K; ++k) b[k] = V::splat(local.slopes[k * kPitch + *s]);
      if constexpr (based) bend = V::splat(local.base_slope[*s]);
      for (int v = 0; v < NV; ++v) {
        typename V::type slope = b[0] * coef.row[0][v];
        for (int k = 1; k < K; ++k) slope += b[k] * coef.row[k][v];
        if constexpr (based) slope += bend * base.row[v];
        total += slope * V::load(row + v * V::width);
      }
      V::store(totals + waiting * V::width, total);
      if (++waiting == V::width) sum_up(V::width);
    }
  }
  sum_up(static_cast<int>(last - summed));
}

template <int N>
struct Count {
  static constexpr int value = N;
};

// Split `outputs` (a multiple of the vector width) into strips of 4, 2 and 1 vectors, for K rows of weights.
template <class T, int K, class F>
inline void each_strip(std::int64_t outputs, F strip) {
  constexpr int W = Vec<T>::width;
  std::int64_t o = 0;
  if constexpr (most_vectors<K>() >= 4)
    for (; o + 4 * W <= outputs; o += 4 * W) strip(Count<4>(), o);
  if constexpr (most_vectors<K>() >= 2)
    for (; o + 2 * W <= outputs; o += 2 * W) strip(Count<2>(), o);
  for (; o < outputs; o += W) strip(Count<1>(), o);
}

template <class T>
inline void copy_columns(const T* x, std::int64_t inputs, std::int64_t first, int columns, int n, T* out) {
  for (int s = 0; s < n; ++s)
    for (int i = 0; i < columns; ++i) out[i * kPitch + s] = x[s * inputs + first + i];
}

// y (batch, outputs) from x (batch, inputs), coef (inputs, basis, outputs) and base (inputs, outputs).
template <class T, int D, bool based>
void layer_forward(const Layer<T>& l, T* y) {
  constexpr int K = D + 1;
  const std::int64_t inputs = l.inputs, outputs = l.outputs, size = l.knot_count - D - 1;
  const std::int64_t share = (l.batch + l.threads - 1) / larger(l.threads, 1);
  const std::int64_t block = smaller<std::int64_t>(kBlock, larger<std::int64_t>(share, 1));
  const std::int64_t blocks = (l.batch + block - 1) / block;
#pragma omp parallel num_threads(l.threads) if (l.threads > 1)
  {
    Buffer<T> columns(kTile * kPitch), u(kBlock), splines(K * kPitch), base(kPitch);
    Buffer<std::int32_t> cell(kBlock);
    Groups groups(l.knot_count - 2 * D - 1);
    const Local<T> local{splines.get(), nullptr, base.get(), nullptr};
#pragma omp for schedule(static)
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t row = b * block;
      const int n = static_cast<int>(smaller(block, l.batch - row));
      T* out = y + row * outputs;
      for (std::int64_t j = 0; j < n * outputs; ++j) out[j] = 0;
      for (std::int64_t first = 0; first < inputs; first += kTile) {
        const int tile = static_cast<int>(smaller<std::int64_t>(kTile, inputs - first));
        copy_columns(l.x + row * inputs, inputs, first, tile, n, columns.get());
        for (int i = 0; i < tile; ++i) {
          const T* x = columns.get() + i * kPitch;
          Grid<T, D> grid(l.knots + (first + i) * l.knot_count, l.knot_count, l.smooth);
          column(grid, x, n, 0, kPitch, cell.get(), u.get(), splines.get());
          if constexpr (based) silu_at<T, false>(x, n, base.get(), nullptr);
          groups.sort(cell.get(), n);
          const T* c = l.coef + (first + i) * size * outputs;
          const T* w = based ? l.base + (first + i) * outputs : nullptr;
          each_strip<T, K + based>(outputs, [&](auto vectors, std::int64_t o) {
            forward_strip<T, K, vectors.value, based>(c + o, based ? w + o : nullptr, outputs, size, groups, local, out + o);
          });
        }
      }
    }
  }
}

// grad_x (batch, inputs), grad_coef (inputs, basis, outputs) and grad_base (inputs, outputs) from g (batch, outputs).
template <class T, int D, bool based>
void layer_backward(const Layer<T>& l, const T* g, T* grad_x, T* grad_coef, T* grad_base) {
  constexpr int K = D + 1;
  const std::int64_t batch = l.batch, inputs = l.inputs, outputs = l.outputs, size = l.knot_count - D - 1;
  const std::int64_t share = (inputs + l.threads - 1) / larger(l.threads, 1);
  const std::int64_t width = smaller<std::int64_t>(kTile, larger<std::int64_t>(share, 1));
  const std::int64_t tiles = (inputs + width - 1) / width;
  // a gradient that the caches cannot hold, written once
  const bool stream = batch <= kBlock && inputs * size * outputs * std::int64_t(sizeof(T)) > kCached &&
                      reinterpret_cast<std::uintptr_t>(grad_coef) % EW_VECTOR_BYTES == 0;
#pragma omp parallel num_threads(l.threads) if (l.threads > 1)
  {
    Buffer<T> columns(kTile * kPitch), grads(kTile * kPitch), u(kBlock), totals(Vec<T>::width * Vec<T>::width);
    Buffer<T> splines(2 * K * kPitch), base(2 * kPitch);
    Buffer<std::int32_t> cell(kBlock);
    Groups groups(l.knot_count - 2 * D - 1);
    const Local<T> local{splines.get(), splines.get() + K * kPitch, base.get(), base.get() + kPitch};
#pragma omp for schedule(static)
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t first = tile * width;
      const int many = static_cast<int>(smaller(width, inputs - first));
      if (batch == 0) {
        for (std::int64_t j = 0; j < many * size * outputs; ++j) grad_coef[first * size * outputs + j] = 0;
        if constexpr (based)
          for (std::int64_t j = 0; j < many * outputs; ++j) grad_base[first * outputs + j] = 0;
      }
      for (std::int64_t row = 0; row < batch; row += kBlock) {
        const int n = static_cast<int>(smaller<std::int64_t>(kBlock, batch - row));
        const T* signal = g + row * outputs;
        copy_columns(l.x + row * inputs, inputs, first, many, n, columns.get());
        for (int i = 0; i < many; ++i) {
          const T* x = columns.get() + i * kPitch;
          Grid<T, D> grid(l.knots + (first + i) * l.knot_count, l.knot_count, l.smooth);
          column(grid, x, n, 1, kPitch, cell.get(), u.get(), splines.get());
          if constexpr (based) silu_at<T, true>(x, n, base.get(), base.get() + kPitch);
          groups.sort(cell.get(), n);
          const T* c = l.coef + (first + i) * size * outputs;
          const T* w = based ? l.base + (first + i) * outputs : nullptr;
          T* grad_c = grad_coef + (first + i) * size * outputs;
          T* grad_w = based ? grad_base + (first + i) * outputs : nullptr;
          T* pull = grads.get() + i * kPitch;
          const bool write = row == 0 && groups.sorted();
          if (row == 0 && !write) {
            for (std::int64_t j = 0; j < size * outputs; ++j) grad_c[j] = 0;
            if constexpr (based)
              for (std::int64_t j = 0; j < outputs; ++j) grad_w[j] = 0;
          }
          for (int s = 0; s < n; ++s) pull[s] = 0;
          each_strip<T, K + based>(outputs, [&](auto vectors, std::int64_t o) {
            constexpr int NV = vectors.value;
            T* to = based ? grad_w + o : nullptr;
            if (write)
              write_grad_coef<T, K, NV, based>(grad_c + o, to, outputs, size, groups, stream, local, signal + o);
            else
              add_grad_coef<T, K, NV, based>(grad_c + o, to, outputs, size, groups, local, signal + o);
            grad_x_strip<T, K, NV, based>(c + o, based ? w + o : nullptr, outputs, size, groups, local, signal + o,
                                          totals.get(), pull);
          });
        }
        if (stream) finish_streams();
        for (int s = 0; s < n; ++s)
          for (int i = 0; i < many; ++i) grad_x[(row + s) * inputs + first + i] = grads[i * kPitch + s];
      }
    }
  }
}

}  // namespace ew::EW_ISA
