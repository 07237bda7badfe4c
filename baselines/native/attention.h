// A block of window attention under hard eviction: norm, attention, residual, norm, MLP, residual.
#pragma once
#include "parts.h"
// Parameters, in the order in which `block.py` puts them together.
typedef struct {
  const float *norm, *qkv, *qn, *kn, *out;
  Mlp m;
} Att;
static long att_split(const Dims *d, Att *g, const float *f) {
  long D = d->D, K = D / d->H;
  const float *p = f;
  g->norm = p;
  p += D;
  g->qkv = p;
  p += 3 * D * D;
  g->qn = p;
  p += K;
  g->kn = p;
  p += K;
  g->out = p;
  p += D * D;
  g->m.norm = p;
  p += D;
  g->m.up = p;
  p += d->hid * D;
  g->m.down = p;
  p += D * d->hid;
  return p - f;
}

typedef struct {
  float *xn, *r, *P, *rq, *rot, *p, *o, *h1;
  MlpW m;
  float *dP, *dO, *dh1, *kT, *vT, *dp, *dq;
} AttW;
typedef struct {
  float *qkvT, *outT, *cs;
} AttP;
// Transposed weights, and cosines and sines of the rotary angles of each position.
static void att_prepare(const Dims *d, Att *g, AttP *p, float **s) {
  long D = d->D, K = D / d->H, half = K / 2;
  p->qkvT = take(s, 3 * D * D);
  p->outT = take(s, D * D);
  p->cs = take(s, d->T * K);
  transpose(3 * D, D, g->qkv, D, p->qkvT, 3 * D);
  transpose(D, D, g->out, D, p->outT, D);
  for (long i = 0; i < half; i++) {
    double f = pow(10000.0, -(double)(2 * i) / K);
    for (long t = 0; t < d->T; t++) {
      p->cs[t * K + i] = cos(t * f);
      p->cs[t * K + half + i] = sin(t * f);
    }
  }
  mlp_prepare(d, &g->m, s);
}

static void att_scratch(const Dims *d, AttW *w, float **s, int bwd) {
  long R = (long)d->tile * d->T, D = d->D, H = d->H, Tp = pad(d->T), K = D / H;
  w->xn = take(s, R * D);
  w->r = take(s, R);
  w->P = take(s, R * 3 * D);
  w->rq = take(s, R * 2 * H);
  w->rot = take(s, R * 2 * D);
  w->p = take(s, d->tile * H * d->T * Tp);
  w->o = take(s, R * D);
  w->h1 = take(s, R * D);
  mlp_scratch(d, &w->m, R, s);
  w->kT = take(s, K * Tp);
  if (bwd) {
    w->dP = take(s, R * 3 * D);
    w->dO = take(s, R * D);
    w->dh1 = take(s, R * D);
    w->vT = take(s, K * Tp);
    w->dp = take(s, d->T * Tp);
    w->dq = take(s, R * 2 * D);
  }
}

// The forward pass of a tile up to the residual after the mixer.
static void att_tile(const Dims *d, Att *g, AttP *p, AttW *w, long ns, const float *h, float *h1) {
  long T = d->T, Tp = pad(T), D = d->D, H = d->H, K = D / H, R = ns * T;
  norm_forward(R, D, h, D, g->norm, w->xn, D, w->r, d->eps);
  multiply(R, 3 * D, D, w->xn, D, 1, p->qkvT, 3 * D, w->P, 3 * D, 0);
  for (long i = 0; i < R; i++)
    for (long x = 0; x < 2 * H; x++) {
      const float *a = w->P + i * 3 * D + x * K, *n = x < H ? g->qn : g->kn, *cs = p->cs + (i % T) * K;
      float *o = w->rot + i * 2 * D + x * K, tmp[256];
      vec ss = {0};
      for (long y = 0; y < K; y += VL) ss += load(a + y) * load(a + y);
      float r = 1.0f / sqrtf(sum_of(ss) / K + d->eps);
      w->rq[i * 2 * H + x] = r;
      for (long y = 0; y < K; y += VL) store(tmp + y, load(a + y) * r * load(n + y));
      rotate(K, tmp, cs, 1.0f, o);
    }
  float scale = 1.0f / sqrtf((float)K);
  for (long s = 0; s < ns; s++)
    for (long x = 0; x < H; x++) {
      float *pr = w->p + (s * H + x) * T * Tp;
      const float *q = w->rot + s * T * 2 * D + x * K, *k = q + D, *v = w->P + s * T * 3 * D + 2 * D + x * K;
      transpose(T, K, k, 2 * D, w->kT, Tp);
      multiply(T, Tp, K, q, 2 * D, 1, w->kT, Tp, pr, Tp, 0);
      for (long t = 0; t < T; t++) {
        float *row = pr + t * Tp;
        vec sum = {0};
        long seen = pad(t + 1);
        for (long y = seen - 16; y < seen; y += VL)
          store(row + y, choose(LANES <= (int)(t - y), load(row + y), splat(-INFINITY)));
        vec m = load(row);
        for (long y = VL; y < seen; y += VL) {
          vec z = load(row + y);
          m = choose(z > m, z, m);
        }
        float mx = max_of(m);
        for (long y = 0; y < seen; y += VL) {
          vec e = vexp((load(row + y) - mx) * scale);
          sum += e;
          store(row + y, e);
        }
        float inv = 1.0f / sum_of(sum);
        for (long y = 0; y < seen; y += VL) store(row + y, load(row + y) * inv);
        for (long y = seen; y < Tp; y += VL) store(row + y, (vec){0});
      }
      multiply(T, K, T, pr, Tp, 1, v, 3 * D, w->o + s * T * D + x * K, D, 0);
    }
  memcpy(h1, h, sizeof(float) * R * D);
  multiply(R, D, D, w->o, D, 1, p->outT, D, h1, D, 1);
}

