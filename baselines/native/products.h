// Products of matrices in registers, and transposes. A by two strides, so that either side may stand transposed.
#pragma once
#include "vectors.h"
#ifdef __AVX512F__
// C[i,j] (+)= sum_p A[i,p] B[p,j]; A by two strides, B and C by rows; N a multiple of 16
#define MICRO(MR, NV)                                                                                              \
  static void mk_##MR##_##NV(long K, const float *A, long si, long sp, const float *B, long sb, float *C, long sc, \
                             int acc) {                                                                            \
    vec c[MR][NV];                                                                                                 \
    _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++) _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++)     \
        c[i][j] = acc ? load(C + i * sc + 16 * j) : (vec){0};                                                      \
    for (long p = 0; p < K; p++) {                                                                                 \
      vec b[NV];                                                                                                   \
      _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++) b[j] = load(B + p * sb + 16 * j);                       \
      _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++) {                                                      \
        vec a = splat(A[i * si + p * sp]);                                                                         \
        _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++) c[i][j] += a * b[j];                                  \
      }                                                                                                            \
    }                                                                                                              \
    _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++) _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++)     \
        store(C + i * sc + 16 * j, c[i][j]);                                                                       \
  }
MICRO(12, 2)
MICRO(8, 2)
MICRO(4, 2) MICRO(2, 2) MICRO(1, 2) MICRO(16, 1) MICRO(8, 1) MICRO(4, 1) MICRO(2, 1)
    MICRO(1, 1) static void multiply(long M, long N, long K, const float *A, long si, long sp, const float *B, long sb,
                                     float *C, long sc, int acc) {
  long j = 0;
  for (; j + 32 <= N; j += 32) {
    long i = 0;
    for (; i + 12 <= M && (M - i) % 8; i += 12) mk_12_2(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 8 <= M; i += 8) mk_8_2(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 4 <= M; i += 4) mk_4_2(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 2 <= M; i += 2) mk_2_2(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i < M; i++) mk_1_2(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
  }
  for (; j < N; j += 16) {
    long i = 0;
    for (; i + 16 <= M; i += 16) mk_16_1(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 8 <= M; i += 8) mk_8_1(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 4 <= M; i += 4) mk_4_1(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 2 <= M; i += 2) mk_2_1(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i < M; i++) mk_1_1(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
  }
}
#else
typedef float half_at __attribute__((vector_size(32), aligned(4), may_alias));
#define load_half(p) ((half)(*(const half_at *)(p)))
// sixteen registers of eight floats: blocks of 6 x 16
#define MICRO8(MR)                                                                                                     \
  static void mk_##MR(long K, const float *A, long si, long sp, const float *B, long sb, float *C, long sc, int acc) { \
    half c[MR][2];                                                                                                     \
    _Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) _Pragma("GCC unroll 2") for (int j = 0; j < 2; j++) c[i][j] = \
        acc ? load_half(C + i * sc + 8 * j) : (half){0};                                                               \
    for (long p = 0; p < K; p++) {                                                                                     \
      half b0 = load_half(B + p * sb), b1 = load_half(B + p * sb + 8);                                                 \
      _Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) {                                                           \
        half a = A[i * si + p * sp] - (half){0};                                                                       \
        c[i][0] += a * b0;                                                                                             \
        c[i][1] += a * b1;                                                                                             \
      }                                                                                                                \
    }                                                                                                                  \
    _Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) _Pragma("GCC unroll 2") for (int j = 0; j < 2; j++) *         \
        (half_at *)(C + i * sc + 8 * j) = c[i][j];                                                                     \
  }
MICRO8(6)
MICRO8(4)
MICRO8(2) MICRO8(1) static void multiply(long M, long N, long K, const float *A, long si, long sp, const float *B,
                                         long sb, float *C, long sc, int acc) {
  for (long j = 0; j < N; j += 16) {
    long i = 0;
    for (; i + 6 <= M && (M - i) % 4 != 0; i += 6) mk_6(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 12 <= M; i += 6) mk_6(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 4 <= M; i += 4) mk_4(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i + 2 <= M; i += 2) mk_2(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
    for (; i < M; i++) mk_1(K, A + i * si, si, sp, B + j, sb, C + i * sc + j, sc, acc);
  }
}
#endif
// out[c][r] = in[r][c], 16 x 16 at a time; Cn a multiple of 16; out has rows of `so` >= pad(R) floats, filled up with
// zeros
#ifdef __AVX512F__
static void transpose(long R, long Cn, const float *in, long si, float *out, long so) {
  for (long r = 0; r < so; r += 16) {
    long n = R - r < 16 ? R - r : 16;
    for (long c = 0; c < Cn; c += 16) {
      vec m[16];
      _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) m[i] = i < n ? load(in + (r + i) * si + c) : (vec){0};
#define STAGE(S, LO, HI)                                                \
  _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) if (!(i & S)) { \
    vec a = m[i], b = m[i + S];                                         \
    m[i] = __builtin_shufflevector(a, b, LO);                           \
    m[i + S] = __builtin_shufflevector(a, b, HI);                       \
  }
#define L8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define H8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define L4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define H4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define L2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define H2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define L1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define H1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
      STAGE(8, L8, H8)
      STAGE(4, L4, H4)
      STAGE(2, L2, H2) STAGE(1, L1, H1) _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++)
          store(out + (c + i) * so + r, m[i]);
    }
  }
}
#else
static void transpose(long R, long Cn, const float *in, long si, float *out, long so) {
  for (long r = 0; r < so; r += 8)
    for (long c = 0; c < Cn; c += 8) {
      half m[8];
      long n = R - r < 8 ? R - r : 8;
      _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) m[i] = i < n ? load_half(in + (r + i) * si + c) : (half){0};
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
      STAGE(4)
      STAGE(2)
          STAGE(1) _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) * (half_at *)(out + (c + i) * so + r) = m[i];
    }
}
#endif
