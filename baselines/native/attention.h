// Attention over the tokens of a window and the keys and values that were kept of earlier ones.
#pragma once
#include "parts.h"
// Of every sequence and head, n keys: turned queries [T, K] and keys [n, K], values, shares [T, n], 1 / norms of q and
// k; then cosines and sines of every position, and room for one head at a time.
typedef struct {
  float *q, *k, *v, *p, *r, *turn, *kT, *dq, *dk, *dv, *dp;
} Attention;
static void attention_room(const Dims *d, Attention *a, float **s, int backward) {
  long U = (long)d->tile * d->H, T = d->T, K = d->K, n = all_keys(d), np = pad(n);
  a->q = take(s, U * T * K);
  a->k = take(s, U * n * K);
  a->v = take(s, U * n * K);
  a->p = take(s, U * T * np);
  a->r = take(s, U * 2 * T);
  a->turn = take(s, n * K);
  a->kT = take(s, K * np);  // or of values
  if (!backward) return;
  a->dq = take(s, T * K);
  a->dk = take(s, n * K);
  a->dv = take(s, n * K);
  a->dp = take(s, T * np);
}

// Cosines, then sines, of the angles of each position, which count from the oldest key.
static void attention_prepare(const Dims *d, Attention *a) {
  long K = d->K;
  for (long i = 0; i < K / 2; i++) {
    double frequency = pow(10000.0, -(double)(2 * i) / K);
    for (long t = 0; t < all_keys(d); t++) {
      a->turn[t * K + i] = cos(t * frequency);
      a->turn[t * K + K / 2 + i] = sin(t * frequency);
    }
  }
}

// Turn the pairs (first half, second half) of R rows in place, by the angles of positions `first` on; back if -1.
static void rotate(const Dims *d, const Attention *a, long R, float *x, long first, float back) {
  long K = d->K, half_way = K / 2;
  for (long t = 0; t < R; t++)
    for (long y = 0; y < half_way; y += 8) {
      const float *angle = a->turn + (first + t) * K + y;
      float *at = x + t * K + y;
      half c = load_half(angle), s = load_half(angle + half_way) * back, u = load_half(at),
           v = load_half(at + half_way);
      store_half(at, u * c - v * s);
      store_half(at + half_way, u * s + v * c);
    }
}

// Rows of scores [T, n] to shares: of the keys that a token sees, itself and `keep` before it, or all before it.
static void softmax(const Dims *d, float *rows) {
  long np = pad(all_keys(d));
  float scale = 1.0f / sqrtf((float)d->K);
  for (long t = 0; t < d->T; t++) {
    float *row = rows + t * np;
    long last = d->past + t, first = d->keep > 0 && last > d->keep ? last - d->keep : 0, from = first / 16 * 16,
         to = pad(last + 1);
    vec sum = {0}, most = splat(-INFINITY);
    for (long y = from; y < to; y += VL) {
      vec z = choose((LANES >= (int)(first - y)) & (LANES <= (int)(last - y)), load(row + y), splat(-INFINITY));
      most = choose(z > most, z, most);
      store(row + y, z);
    }
    float top = max_of(most);
    for (long y = from; y < to; y += VL) {
      vec e = vexp((load(row + y) - top) * scale);
      sum += e;
      store(row + y, e);
    }
    float share = 1.0f / sum_of(sum);
    for (long y = from; y < to; y += VL) store(row + y, load(row + y) * share);
    memset(row, 0, sizeof(float) * from);
    memset(row + to, 0, sizeof(float) * (np - to));
  }
}

