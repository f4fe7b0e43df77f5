// The fused layer y_bo = sum_i sum_k c_oik B_k(x_bi), and its gradients.
//
// The samples of a block are sorted by cell, one input after the other: on a cell the K rows of coefficients
// stay in registers while its samples pass by. So the cost of a sample does not depend on the grid, and no
// (batch, inputs, basis) tensor exists. Coefficients are (inputs, basis, outputs); `pitch` is the number of outputs, whole vectors of them.
#pragma once

#include <cstdint>

#include "basis.hpp"

namespace ew::EW_ISA {

constexpr int kBlock = 1024;  // rows of a block: outputs of 64 float32 numbers each fill 256 kB
constexpr std::int64_t kCached = 1 << 23;  // bytes: more than this does not stay in the caches
constexpr int kTile = 16;     // inputs whose columns are copied out of x together: a cache line of float32

// How many vectors of outputs the registers hold beside K rows of coefficients.
template <int K>
constexpr int most_vectors() {
  int registers = EW_VECTOR_BYTES == 64 ? 26 : 12;
  return K * 4 <= registers ? 4 : (K * 2 <= registers ? 2 : 1);
}

// The samples of a block in groups that share a cell, in the order of the cells.
class Groups {
 public:
  explicit Groups(int cells) : end_(cells + 1), rows_(kBlock), cell_(kBlock), first_(kBlock + 1), cells_(cells) {}

  void sort(const std::int32_t* cell, int n) {
    count_ = 0;
    sorted_ = cells_ <= 2 * n;
    if (!sorted_) {  // hardly two samples share a cell: sorting brings nothing
      for (; count_ < n; ++count_) cell_[count_] = cell[count_], first_[count_] = rows_[count_] = count_;
      first_[count_] = n;
      return;
    }
    for (int c = 0; c <= cells_; ++c) end_[c] = 0;
    for (int s = 0; s < n; ++s) ++end_[cell[s] + 1];
    for (int c = 0; c < cells_; ++c) {
      if (end_[c + 1] > 0) cell_[count_] = c, first_[count_++] = end_[c];
      end_[c + 1] += end_[c];
    }
    first_[count_] = n;
    for (int s = 0; s < n; ++s) rows_[end_[cell[s]]++] = s;
  }

  bool sorted() const { return sorted_; }
  int count() const { return count_; }
  int cell(int group) const { return cell_[group]; }
  const std::int32_t* begin(int group) const { return rows_.get() + first_[group]; }
  const std::int32_t* end(int group) const { return rows_.get() + first_[group + 1]; }

 private:
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

template <class T, int K, int NV>
inline void forward_strip(const T* c, std::int64_t pitch, std::int64_t size, const Groups& groups, const T* basis, T* y) {
  typedef Vec<T> V;
  Window<T, K, NV> coef;
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
        typename V::type b = V::splat(basis[k * kBlock + *s]);
        for (int v = 0; v < NV; ++v) sum[v] += b * coef.row[k][v];
      }
      for (int v = 0; v < NV; ++v) V::store(row + v * V::width, sum[v]);
    }
  }
}

template <class T, int K, int NV>
inline void add_signals(Window<T, K, NV>& sum, const Groups& groups, int group, std::int64_t pitch, const T* basis,
                        const T* g) {
  typedef Vec<T> V;
  for (const std::int32_t *s = groups.begin(group), *end = groups.end(group); s < end; ++s) {
    const T* row = g + *s * pitch;
    typename V::type signal[NV];
    for (int v = 0; v < NV; ++v) signal[v] = V::load(row + v * V::width);
    for (int k = 0; k < K; ++k) {
      typename V::type b = V::splat(basis[k * kBlock + *s]);
      for (int v = 0; v < NV; ++v) sum.row[k][v] += b * signal[v];
    }
  }
}

// Write the rows of sorted samples, whatever was there before: each row is written once, and none is read.
template <class T, int K, int NV>
inline void write_grad_coef(T* c, std::int64_t pitch, std::int64_t size, const Groups& groups, bool stream, const T* basis,
                            const T* g) {
  typedef Vec<T> V;
  Window<T, K, NV> sum;
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
    add_signals(sum, groups, group, pitch, basis, g);
  }
  leave(size);
}

template <class T, int K, int NV>
inline void add_grad_coef(T* c, std::int64_t pitch, std::int64_t size, const Groups& groups, const T* basis, const T* g) {
  Window<T, K, NV> sum;
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
    add_signals(sum, groups, group, pitch, basis, g);
  }
  if (at >= 0) sum.store(c + at * pitch, pitch);
}

template <class T, int K, int NV>
inline void grad_x_strip(const T* c, std::int64_t pitch, std::int64_t size, const Groups& groups, const T* slopes, const T* g,
                         T* grad_x) {
  typedef Vec<T> V;
  Window<T, K, NV> coef;
  for (int group = 0, at = -1; group < groups.count(); ++group) {
    const int cell = groups.cell(group);
    coef.move(at, cell, c, pitch);
    at = cell;
    fetch<false, T, NV>(c + (cell + size) * pitch);
    for (const std::int32_t *s = groups.begin(group), *end = groups.end(group); s < end; ++s) {
      const T* row = g + *s * pitch;
      typename V::type b[K], total = V::splat(0);
      for (int k = 0; k < K; ++k) b[k] = V::splat(slopes[k * kBlock + *s]);
      for (int v = 0; v < NV; ++v) {
        typename V::type slope = b[0] * coef.row[0][v];
        for (int k = 1; k < K; ++k) slope += b[k] * coef.row[k][v];
        total += slope * V::load(row + v * V::width);
      }
      grad_x[*s] += vector_sum<T>(total);
    }
  }
}

