// Vectors of floats: loads, sums, choices, and exp, log, sigmoid and softplus to single precision. GCC and clang.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>
typedef float half __attribute__((vector_size(32)));
typedef float half_at __attribute__((vector_size(32), aligned(4), may_alias));
typedef float quarter __attribute__((vector_size(16)));
typedef int32_t ihalf __attribute__((vector_size(32)));
typedef int32_t iquarter __attribute__((vector_size(16)));
#ifdef __AVX512F__
#define VL 16
#else
#define VL 8
#endif
typedef float vec __attribute__((vector_size(4 * VL)));  // VL floats
typedef float vec_at __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * VL)));
#define load(p) ((vec)(*(const vec_at *)(p)))
#define store(p, x) (*(vec_at *)(p) = (x))
#define load_half(p) ((half)(*(const half_at *)(p)))
#define store_half(p, x) (*(half_at *)(p) = (x))
#define INLINE static inline __attribute__((always_inline))
INLINE vec splat(float x) { return x - (vec){0}; }
#if VL == 16
#define LOW(x) __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7)
#define HIGH(x) __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15)
#endif
INLINE float sum_of(vec x) {
#if VL == 16
  half a = LOW(x) + HIGH(x);
#else
  half a = x;
#endif
  quarter b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
  return (b[0] + b[2]) + (b[1] + b[3]);
}
#define LARGER(a, b, of, ints) ((of)(((ints)(a) & ((a) > (b))) | ((ints)(b) & ~((a) > (b)))))
INLINE float max_of(vec x) {
#if VL == 16
  half a = LOW(x), b = HIGH(x), c = LARGER(a, b, half, ihalf);
#else
  half c = x;
#endif
  quarter d = __builtin_shufflevector(c, c, 0, 1, 2, 3), e = __builtin_shufflevector(c, c, 4, 5, 6, 7);
  d = LARGER(d, e, quarter, iquarter);
  float f = d[0] > d[1] ? d[0] : d[1], g = d[2] > d[3] ? d[2] : d[3];
  return f > g ? f : g;
}
#if VL == 16
static const ivec LANES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
static const ivec LANES = {0, 1, 2, 3, 4, 5, 6, 7};
#endif
INLINE vec choose(ivec m, vec a, vec b) { return (vec)(((ivec)a & m) | ((ivec)b & ~m)); }
INLINE vec vexp(vec x) {
  vec hi = splat(88.0f), lo = splat(-87.0f);
  x = choose(x > hi, hi, x);
  ivec under = x < lo;
  x = choose(under, lo, x);
  const vec magic = splat(12582912.0f);
  vec t = x * 1.44269504088896341f + magic;
  ivec n = (ivec)t - (ivec)magic;
  vec f = t - magic;
  vec r = x - f * 0.693359375f;
  r = r + f * 2.12194440e-4f;
  vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  return choose(under, (vec){0}, p * (vec)((n + 127) << 23));
}

INLINE vec vlog(vec x) {  // x normal and positive
  ivec b = (ivec)x;
  ivec e = ((b >> 23) & 255) - 126;
  vec m = (vec)((b & 0x007fffff) | 0x3f000000);
  ivec small = m < splat(0.707106781186547524f);
  vec fe = __builtin_convertvector(e + small, vec);  // a true lane is -1
  m = m + choose(small, m, (vec){0}) - 1.0f;
  vec z = m * m, y = splat(7.0376836292e-2f);
  y = y * m - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  y = y * m * z - fe * 2.12194440e-4f - 0.5f * z;
  return m + y + fe * 0.693359375f;
}

INLINE vec vsigmoid(vec x) { return 1.0f / (1.0f + vexp(-x)); }
INLINE vec vsoftplus(vec x) {  // max(x, 0) + log1p(exp(-|x|)), log1p after Kahan
  vec ax = choose(x > (vec){0}, x, -x), y = vexp(-ax), u = 1.0f + y, d = u - 1.0f;
  ivec zero = d == (vec){0};
  vec l = vlog(u) * y / choose(zero, splat(1.0f), d);
  return choose(x > (vec){0}, x, (vec){0}) + choose(zero, y, l);
}
