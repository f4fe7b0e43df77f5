// Compiled once for each instruction set: CMakeLists.txt gives EW_ISA and the compiler's flags.
#include "kernels.hpp"

#include "edges.hpp"
#include "layer.hpp"
#include "sums.hpp"

namespace ew::EW_ISA {

#define EW_BY_DEGREE(degree, call) \
  switch (degree) {                \
    case 1: call(1); break;        \
    case 2: call(2); break;        \
    case 3: call(3); break;        \
    case 4: call(4); break;        \
    case 5: call(5); break;        \
    case 6: call(6); break;        \
    case 7: call(7); break;        \
    case 8: call(8); break;        \
    case 9: call(9); break;        \
    default: break;                \
  }

template <class T>
void local_splines_(const Layer<T>& l, int order, std::int64_t* start, T* values) {
#define EW_CALL(D) \
  local_splines<T, D>(l.x, l.knots, start, values, l.batch, l.inputs, l.knot_count, order, l.smooth, l.threads)
  EW_BY_DEGREE(l.degree, EW_CALL)
#undef EW_CALL
}

template <class T>
void edges_(const Layer<T>& l, int order, T* result) {
#define EW_CALL(D) \
  edges<T, D>(l.x, l.coef, l.knots, result, l.batch, l.inputs, l.outputs, l.knot_count, order, l.smooth, l.threads)
  EW_BY_DEGREE(l.degree, EW_CALL)
#undef EW_CALL
}

template <class T>
void layer_forward_(const Layer<T>& l, T* y) {
#define EW_CALL(D) l.base == nullptr ? layer_forward<T, D, false>(l, y) : layer_forward<T, D, true>(l, y)
  EW_BY_DEGREE(l.degree, EW_CALL)
#undef EW_CALL
}

template <class T>
void layer_backward_(const Layer<T>& l, const T* g, T* grad_x, T* grad_coef, T* grad_base) {
#define EW_CALL(D)                                                                        \
  l.base == nullptr ? layer_backward<T, D, false>(l, g, grad_x, grad_coef, nullptr) \
                    : layer_backward<T, D, true>(l, g, grad_x, grad_coef, grad_base)
  EW_BY_DEGREE(l.degree, EW_CALL)
#undef EW_CALL
}

template <class T>
const Kernels<T> table{Vec<T>::width, local_splines_<T>, edges_<T>, layer_forward_<T>, layer_backward_<T>, gram<T>, pull<T>, write<T>};

extern const Kernels<float> f32;
extern const Kernels<double> f64;
const Kernels<float> f32 = table<float>;
const Kernels<double> f64 = table<double>;

}  // namespace ew::EW_ISA
