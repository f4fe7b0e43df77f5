// The Python face of the kernels: checks shapes, chooses the instruction set, lets go of the interpreter.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace nb = nanobind;

namespace {

template <class T, int ndim>
using In = nb::ndarray<const T, nb::ndim<ndim>, nb::c_contig, nb::device::cpu>;
template <class T, int ndim>
using Out = nb::ndarray<T, nb::ndim<ndim>, nb::c_contig, nb::device::cpu>;

// The instruction sets that this machine has, the widest last.
std::vector<std::string> available() {
  std::vector<std::string> names{"baseline"};
#if defined(EW_X86)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    names.push_back("avx2");
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
      names.push_back("avx512");
  }
#endif
  return names;
}

std::string chosen = available().back();

template <class T>
const ew::Kernels<T>& kernels();
#if defined(EW_X86)
#define EW_KERNELS(T, member)                           \
  template <>                                           \
  const ew::Kernels<T>& kernels<T>() {                  \
    if (chosen == "avx512") return ew::avx512::member;  \
    if (chosen == "avx2") return ew::avx2::member;      \
    return ew::baseline::member;                        \
  }
#else
#define EW_KERNELS(T, member)           \
  template <>                           \
  const ew::Kernels<T>& kernels<T>() {  \
    return ew::baseline::member;        \
  }
#endif
EW_KERNELS(float, f32)
EW_KERNELS(double, f64)
#undef EW_KERNELS

void choose(const std::string& name) {
  for (const std::string& one : available())
    if (one == name) {
      chosen = name;
      return;
    }
  throw std::invalid_argument("This machine does not have the instruction set " + name + ".");
}

void check(bool holds, const char* message) {
  if (!holds) throw std::invalid_argument(message);
}

template <class T>
ew::Layer<T> layer(const In<T, 2>& x, const In<T, 2>& knots, int degree, bool smooth, int threads) {
  check(degree >= 1 && degree <= 9, "degree must be from 1 to 9.");
  check(knots.shape(0) == x.shape(1), "knots must have a row for each input.");
  check(knots.shape(1) >= std::size_t(2 * degree + 2), "there are too few knots for this degree.");
  check(threads >= 1, "threads must be at least 1.");
  return {x.data(), nullptr, nullptr, knots.data(), std::int64_t(x.shape(0)), std::int64_t(x.shape(1)), 0, int(knots.shape(1)),
          degree, threads, smooth};
}

template <class T>
void local_splines(In<T, 2> x, In<T, 2> knots, int degree, int order, bool smooth, Out<std::int64_t, 2> start,
                   Out<T, 4> values, int threads) {
  ew::Layer<T> l = layer<T>(x, knots, degree, smooth, threads);
  check(order >= 0 && order <= 4, "order must be from 0 to 4.");
  check(start.shape(0) == x.shape(0) && start.shape(1) == x.shape(1), "start must have the shape of x.");
  check(values.shape(0) == std::size_t(order + 1) && values.shape(1) == x.shape(0) && values.shape(2) == x.shape(1) &&
            values.shape(3) == std::size_t(degree + 1),
        "values must be (order + 1, batch, inputs, degree + 1).");
  kernels<T>().local_splines(l, order, start.data(), values.data());
}

template <class T>
void edges(In<T, 2> x, In<T, 3> coef, In<T, 2> knots, int degree, int order, bool smooth, Out<T, 4> result,
           int threads) {
  ew::Layer<T> l = layer<T>(x, knots, degree, smooth, threads);
  check(order >= 0 && order <= 4, "order must be from 0 to 4.");
  check(coef.shape(1) == x.shape(1) && coef.shape(2) == knots.shape(1) - degree - 1,
        "coef must be (outputs, inputs, basis).");
  check(result.shape(0) == std::size_t(order + 1) && result.shape(1) == x.shape(0) && result.shape(2) == coef.shape(0) &&
            result.shape(3) == x.shape(1),
        "result must be (order + 1, batch, outputs, inputs).");
  l.coef = coef.data();
  l.outputs = coef.shape(0);
  kernels<T>().edges(l, order, result.data());
}

template <class T>
ew::Layer<T> fused(const In<T, 2>& x, const In<T, 3>& coef, const std::optional<In<T, 2>>& base, const In<T, 2>& knots,
                   int degree, bool smooth, int threads) {
  ew::Layer<T> l = layer<T>(x, knots, degree, smooth, threads);
  check(coef.shape(0) == x.shape(1) && coef.shape(1) == knots.shape(1) - degree - 1,
        "coef must be (inputs, basis, outputs).");
  check(coef.shape(2) % kernels<T>().vector_width == 0, "outputs must be whole vectors.");
  check(!base || (base->shape(0) == x.shape(1) && base->shape(1) == coef.shape(2)), "base must be (inputs, outputs).");
  l.coef = coef.data();
  l.base = base ? base->data() : nullptr;
  l.outputs = coef.shape(2);
  return l;
}

template <class T>
void layer_forward(In<T, 2> x, In<T, 3> coef, std::optional<In<T, 2>> base, In<T, 2> knots, int degree, bool smooth,
                   Out<T, 2> y, int threads) {
  ew::Layer<T> l = fused<T>(x, coef, base, knots, degree, smooth, threads);
  check(y.shape(0) == x.shape(0) && y.shape(1) == coef.shape(2), "y must be (batch, outputs).");
  kernels<T>().layer_forward(l, y.data());
}