template <int N>
struct Count {
  static constexpr int value = N;
};

// Split `outputs` (a multiple of the vector width) into strips of 4, 2 and 1 vectors.
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
    for (int i = 0; i < columns; ++i) out[i * kBlock + s] = x[s * inputs + first + i];
}

// y (batch, outputs) from x (batch, inputs) and coef (inputs, basis, outputs); outputs are whole vectors.
template <class T, int D>
void layer_forward(const T* x, const T* coef, const T* knots, T* y, std::int64_t batch, std::int64_t inputs,
                   std::int64_t outputs, int knot_count, int threads) {
  constexpr int K = D + 1;
  const std::int64_t size = knot_count - D - 1;
  const std::int64_t share = (batch + threads - 1) / larger(threads, 1);
  const std::int64_t block = smaller<std::int64_t>(kBlock, larger<std::int64_t>(share, 1));
  const std::int64_t blocks = (batch + block - 1) / block;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Buffer<T> columns(kTile * kBlock), u(kBlock), basis(K * kBlock);
    Buffer<std::int32_t> cell(kBlock);
    Groups groups(knot_count - 2 * D - 1);
#pragma omp for schedule(static)
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t row = b * block;
      const int n = static_cast<int>(smaller(block, batch - row));
      T* out = y + row * outputs;
      for (std::int64_t j = 0; j < n * outputs; ++j) out[j] = 0;
      for (std::int64_t first = 0; first < inputs; first += kTile) {
        const int tile = static_cast<int>(smaller<std::int64_t>(kTile, inputs - first));
        copy_columns(x + row * inputs, inputs, first, tile, n, columns.get());
        for (int i = 0; i < tile; ++i) {
          Grid<T, D> grid(knots + (first + i) * knot_count, knot_count);
          column(grid, columns.get() + i * kBlock, n, 0, kBlock, cell.get(), u.get(), basis.get());
          groups.sort(cell.get(), n);
          const T* mine = coef + (first + i) * size * outputs;
          each_strip<T, K>(outputs, [&](auto vectors, std::int64_t o) {
            forward_strip<T, K, vectors.value>(mine + o, outputs, size, groups, basis.get(), out + o);
          });
        }
      }
    }
  }
}

// grad_x (batch, inputs) and grad_coef (inputs, basis, outputs) from g (batch, outputs).
template <class T, int D>
void layer_backward(const T* g, const T* x, const T* coef, const T* knots, T* grad_x, T* grad_coef,
                    std::int64_t batch, std::int64_t inputs, std::int64_t outputs, int knot_count, int threads) {
  constexpr int K = D + 1;
  const std::int64_t size = knot_count - D - 1;
  const std::int64_t share = (inputs + threads - 1) / larger(threads, 1);
  const std::int64_t width = smaller<std::int64_t>(kTile, larger<std::int64_t>(share, 1));
  const std::int64_t tiles = (inputs + width - 1) / width;
  // a gradient that the caches cannot hold, written once
  const bool stream = batch <= kBlock && inputs * size * outputs * std::int64_t(sizeof(T)) > kCached &&
                      reinterpret_cast<std::uintptr_t>(grad_coef) % EW_VECTOR_BYTES == 0;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Buffer<T> columns(kTile * kBlock), u(kBlock), basis(2 * K * kBlock);
    Buffer<T> grads(kTile * kBlock);
    Buffer<std::int32_t> cell(kBlock);
    Groups groups(knot_count - 2 * D - 1);
#pragma omp for schedule(static)
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t first = tile * width;
      const int many = static_cast<int>(smaller(width, inputs - first));
      if (batch == 0)
        for (std::int64_t j = 0; j < many * size * outputs; ++j) grad_coef[first * size * outputs + j] = 0;
      for (std::int64_t row = 0; row < batch; row += kBlock) {
        const int n = static_cast<int>(smaller<std::int64_t>(kBlock, batch - row));
        const T* signal = g + row * outputs;
        copy_columns(x + row * inputs, inputs, first, many, n, columns.get());
        for (int i = 0; i < many; ++i) {
          Grid<T, D> grid(knots + (first + i) * knot_count, knot_count);
          column(grid, columns.get() + i * kBlock, n, 1, kBlock, cell.get(), u.get(), basis.get());
          groups.sort(cell.get(), n);
          const T* mine = coef + (first + i) * size * outputs;
          T* theirs = grad_coef + (first + i) * size * outputs;
          T* pull = grads.get() + i * kBlock;
          const bool write = row == 0 && groups.sorted();
          if (row == 0 && !write)
            for (std::int64_t j = 0; j < size * outputs; ++j) theirs[j] = 0;
          for (int s = 0; s < n; ++s) pull[s] = 0;
          each_strip<T, K>(outputs, [&](auto vectors, std::int64_t o) {
            constexpr int NV = vectors.value;
            if (write)
              write_grad_coef<T, K, NV>(theirs + o, outputs, size, groups, stream, basis.get(), signal + o);
            else
              add_grad_coef<T, K, NV>(theirs + o, outputs, size, groups, basis.get(), signal + o);
            grad_x_strip<T, K, NV>(mine + o, outputs, size, groups, basis.get() + K * kBlock, signal + o, pull);
          });
        }
        if (stream) finish_streams();
        for (int s = 0; s < n; ++s)
          for (int i = 0; i < many; ++i) grad_x[(row + s) * inputs + first + i] = grads[i * kBlock + s];
      }
    }
  }
}

}  // namespace ew::EW_ISA
