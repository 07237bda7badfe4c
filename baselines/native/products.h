// Products of matrices in registers, and transposes. A by two strides, so that either side may stand transposed.
#pragma once
#include "vectors.h"
// MR rows and NV vectors of C[i,j] (+)= sum_p A[i,p] B[p,j].
#define KERNEL(MR, NV)                                                                                                 \
  static void kernel_##MR##_##NV(long K, const float *A, long si, long sp, const float *B, long sb, float *C, long sc, \
                                 int acc) {                                                                            \
    vec c[MR][NV];                                                                                                     \
    _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++) _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++)         \
        c[i][j] = acc ? load(C + i * sc + VL * j) : (vec){0};                                                          \
    for (long p = 0; p < K; p++) {                                                                                     \
      vec b[NV];                                                                                                       \
      _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++) b[j] = load(B + p * sb + VL * j);                           \
      _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++) {                                                          \
        vec a = splat(A[i * si + p * sp]);                                                                             \
        _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++) c[i][j] += a * b[j];                                      \
      }                                                                                                                \
    }                                                                                                                  \
    _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++) _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++)         \
        store(C + i * sc + VL * j, c[i][j]);                                                                           \
  }
#if VL == 16  // as many rows as there are registers for
KERNEL(8, 2)
KERNEL(16, 1)
KERNEL(8, 1)
KERNEL(4, 1)
KERNEL(2, 1)
KERNEL(1, 1)
#else
KERNEL(6, 2)
#endif
KERNEL(4, 2)
KERNEL(2, 2)
KERNEL(1, 2)

#define ROWS(MR, NV) \
  for (; i + MR <= M; i += MR) kernel_##MR##_##NV(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
// C [M, N] (+)= A [M, K] B [K, N]; rows of B and C lie sb and sc apart; N a multiple of 16.
static void multiply(long M, long N, long K, const float *A, long si, long sp, const float *B, long sb, float *C,
                     long sc, int acc) {
  long j = 0;
  for (; j + 2 * VL <= N; j += 2 * VL) {
    long i = 0;
#if VL == 16
    ROWS(8, 2)
#else
    ROWS(6, 2)
#endif
    ROWS(4, 2)
    ROWS(2, 2)
    ROWS(1, 2)
  }
#if VL == 16
  for (; j < N; j += VL) {
    long i = 0;
    ROWS(16, 1)
    ROWS(8, 1)
    ROWS(4, 1)
    ROWS(2, 1)
    ROWS(1, 1)
  }
#endif
}

#define STAGE(S, ...)                                                 \
  _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) if (!(i & S)) { \
    half a = m[i], b = m[i + S];                                      \
    m[i] = __builtin_shufflevector(a, b, LO##S);                      \
    m[i + S] = __builtin_shufflevector(a, b, HI##S);                  \
  }
#define LO4 0, 1, 2, 3, 8, 9, 10, 11
#define HI4 4, 5, 6, 7, 12, 13, 14, 15
#define LO2 0, 1, 8, 9, 4, 5, 12, 13
#define HI2 2, 3, 10, 11, 6, 7, 14, 15
#define LO1 0, 8, 2, 10, 4, 12, 6, 14
#define HI1 1, 9, 3, 11, 5, 13, 7, 15
// out[c][r] = in[r][c], 8 x 8 at a time: of R rows and C columns, a multiple of 8, `out` has C rows of `so` numbers, a
// multiple of 8 that is at least R, filled up with zeros.
static void transpose(long R, long C, const float *in, long si, float *out, long so) {
  for (long r = 0; r < so; r += 8)
    for (long c = 0; c < C; c += 8) {
      half m[8];
      _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) m[i] =
          r + i < R ? load_half(in + (r + i) * si + c) : (half){0};
      STAGE(4)
      STAGE(2)
      STAGE(1)
      _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) store_half(out + (c + i) * so + r, m[i]);
    }
}
