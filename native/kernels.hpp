// What every instruction set offers, for one type of number.
#pragma once

#include <cstdint>

namespace ew {

template <class T>
struct Layer {  // x (batch, inputs), coef (inputs, basis, outputs), base (inputs, outputs), knots (inputs, knot_count)
  const T *x, *coef, *base, *knots;  // there may be no base
  std::int64_t batch, inputs, outputs;
  int knot_count, degree, threads;
  bool smooth;  // how splines leave the grid, see basis.hpp
};

// The columns that a layer's splines, or one lock's constants, have in the Jacobian.
template <class T>
struct Columns {
  const std::int64_t* start;  // (batch, nodes): where the values of a node begin
  const T* values;            // (batch, nodes, support)
  const T* signal;            // (batch, rows, sums)
  const std::int64_t* edges;  // (edges, 2): sum and node
  std::int64_t nodes, support, rows, sums, count, size;
};

template <class T>
struct Kernels {
  int vector_width;  // outputs of the fused layer come in multiples of this
  void (*local_splines)(const Layer<T>&, int order, std::int64_t* start, T* values);
  void (*edges)(const Layer<T>&, int order, T* result);
  void (*layer_forward)(const Layer<T>&, T* y);
  void (*layer_backward)(const Layer<T>&, const T* g, T* grad_x, T* grad_coef, T* grad_base);
  void (*gram)(const Columns<T>&, const Columns<T>&, bool same, double* H, std::int64_t pitch, std::int64_t batch,
               int threads);
  void (*pull)(const Columns<T>&, double* g, std::int64_t batch, int threads);
  void (*write)(const Columns<T>&, double* J, std::int64_t pitch, std::int64_t batch, int threads);
};

#define EW_DECLARE(isa)                \
  namespace isa {                      \
  extern const Kernels<float> f32;     \
  extern const Kernels<double> f64;    \
  }
EW_DECLARE(baseline)
EW_DECLARE(avx2)
EW_DECLARE(avx512)
#undef EW_DECLARE

}  // namespace ew