// From projections P of a tile to mixed values y, if read, and the keys and values that are kept.
static void attention_forward(const Dims *d, const Weights *w, Attention *a, long ns, const float *P, long lp, float *y,
                              const float *kept, float *after, int read) {
  long T = d->T, H = d->H, K = d->K, W = width(d), n = all_keys(d), np = pad(n), C = d->past, keeps = kept_keys(d);
  for (long s = 0; s < ns; s++)
    for (long h = 0; h < H; h++) {
      long U = s * H + h, old = (2 * s * H + h) * C * K, new = (2 * s * H + h) * keeps *K;
      const float *p = P + s * T * lp + h * K;
      float *q = a->q + U * T * K, *k = a->k + U * n * K, *v = a->v + U * n * K, *r = a->r + U * 2 * T;
      if (C) memcpy(k, kept + old, sizeof(float) * C * K);
      if (C) memcpy(v, kept + old + H * C * K, sizeof(float) * C * K);
      norm_forward(T, K, p + W, lp, w->k_norm, k + C * K, K, r + T, d->eps);
      for (long t = 0; t < T; t++) memcpy(v + (C + t) * K, p + t * lp + 2 * W, sizeof(float) * K);
      if (after) {
        memcpy(after + new, k + (n - keeps) * K, sizeof(float) * keeps * K);
        memcpy(after + new + H * keeps * K, v + (n - keeps) * K, sizeof(float) * keeps * K);
      }
      if (!read) continue;
      norm_forward(T, K, p, lp, w->q_norm, q, K, r, d->eps);
      rotate(d, a, T, q, C, 1);
      rotate(d, a, n, k, 0, 1);
      transpose(n, K, k, K, a->kT, np);
      float *shares = a->p + U * T * np;
      multiply(T, np, K, q, K, 1, a->kT, np, shares, np, 0);
      softmax(d, shares);
      multiply(T, K, n, shares, np, 1, v, K, y + s * T * W + h * K, W, 0);
    }
}

// From gradients dy of what was mixed, if read, and of what is kept, if given, to those of projections and of `kept`.
static void attention_backward(const Dims *d, const Weights *w, Weights *dw, Attention *a, long ns, const float *P,
                               float *dP, long lp, const float *dy, const float *dafter, float *dkept, int read) {
  long T = d->T, H = d->H, K = d->K, W = width(d), n = all_keys(d), np = pad(n), C = d->past, keeps = kept_keys(d);
  float scale = 1.0f / sqrtf((float)K);
  for (long s = 0; s < ns; s++)
    for (long h = 0; h < H; h++) {
      long U = s * H + h, old = (2 * s * H + h) * C * K, new = (2 * s * H + h) * keeps *K;
      const float *p = P + s * T * lp + h * K, *dO = dy + s * T * W + h * K, *r = a->r + U * 2 * T;
      float *q = a->q + U * T * K, *k = a->k + U * n * K, *v = a->v + U * n * K, *dp = dP + s * T * lp + h * K;
      if (read) {
        const float *shares = a->p + U * T * np;
        transpose(n, K, v, K, a->kT, np);
        multiply(T, np, K, dO, W, 1, a->kT, np, a->dp, np, 0);
        multiply(n, K, T, shares, 1, np, dO, W, a->dv, K, 0);
        for (long t = 0; t < T; t++) {
          vec sum = {0};
          for (long y = t * np; y < (t + 1) * np; y += VL) sum += load(a->dp + y) * load(shares + y);
          float mean = sum_of(sum);
          for (long y = t * np; y < (t + 1) * np; y += VL)
            store(a->dp + y, scale * load(shares + y) * (load(a->dp + y) - mean));
        }
        multiply(T, K, n, a->dp, np, 1, k, K, a->dq, K, 0);
        multiply(n, K, T, a->dp, 1, np, q, K, a->dk, K, 0);
        rotate(d, a, T, a->dq, C, -1);
        rotate(d, a, n, a->dk, 0, -1);
        norm_backward(T, K, p, lp, w->q_norm, r, a->dq, K, dp, lp, dw->q_norm, 0);
      } else {
        memset(a->dk, 0, sizeof(float) * n * K);
        memset(a->dv, 0, sizeof(float) * n * K);
      }
      for (long x = 0; dafter && x < keeps * K; x += VL) {
        float *dk = a->dk + (n - keeps) * K + x, *dv = a->dv + (n - keeps) * K + x;
        store(dk, load(dk) + load(dafter + new + x));
        store(dv, load(dv) + load(dafter + new + H * keeps * K + x));
      }
      if (dkept) {
        memcpy(dkept + old, a->dk, sizeof(float) * C * K);
        memcpy(dkept + old + H * C * K, a->dv, sizeof(float) * C * K);
      }
      norm_backward(T, K, p + W, lp, w->k_norm, r + T, a->dk + C * K, K, dp + W, lp, dw->k_norm, 0);
      for (long t = 0; t < T; t++) memcpy(dp + t * lp + 2 * W, a->dv + (C + t) * K, sizeof(float) * K);
    }
}