// The block forward: features h [B, T, D] -> h2.
void attention_forward(const Dims *d, const float *flat, const float *h, float *h2, float *scratch) {
  Att g;
  AttP p;
  AttW w;
  float *s = scratch;
  att_split(d, &g, flat);
  att_prepare(d, &g, &p, &s);
  att_scratch(d, &w, &s, 0);
  long n = (long)d->T * d->D;
  for (long b = 0; b < d->B; b += d->tile) {
    long ns = d->B - b < d->tile ? d->B - b : d->tile;
    att_tile(d, &g, &p, &w, ns, h + b * n, w.h1);
    mlp_forward(d, &g.m, &w.m, ns * d->T, w.h1, h2 + b * n);
  }
}

// The block backward, its forward computed again.
void attention_backward(const Dims *d, const float *flat, const float *h, const float *dh2, float *dh, float *dflat,
                        float *scratch) {
  Att g, dg;
  AttP p;
  AttW w;
  float *s = scratch;
  long total = att_split(d, &g, flat);
  att_split(d, &dg, dflat);
  memset(dflat, 0, sizeof(float) * total);
  att_prepare(d, &g, &p, &s);
  att_scratch(d, &w, &s, 1);
  g.m.dnorm = (float *)dg.m.norm;
  g.m.dup = (float *)dg.m.up;
  g.m.ddown = (float *)dg.m.down;
  long T = d->T, Tp = pad(T), D = d->D, H = d->H, K = D / H, n = T * D;
  float scale = 1.0f / sqrtf((float)K);
  for (long b = 0; b < d->B; b += d->tile) {
    long ns = d->B - b < d->tile ? d->B - b : d->tile, R = ns * T;
    const float *hb = h + b * n;
    float *dhb = dh + b * n;
    att_tile(d, &g, &p, &w, ns, hb, w.h1);
    mlp_hidden(d, &g.m, &w.m, R, w.h1);
    mlp_backward(d, &g.m, &w.m, R, w.h1, dh2 + b * n, w.dh1);
    multiply(R, D, D, w.dh1, D, 1, g.out, D, w.dO, D, 0);
    multiply(D, D, R, w.dh1, 1, D, w.o, D, (float *)dg.out, D, 1);
    for (long q_ = 0; q_ < ns; q_++)
      for (long x = 0; x < H; x++) {
        const float *pr = w.p + (q_ * H + x) * T * Tp, *q = w.rot + q_ * T * 2 * D + x * K, *k = q + D,
                    *v = w.P + q_ * T * 3 * D + 2 * D + x * K, *dO = w.dO + q_ * T * D + x * K;
        float *dq = w.dq + q_ * T * 2 * D + x * K, *dk = dq + D, *dv = w.dP + q_ * T * 3 * D + 2 * D + x * K;
        transpose(T, K, v, 3 * D, w.vT, Tp);
        multiply(T, Tp, K, dO, D, 1, w.vT, Tp, w.dp, Tp, 0);
        multiply(T, K, T, pr, 1, Tp, dO, D, dv, 3 * D, 0);
        for (long t = 0; t < T; t++) {
          vec a = {0};
          for (long y = 0; y < Tp; y += VL) a += load(w.dp + t * Tp + y) * load(pr + t * Tp + y);
          float m = sum_of(a);
          for (long y = 0; y < Tp; y += VL)
            store(w.dp + t * Tp + y, scale * load(pr + t * Tp + y) * (load(w.dp + t * Tp + y) - m));
        }
        multiply(T, K, T, w.dp, Tp, 1, k, 2 * D, dq, 2 * D, 0);
        multiply(T, K, T, w.dp, 1, Tp, q, 2 * D, dk, 2 * D, 0);
      }
    for (long i = 0; i < R; i++)
      for (long x = 0; x < 2 * H; x++) {
        const float *a = w.P + i * 3 * D + x * K, *nn = x < H ? g.qn : g.kn, *cs = p.cs + (i % T) * K,
                    *go = w.dq + i * 2 * D + x * K;
        float *dn = (float *)(x < H ? dg.qn : dg.kn), *o = w.dP + i * 3 * D + x * K, tmp[256], r = w.rq[i * 2 * H + x];
        vec ss = {0};
        rotate(K, go, cs, -1.0f, tmp);
        for (long y = 0; y < K; y += VL) {
          vec gr = load(tmp + y), xr = load(a + y) * r;
          store(dn + y, load(dn + y) + gr * xr);
          ss += gr * load(nn + y) * xr;
        }
        float m = sum_of(ss) / K;
        for (long y = 0; y < K; y += VL) store(o + y, r * (load(tmp + y) * load(nn + y) - load(a + y) * r * m));
      }
    multiply(R, D, 3 * D, w.dP, 3 * D, 1, g.qkv, D, w.m.dxn, D, 0);
    multiply(3 * D, D, R, w.dP, 1, 3 * D, w.xn, D, (float *)dg.qkv, D, 1);
    memcpy(dhb, w.dh1, sizeof(float) * R * D);
    norm_backward(R, D, hb, D, g.norm, w.r, w.m.dxn, D, dhb, D, (float *)dg.norm, 1);
  }
}

// Floats of scratch that one call takes.
long attention_need(const Dims *d, int backward) {
  AttW w;
  float origin[1], *s = origin;
  long D = d->D, K = D / d->H;
  take(&s, 3 * D * D);
  take(&s, D * D);
  take(&s, d->T * K);
  take(&s, D * d->hid);
  take(&s, D * d->hid);
  att_scratch(d, &w, &s, backward);
  return s - origin;
}
