// What blocks share: sizes, parameters, room for a tile of sequences, norms, the rotation of pairs.
#pragma once
#include "products.h"
// Of a call. Numbers are floats, switches 0 or 1.
typedef struct {
  int B, T, D, H, K, hidden,
      tile;                 // batch, tokens, width, heads, numbers of a head, units of the MLP, sequences of a tile
  int attends, past, keep;  // whether the mixer is attention; tokens kept before, and at most (-1: all)
  int forgets, corrects, gated;  // what the update rule of fast weights does; gated: writes have a strength
  float eps;                     // of the norms
} Dims;
#define LONGEST 64  // tokens of a window, a multiple of 16
INLINE long pad(long n) { return (n + 15) / 16 * 16; }
INLINE long width(const Dims *d) { return (long)d->H * d->K; }  // of all heads together
// Projections of a token: the output gate of fast weights; q, k, v; gates. And the first of those that writing needs.
INLINE long projections(const Dims *d) {
  return d->attends ? 3 * width(d) : 4 * width(d) + d->H * (d->forgets + d->gated);
}
INLINE long queries_at(const Dims *d) { return d->attends ? 0 : width(d); }
INLINE long keys_at(const Dims *d) { return queries_at(d) + width(d); }
// Keys that there are after the window's tokens came to those kept, and how many of them are kept.
INLINE long all_keys(const Dims *d) { return (long)d->past + d->T; }
INLINE long kept_keys(const Dims *d) { return d->keep < 0 || all_keys(d) < d->keep ? all_keys(d) : d->keep; }

// The next n numbers of a row of them.
static float *next(float **row, long n) {
  float *here = *row;
  *row += n;
  return here;
}
// The same, where each part begins at a multiple of 16.
static float *take(float **row, long n) { return next(row, pad(n)); }

// Parameters, or their gradients.
typedef struct {
  float *norm, *in, *out, *mlp_norm, *up, *down;  // of every block; in: all projections in one matrix
  float *q_norm, *k_norm;                         // of attention
  float *taps, *o_norm, *step, *rate;             // of fast weights
} Weights;
// Find them in one row, in the order in which `block.py` puts them together; how many there are.
static long split(const Dims *d, const float *row, Weights *w) {
  float *p = (float *)row;
  long D = d->D, W = width(d);
  w->norm = next(&p, D);
  w->in = next(&p, projections(d) * D);
  if (d->attends) {
    w->q_norm = next(&p, d->K);
    w->k_norm = next(&p, d->K);
  } else {
    w->taps = next(&p, 4 * 3 * W);
    w->o_norm = next(&p, d->K);
    w->step = next(&p, d->forgets * d->H);
    w->rate = next(&p, d->forgets * d->H);
  }
  w->out = next(&p, D * W);
  w->mlp_norm = next(&p, D);
  w->up = next(&p, d->hidden * D);
  w->down = next(&p, D * d->hidden);
  return p - row;
}

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
