// Short vectors by the compiler's own extension, as wide as the instruction set of this unit.
#pragma once

#include <cstdint>
#include <cstdlib>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef EW_ISA
#error "EW_ISA names the namespace of this instruction set, EW_VECTOR_BYTES its vectors' width."
#endif

namespace ew::EW_ISA {

// Nothing of the standard library is used in these units: its inline functions would be compiled once
// for each instruction set, and the linker would keep any one of them for all.

template <class T>
struct Vec {
  static constexpr int width = EW_VECTOR_BYTES / sizeof(T);
  typedef T type __attribute__((vector_size(EW_VECTOR_BYTES)));
  typedef T unaligned __attribute__((vector_size(EW_VECTOR_BYTES), aligned(sizeof(T)), may_alias));

  static inline type load(const T* p) { return *reinterpret_cast<const unaligned*>(p); }
  static inline void store(T* p, type v) { *reinterpret_cast<unaligned*>(p) = v; }
  // Past the caches, for what is not read again soon. The address has to be aligned to a whole vector.
  static inline void stream(T* p, type v) {
#if defined(__x86_64__) && EW_VECTOR_BYTES == 64
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), reinterpret_cast<__m512i>(v));
#elif defined(__x86_64__) && EW_VECTOR_BYTES == 32
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(v));
#else
    store(p, v);
#endif
  }
  static inline type splat(T a) { return type{} + a; }
  static inline T sum(type v) {
    T total = 0;
    for (int j = 0; j < width; ++j) total += v[j];
    return total;
  }
};

// Lets the other threads see what was streamed.
inline void finish_streams() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// (a0 + a1, a2 + a3, ..., b0 + b1, b2 + b3, ...)
template <class T>
inline typename Vec<T>::type add_neighbors(typename Vec<T>::type a, typename Vec<T>::type b) {
  constexpr int W = Vec<T>::width;
  if constexpr (W == 2)
    return __builtin_shufflevector(a, b, 0, 2) + __builtin_shufflevector(a, b, 1, 3);
  else if constexpr (W == 4)
    return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
  else if constexpr (W == 8)
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
           __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  else
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

// One vector of the sums of as many vectors as it has numbers: neighbors are added, in pairs of vectors, until
// each number belongs to one of them.
template <class T>
inline typename Vec<T>::type sums(const T* vectors) {
  constexpr int W = Vec<T>::width;
  typedef typename Vec<T>::type V;
  V part[W];
#pragma GCC unroll 16
  for (int j = 0; j < W; ++j) part[j] = Vec<T>::load(vectors + j * W);
#pragma GCC unroll 4
  for (int many = W / 2; many >= 1; many /= 2)
#pragma GCC unroll 8
    for (int j = 0; j < many; ++j) part[j] = add_neighbors<T>(part[2 * j], part[2 * j + 1]);
  return part[0];
}

template <class T>
inline T smaller(T a, T b) {
  return a < b ? a : b;
}
template <class T>
inline T larger(T a, T b) {
  return a < b ? b : a;
}

// A block of memory of one thread, aligned for the widest vectors.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::int64_t count) {
    std::size_t bytes = (static_cast<std::size_t>(larger<std::int64_t>(count, 1)) * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
    if (data_ == nullptr) std::abort();  // as a failed allocation in a parallel region ends anyway
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* get() const { return data_; }
  T& operator[](std::int64_t i) const { return data_[i]; }

 private:
  T* data_;
};

}  // namespace ew::EW_ISA
