// What blocks share: sizes, scratch, the norm, the rotation of pairs, the squared-ReLU MLP.
#pragma once
#include "products.h"
// Batch, tokens, width, heads, numbers of a head, hidden units, sequences of a tile; eps of the norms.
typedef struct {
  int B, T, D, H, K, hid, tile;
  float eps;
} Dims;
INLINE long pad(long n) { return (n + 15) / 16 * 16; }

// y = w x / sqrt(mean(x x) + eps) of R rows; r keeps the factors.
static void norm_forward(long R, long D, const float *x, long lx, const float *w, float *y, long ly, float *r,
                         float eps) {
  for (long i = 0; i < R; i++) {
    vec s = {0};
    for (long d = 0; d < D; d += VL) s += load(x + i * lx + d) * load(x + i * lx + d);
    r[i] = 1.0f / sqrtf(sum_of(s) / D + eps);
    for (long d = 0; d < D; d += VL) store(y + i * ly + d, load(x + i * lx + d) * r[i] * load(w + d));
  }
}

// dx (+)= ..., dw += ...
static void norm_backward(long R, long D, const float *x, long lx, const float *w, const float *r, const float *dy,
                          long ly, float *dx, long ldx, float *dw, int acc) {
  for (long i = 0; i < R; i++) {
    vec s = {0};
    for (long d = 0; d < D; d += VL) {
      vec g = load(dy + i * ly + d), xr = load(x + i * lx + d) * r[i];
      store(dw + d, load(dw + d) + g * xr);
      s += g * load(w + d) * xr;
    }
    float m = sum_of(s) / D;
    for (long d = 0; d < D; d += VL) {
      vec v = r[i] * (load(dy + i * ly + d) * load(w + d) - load(x + i * lx + d) * r[i] * m);
      store(dx + i * ldx + d, acc ? load(dx + i * ldx + d) + v : v);
    }
  }
}

static float *take(float **p, long n) {
  float *q = *p;
  *p += pad(n);
  return q;
}

// rotate the pairs (first half, second half) of K values by the angles in cs: cosines, then sines (back: -1 turns back)
INLINE void rotate(long K, const float *in, const float *cs, float back, float *out) {
  long half = K / 2;
#if VL == 16
  if (K == 16) {
    vec x = load(in), y = __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7),
        t = load(cs);
    vec c = __builtin_shufflevector(t, t, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7),
        s = __builtin_shufflevector(-t, t, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    store(out, x * c + y * (s * back));
  } else
#endif
    for (long y = 0; y < half; y += VL) {
      vec c = load(cs + y), s = load(cs + half + y) * back, a = load(in + y), b = load(in + half + y);
      store(out + y, a * c - b * s);
      store(out + half + y, a * s + b * c);
    }
}

typedef struct {
  const float *norm, *up, *down;
  float *upT, *downT, *dnorm, *dup, *ddown;
} Mlp;
typedef struct {
  float *xn, *r, *up, *hid, *dhid, *dxn;
} MlpW;
static void mlp_prepare(const Dims *d, Mlp *m, float **s) {
  m->upT = take(s, d->D * d->hid);
  m->downT = take(s, d->D * d->hid);
  transpose(d->hid, d->D, m->up, d->D, m->upT, d->hid);
  transpose(d->D, d->hid, m->down, d->hid, m->downT, d->D);
}

static void mlp_scratch(const Dims *d, MlpW *w, long R, float **s) {
  w->xn = take(s, R * d->D);
  w->r = take(s, R);
  w->up = take(s, R * d->hid);
  w->hid = take(s, R * d->hid);
  w->dhid = take(s, R * d->hid);
  w->dxn = take(s, R * d->D);
}

// The hidden layer, kept for the backward pass.
static void mlp_hidden(const Dims *d, const Mlp *m, MlpW *w, long R, const float *h1) {
  long D = d->D, hid = d->hid;
  norm_forward(R, D, h1, D, m->norm, w->xn, D, w->r, d->eps);
  multiply(R, hid, D, w->xn, D, 1, m->upT, hid, w->up, hid, 0);
  for (long i = 0; i < R * hid; i += VL) {
    vec a = load(w->up + i);
    a = choose(a > (vec){0}, a, (vec){0});
    store(w->up + i, a);
    store(w->hid + i, a * a);
  }
}

static void mlp_forward(const Dims *d, const Mlp *m, MlpW *w, long R, const float *h1, float *h2) {
  mlp_hidden(d, m, w, R, h1);
  memcpy(h2, h1, sizeof(float) * R * d->D);
  multiply(R, d->D, d->hid, w->hid, d->hid, 1, m->downT, d->D, h2, d->D, 1);
}

// dh1 = dh2 + through the MLP; needs mlp_hidden
static void mlp_backward(const Dims *d, const Mlp *m, MlpW *w, long R, const float *h1, const float *dh2, float *dh1) {
  long D = d->D, hid = d->hid;
  multiply(R, hid, D, dh2, D, 1, m->down, hid, w->dhid, hid, 0);
  multiply(D, hid, R, dh2, 1, D, w->hid, hid, m->ddown, hid, 1);
  for (long i = 0; i < R * hid; i += VL) store(w->dhid + i, load(w->dhid + i) * 2.0f * load(w->up + i));
  multiply(R, D, hid, w->dhid, hid, 1, m->up, D, w->dxn, D, 0);
  multiply(hid, D, R, w->dhid, 1, hid, w->xn, D, m->dup, D, 1);
  memcpy(dh1, dh2, sizeof(float) * R * D);
  norm_backward(R, D, h1, D, m->norm, w->r, w->dxn, D, dh1, D, m->dnorm, 1);
}
