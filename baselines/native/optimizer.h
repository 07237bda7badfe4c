// One step of the optimizer: clipping, Muon (Newton-Schulz as torch's, rounded to bf16) and AdamW.
#pragma once
#include "products.h"
INLINE vec to_bf16(vec x) {
  ivec u = (ivec)x;
  return (vec)((u + 0x7fff + ((u >> 16) & 1)) & (int)0xffff0000);
}  // to bf16 and back
static void newton_schulz(long r, long c, float *x, float eps,
                          float *s) {  // x [r, c], rows padded to 16 and c a multiple; r <= c
  float *xT = s, *G = xT + r * c, *U = G + r * r, *Y = U + r * r;
  vec q = {0};
  for (long i = 0; i < r * c; i += VL) {
    vec v = to_bf16(load(x + i));
    store(x + i, v);
    q += v * v;
  }
  float n = to_bf16(splat(sqrtf(sum_of(q))))[0], e = to_bf16(splat(eps))[0];
  n = n > e ? n : e;
  for (long i = 0; i < r * c; i += VL) store(x + i, to_bf16(load(x + i) / n));
  for (int k = 0; k < 5; k++) {
    transpose(r, c, x, c, xT, r);
    multiply(r, r, c, x, c, 1, xT, r, G, r, 0);
    for (long i = 0; i < r * r; i += VL) store(G + i, to_bf16(load(G + i)));
    multiply(r, r, r, G, r, 1, G, r, U, r, 0);
    for (long i = 0; i < r * r; i += VL) store(U + i, to_bf16(2.0315f * load(U + i) + -4.7750f * load(G + i)));
    multiply(r, c, r, U, r, 1, x, c, Y, c, 0);
    for (long i = 0; i < r * c; i += VL) store(x + i, to_bf16(load(Y + i) + 3.4445f * load(x + i)));
  }
}

float optimizer_step(int n, float **p, float **g, float **m, float **v, const long *rows, const long *cols,
                     const int *kind, float clip, double muon_lr, double adam_lr, double wd, const int *steps,
                     float *s) {
  double total = 0;
  for (int i = 0; i < n; i++) {
    long N = rows[i] * cols[i], j = 0;
    vec q = {0};
    double t = 0;
    for (; j + 16 <= N; j += VL) {
      vec z = load(g[i] + j);
      q += z * z;
    }
    for (; j < N; j++) t += (double)g[i][j] * g[i][j];
    total += t + sum_of(q);
  }
  float norm = sqrt(total), co = clip / (norm + 1e-6f);
  co = co < 1 ? co : 1;
  for (int i = 0; i < n; i++) {
    long R = rows[i], C = cols[i], N = R * C;
    float *P = p[i], *G = g[i], *M = m[i], *V = v[i];
    if (kind[i] == 0) {
      int tr = R > C;
      long a = pad(tr ? C : R), b = pad(tr ? R : C);
      float *x = s;
      memset(x, 0, sizeof(float) * a * b);
      for (long y = 0; y < R; y++)
        for (long z = 0; z < C; z++) {
          float gr = G[y * C + z] * co, bu = M[y * C + z];
          bu += 0.05f * (gr - bu);
          M[y * C + z] = bu;
          float up = bu - (bu - gr) * (1 - 0.95f);  // lerp as torch's for a weight of at least a half
          x[tr ? z * b + y : y * b + z] = up;
        }
      newton_schulz(a, b, x, 1e-7f, s + a * b);
      float lr = muon_lr * sqrt(R > C ? (double)R / C : 1), keep = 1 - muon_lr * wd;
      for (long y = 0; y < R; y++)
        for (long z = 0; z < C; z++) P[y * C + z] = P[y * C + z] * keep - lr * x[tr ? z * b + y : y * b + z];
    } else {
      float keep = 1 - adam_lr * wd, sz = adam_lr / (1 - pow(0.9, steps[i])), ic = sqrt(1 - pow(0.999, steps[i]));
      for (long j = 0; j < N; j++) {
        float gr = G[j] * co;
        M[j] += 0.1f * (gr - M[j]);
        V[j] = V[j] * 0.999f + 0.001f * gr * gr;
        P[j] = P[j] * keep - sz * M[j] / (sqrtf(V[j]) / ic + 1e-8f);
      }
    }
  }
  return norm;
}
