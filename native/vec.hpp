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

#if EW_VECTOR_BYTES == 64
// The compiler adds the lanes one by one; halving takes log2(width) steps.
template <class T, int bytes>
struct Half {
  typedef T type __attribute__((vector_size(bytes)));
};
template <class T, class V, int bytes>
inline T halving_sum(V v) {
  if constexpr (bytes == sizeof(T)) {
    return v;
  } else if constexpr (bytes == 2 * sizeof(T)) {
    return v[0] + v[1];
  } else {
    typedef typename Half<T, bytes / 2>::type H;
    H low, high;
    __builtin_memcpy(&low, &v, bytes / 2);
    __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + bytes / 2, bytes / 2);
    return halving_sum<T, H, bytes / 2>(low + high);
  }
}
#endif

// Lets the other threads see what was streamed.
inline void finish_streams() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

template <class T>
inline T vector_sum(typename Vec<T>::type v) {
#if EW_VECTOR_BYTES == 64
  return halving_sum<T, typename Vec<T>::type, EW_VECTOR_BYTES>(v);
#else
  return Vec<T>::sum(v);
#endif
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