template <class T>
void layer_backward(In<T, 2> g, In<T, 2> x, In<T, 3> coef, std::optional<In<T, 2>> base, In<T, 2> knots, int degree,
                    bool smooth, Out<T, 2> grad_x, Out<T, 3> grad_coef, std::optional<Out<T, 2>> grad_base, int threads) {
  ew::Layer<T> l = fused<T>(x, coef, base, knots, degree, smooth, threads);
  check(g.shape(0) == x.shape(0) && g.shape(1) == coef.shape(2), "g must be (batch, outputs).");
  check(grad_x.shape(0) == x.shape(0) && grad_x.shape(1) == x.shape(1), "grad_x must have the shape of x.");
  check(grad_coef.size() == coef.size() && grad_coef.shape(2) == coef.shape(2), "grad_coef must have the shape of coef.");
  check(base.has_value() == grad_base.has_value() &&
            (!base || (grad_base->size() == base->size() && grad_base->shape(1) == base->shape(1))),
        "grad_base must have the shape of base.");
  kernels<T>().layer_backward(l, g.data(), grad_x.data(), grad_coef.data(), grad_base ? grad_base->data() : nullptr);
}

template <class T>
ew::Columns<T> columns(const In<std::int64_t, 2>& start, const In<T, 3>& values, const In<T, 3>& signal,
                       const In<std::int64_t, 2>& edges, std::int64_t size) {
  check(values.shape(0) == start.shape(0) && values.shape(1) == start.shape(1), "values must be (batch, nodes, support).");
  check(signal.shape(0) == start.shape(0), "signal must be (batch, rows, sums).");
  check(edges.shape(1) == 2, "edges must be (edges, 2): sum and node.");
  check(std::int64_t(values.shape(2)) <= size, "the support cannot be larger than the size.");
  for (std::size_t e = 0; e < edges.shape(0); ++e)
    check(edges(e, 0) >= 0 && std::size_t(edges(e, 0)) < signal.shape(2) && edges(e, 1) >= 0 &&
              std::size_t(edges(e, 1)) < start.shape(1),
          "an edge names a sum or a node that is not there.");
  for (std::size_t j = 0; j < start.size(); ++j)
    check(start.data()[j] >= 0 && start.data()[j] + std::int64_t(values.shape(2)) <= size, "start lies outside.");
  return {start.data(), values.data(), signal.data(), edges.data(), std::int64_t(start.shape(1)),
          std::int64_t(values.shape(2)), std::int64_t(signal.shape(1)), std::int64_t(signal.shape(2)),
          std::int64_t(edges.shape(0)), size};
}

template <class T>
void gram(In<std::int64_t, 2> start1, In<T, 3> values1, In<T, 3> signal1, In<std::int64_t, 2> edges1, std::int64_t size1,
          In<std::int64_t, 2> start2, In<T, 3> values2, In<T, 3> signal2, In<std::int64_t, 2> edges2, std::int64_t size2,
          bool same, Out<double, 2> H, std::int64_t row, std::int64_t column, int threads) {
  ew::Columns<T> first = columns<T>(start1, values1, signal1, edges1, size1);
  ew::Columns<T> second = columns<T>(start2, values2, signal2, edges2, size2);
  check(start1.shape(0) == start2.shape(0) && first.rows == second.rows, "both must have the same samples and rows.");
  check(row >= 0 && column >= 0 && row + first.count * size1 <= std::int64_t(H.shape(0)) &&
            column + second.count * size2 <= std::int64_t(H.shape(1)),
        "the block does not lie inside H.");
  check(!same || (first.count == second.count && size1 == size2), "the same columns must have the same size.");
  const std::int64_t pitch = H.shape(1);
  kernels<T>().gram(first, second, same, H.data() + row * pitch + column, pitch, start1.shape(0), threads);
}

template <class T>
void pull(In<std::int64_t, 2> start, In<T, 3> values, In<T, 3> signal, In<std::int64_t, 2> edges, std::int64_t size,
          Out<double, 2> g, int threads) {
  ew::Columns<T> of = columns<T>(start, values, signal, edges, size);
  check(of.rows == 1, "the signal must have one row.");
  check(std::int64_t(g.shape(0)) == of.count && std::int64_t(g.shape(1)) == size, "g must be (edges, size).");
  kernels<T>().pull(of, g.data(), start.shape(0), threads);
}

template <class T>
void write(In<std::int64_t, 2> start, In<T, 3> values, In<T, 3> signal, In<std::int64_t, 2> edges, std::int64_t size,
           Out<double, 2> J, std::int64_t column, int threads) {
  ew::Columns<T> of = columns<T>(start, values, signal, edges, size);
  check(J.shape(0) == start.shape(0) * signal.shape(1), "J must have a row for each sample and row of the signal.");
  check(column >= 0 && column + of.count * size <= std::int64_t(J.shape(1)), "the columns do not lie inside J.");
  kernels<T>().write(of, J.data() + column, J.shape(1), start.shape(0), threads);
}

template <class T>
void bind(nb::module_& m) {
  const auto free = nb::call_guard<nb::gil_scoped_release>();
  m.def("local_splines", &local_splines<T>, free);
  m.def("edges", &edges<T>, free);
  m.def("layer_forward", &layer_forward<T>, free);
  m.def("layer_backward", &layer_backward<T>, free);
  m.def("gram", &gram<T>, free);
  m.def("pull", &pull<T>, free);
  m.def("write", &write<T>, free);
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "The compiled kernels of edgewise; see _kernels for their Python faces.";
  bind<float>(m);
  bind<double>(m);
  m.def("available", &available, "The instruction sets that this machine has, the widest last.");
  m.def("chosen", [] { return chosen; }, "The instruction set in use.");
  m.def("choose", &choose, "Use another instruction set.");
  m.def("vector_width", [](int bytes) { return bytes == 4 ? kernels<float>().vector_width : kernels<double>().vector_width; },
        "How many numbers of so many bytes a vector holds.");
}
