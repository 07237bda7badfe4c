// A block of Gated DeltaNet: norm, mixer, residual, norm, MLP, residual, forward and backward.
//
// Sequences are taken a tile at a time, so that everything between a block's input and output stays in the first
// caches; the backward pass computes the forward pass again from the block's input instead of storing it. Within a
// window the rule is its chunk form: u solves (I + A) u = b (v - e k S), with A the masked, decayed k k'.
#pragma once
#include "parts.h"
// Parameters, in the order in which `block.py` puts them together.
typedef struct {
  const float *norm, *qkv, *conv, *gates, *og, *hnorm, *out, *bias, *rate;
  Mlp m;
} Gdn;
// Find the parameters in one row of them; how many they are.
static long gdn_split(const Dims *d, Gdn *g, const float *f) {
  long D = d->D, H = d->H, W = H * d->K;
  const float *p = f;
  g->norm = p;
  p += D;
  g->qkv = p;
  p += 3 * W * D;
  g->conv = p;
  p += 12 * W;
  g->gates = p;
  p += 2 * H * D;
  g->og = p;
  p += W * D;
  g->hnorm = p;
  p += d->K;
  g->out = p;
  p += D * W;
  g->bias = p;
  p += H;
  g->rate = p;
  p += H;
  g->m.norm = p;
  p += D;
  g->m.up = p;
  p += d->hid * D;
  g->m.down = p;
  p += D * d->hid;
  return p - f;
}

// What a tile of sequences needs on its way. R tokens, Np projections, T padded to Tp.
typedef struct {
  // Of every token: normed features, 1 / its norm; projections (q, k, v, output gate, gates); convolved; after SiLU and
  // at unit length; 1 / those lengths; outputs of the rule, 1 / their norms; gated; features after the mixer.
  float *xn, *r, *P, *c, *a, *ri, *o, *ro, *y, *h1;
  // Of every sequence and head: write strengths, slopes of the softplus, logarithms of decays, decays since the start
  // of the window, decays from x to t; k k', q k', k S, q S; corrected values.
  float *beta, *sp, *ld, *e, *Dm, *kk, *qk, *kS, *qS, *u;
  MlpW m;
  float *dP, *da, *dy, *dO, *dh1;
  float *t0, *t1, *t2, *t3, *t4;  // small
} GdnW;
// Take room for a tile.
static void gdn_scratch(const Dims *d, GdnW *w, float **s, int bwd) {
  long R = (long)d->tile * d->T, D = d->D, H = d->H, K = d->K, W = H * K, Np = 4 * W + pad(2 * H), T = d->T,
       Tp = pad(T), U = d->tile * H;
  w->xn = take(s, R * D);
  w->r = take(s, R);
  w->P = take(s, R * Np);
  w->c = take(s, R * 3 * W);
  w->a = take(s, R * 3 * W);
  w->ri = take(s, R * 2 * H);
  w->o = take(s, R * W);
  w->ro = take(s, R * H);
  w->y = take(s, R * W);
  w->h1 = take(s, R * D);
  w->beta = take(s, U * Tp);
  w->sp = take(s, U * Tp);
  w->ld = take(s, U * Tp);
  w->e = take(s, U * Tp);
  w->Dm = take(s, U * Tp * Tp);
  w->kk = take(s, U * Tp * Tp);
  w->qk = take(s, U * Tp * Tp);
  w->kS = take(s, U * T * K);
  w->qS = take(s, U * T * K);
  w->u = take(s, U * T * K);
  mlp_scratch(d, &w->m, R, s);
  long big = (Tp > K ? Tp : K);
  big *= big;
  w->t0 = take(s, big);
  w->t1 = take(s, big);
  w->t2 = take(s, big);
  w->t3 = take(s, big);
  w->t4 = take(s, big);
  if (bwd) {
    w->dP = take(s, R * Np);
    w->da = take(s, R * 3 * W);
    w->dy = take(s, R * W);
    w->dO = take(s, R * W);
    w->dh1 = take(s, R * D);
  }
}

// Short convolution over the last four tokens, SiLU, and unit length of q and k; of k and v alone from W on.
static void gdn_features(const Dims *d, const Gdn *g, GdnW *w, long ns, int from) {
  long T = d->T, H = d->H, K = d->K, W = H * K, C = 3 * W, Np = 4 * W + pad(2 * H);
  for (long s = 0; s < ns; s++)
    for (long t = 0; t < T; t++) {
      long row = s * T + t;
      int taps = t < 3 ? t + 1 : 4;
      for (long x = from; x < C; x += VL) {
        vec acc = load(w->P + row * Np + x) * load(g->conv + x);
        for (int j = 1; j < taps; j++) acc += load(w->P + (row - j) * Np + x) * load(g->conv + j * C + x);
        store(w->c + row * C + x, acc);
        store(w->a + row * C + x, acc * vsigmoid(acc));
      }
      for (long h = (from ? H : 0); h < 2 * H; h++) {
        float *q = w->a + row * C + h * K;
        vec ss = {0};
        for (long x = 0; x < K; x += VL) ss += load(q + x) * load(q + x);
        float ri = 1.0f / sqrtf(sum_of(ss) + 1e-6f);
        w->ri[row * 2 * H + h] = ri;
        for (long x = 0; x < K; x += VL) store(q + x, load(q + x) * ri);
      }
    }
}

// The logarithm of a decay below which nothing is left in single precision. Minus infinity is brought to it, so that
// nothing times infinity does not arise; gradients through such a decay are 0.
#define NOTHING_LEFT -87.0f
static void gdn_gates(const Dims *d, const Gdn *g, GdnW *w, long ns) {
  long T = d->T, Tp = pad(T), H = d->H, W = H * d->K, Np = 4 * W + pad(2 * H);
  for (long s = 0; s < ns; s++)
    for (long h = 0; h < H; h++) {
      long U = s * H + h;
      float *sp = w->sp + U * Tp, *be = w->beta + U * Tp, *ld = w->ld + U * Tp, *e = w->e + U * Tp;
      float since[64], rate = expf(g->rate[h]);
      for (long t = 0; t < T; t++) {
        const float *G = w->P + (s * T + t) * Np + 4 * W;
        sp[t] = G[h] + g->bias[h];
        be[t] = G[H + h];
      }
      for (long t = T; t < Tp; t++) sp[t] = be[t] = 0;
      for (long t = 0; t < Tp; t += VL) {
        vec decay = -rate * vsoftplus(load(sp + t));
        store(ld + t, choose(decay > splat(NOTHING_LEFT), decay, splat(NOTHING_LEFT)));
        store(sp + t, vsigmoid(load(sp + t)));
        store(be + t, vsigmoid(load(be + t)));
      }
      // Decays from x to t are summed step by step: a difference of sums from the start would lose small ones behind a
      // large one.
      float sum = 0, *Dm = w->Dm + U * Tp * Tp;
      memset(since, 0, sizeof(float) * Tp);
      for (long t = 0; t < T; t++) {
        sum += ld[t];
        e[t] = sum;
        for (long x = 0; x < Tp; x += VL) {
          vec from = choose(LANES < (int)(t - x), load(since + x) + ld[t], (vec){0});
          store(since + x, from);
          store(Dm + t * Tp + x, choose(LANES <= (int)(t - x), vexp(from), (vec){0}));
        }
      }
      for (long t = T; t < Tp; t++) e[t] = sum;
      for (long t = 0; t < Tp; t += VL) store(e + t, vexp(load(e + t)));
    }
}

// The rule on one window of one head: u by forward substitution, the new state if there is room for it, outputs if
// read.
static void gdn_core(const Dims *d, GdnW *w, long s, long h, const float *S, float *S2, int read) {
  long T = d->T, Tp = pad(T), H = d->H, K = d->K, W = H * K, C = 3 * W, U = s * H + h;
  const float *q = w->a + s * T * C + h * K, *k = q + W, *v = k + W;
  float *kT = w->t0, *A = w->t1, *Dm = w->Dm + U * Tp * Tp, *kk = w->kk + U * Tp * Tp, *qk = w->qk + U * Tp * Tp;
  float *kS = w->kS + U * T * K, *qS = w->qS + U * T * K, *u = w->u + U * T * K, *be = w->beta + U * Tp,
        *e = w->e + U * Tp;
  transpose(T, K, k, C, kT, Tp);
  multiply(T, Tp, K, k, C, 1, kT, Tp, kk, Tp, 0);
  multiply(T, K, K, k, C, 1, S, K, kS, K, 0);
  for (long t = 0; t < T; t++) {
    for (long x = 0; x < Tp; x += VL) store(A + t * Tp + x, be[t] * load(Dm + t * Tp + x) * load(kk + t * Tp + x));
    for (long x = 0; x < K; x += VL) store(u + t * K + x, be[t] * (load(v + t * C + x) - e[t] * load(kS + t * K + x)));
  }
  for (long t = 0; t < T; t++) {  // unit lower triangular solve, right-looking
    if (K == VL) {
      vec ut = load(u + t * K);
      for (long x = t + 1; x < T; x++) store(u + x * K, load(u + x * K) - A[x * Tp + t] * ut);
    } else
      for (long x = t + 1; x < T; x++) {
        float f = A[x * Tp + t];
        for (long y = 0; y < K; y += VL) store(u + x * K + y, load(u + x * K + y) - f * load(u + t * K + y));
      }
  }
  if (S2) {
    float *kd = w->t1;
    for (long t = 0; t < T; t++)
      for (long x = 0; x < K; x += VL) store(kd + t * K + x, Dm[(T - 1) * Tp + t] * load(k + t * C + x));
    for (long x = 0; x < K * K; x += VL) store(S2 + x, e[T - 1] * load(S + x));
    multiply(K, K, T, kd, 1, K, u, K, S2, K, 1);
  }
  if (read) {
    multiply(T, Tp, K, q, C, 1, kT, Tp, qk, Tp, 0);
    multiply(T, K, K, q, C, 1, S, K, qS, K, 0);
    float *o = w->o + s * T * W + h * K, *Pq = w->t1;
    for (long t = 0; t < T; t++) {
      for (long x = 0; x < Tp; x += VL) store(Pq + t * Tp + x, load(Dm + t * Tp + x) * load(qk + t * Tp + x));
      for (long x = 0; x < K; x += VL) store(o + t * W + x, e[t] * load(qS + t * K + x));
    }
    multiply(T, K, T, Pq, Tp, 1, u, K, o, W, 1);
  }
}

// Parameters laid out for products: all projections in one matrix, and transposed.
typedef struct {
  float *all, *allT, *outT, *dall;
} GdnP;
static void gdn_prepare(const Dims *d, Gdn *g, GdnP *p, float **s, int bwd) {
  long D = d->D, H = d->H, W = H * d->K, Np = 4 * W + pad(2 * H);
  p->all = take(s, Np * D);
  p->allT = take(s, Np * D);
  p->outT = take(s, W * D);
  p->dall = bwd ? take(s, Np * D) : 0;
  memcpy(p->all, g->qkv, sizeof(float) * 3 * W * D);
  memcpy(p->all + 3 * W * D, g->og, sizeof(float) * W * D);
  memset(p->all + 4 * W * D, 0, sizeof(float) * (Np - 4 * W) * D);
  memcpy(p->all + 4 * W * D, g->gates, sizeof(float) * 2 * H * D);
  transpose(Np, D, p->all, D, p->allT, Np);
  transpose(D, W, g->out, W, p->outT, D);
  if (bwd) memset(p->dall, 0, sizeof(float) * Np * D);
  mlp_prepare(d, &g->m, s);
}

// The forward pass of a tile up to the residual after the mixer; unless outputs are read, only what the state needs.
static void gdn_tile(const Dims *d, Gdn *g, GdnP *p, GdnW *w, long ns, const float *h, const float *S, float *h1,
                     float *S2, int read) {
  long T = d->T, D = d->D, H = d->H, K = d->K, W = H * K, Np = 4 * W + pad(2 * H), R = ns * T;
  norm_forward(R, D, h, D, g->norm, w->xn, D, w->r, d->eps);
  if (read) multiply(R, Np, D, w->xn, D, 1, p->allT, Np, w->P, Np, 0);
  else {  // neither queries nor the output gate
    multiply(R, 2 * W, D, w->xn, D, 1, p->allT + W, Np, w->P + W, Np, 0);
    multiply(R, Np - 4 * W, D, w->xn, D, 1, p->allT + 4 * W, Np, w->P + 4 * W, Np, 0);
  }
  gdn_features(d, g, w, ns, read ? 0 : W);
  gdn_gates(d, g, w, ns);
  for (long s = 0; s < ns; s++)
    for (long x = 0; x < H; x++) gdn_core(d, w, s, x, S + (s * H + x) * K * K, S2 ? S2 + (s * H + x) * K * K : 0, read);
  if (!read) return;
  for (long i = 0; i < R; i++)
    for (long x = 0; x < H; x++) {
      const float *o = w->o + i * W + x * K, *og = w->P + i * Np + 3 * W + x * K;
      vec ss = {0};
      for (long y = 0; y < K; y += VL) ss += load(o + y) * load(o + y);
      float r = 1.0f / sqrtf(sum_of(ss) / K + d->eps);
      w->ro[i * H + x] = r;
      for (long y = 0; y < K; y += VL) {
        vec z = load(og + y);
        store(w->y + i * W + x * K + y, load(o + y) * r * load(g->hnorm + y) * z * vsigmoid(z));
      }
    }
  memcpy(h1, h, sizeof(float) * R * D);
  multiply(R, D, W, w->y, W, 1, p->outT, D, h1, D, 1);
}

// The block forward: features h [B, T, D], state S [B, H, K, K] -> h2 (or 0: not needed), S2 (or 0).
void delta_forward(const Dims *d, const float *flat, const float *h, const float *S, float *h2, float *S2,
                   float *scratch) {
  Gdn g;
  GdnP p;
  GdnW w;
  float *s = scratch;
  gdn_split(d, &g, flat);
  gdn_prepare(d, &g, &p, &s, 0);
  gdn_scratch(d, &w, &s, 0);
  long n = (long)d->T * d->D, ss = (long)d->H * d->K * d->K;
  for (long b = 0; b < d->B; b += d->tile) {
    long ns = d->B - b < d->tile ? d->B - b : d->tile;
    gdn_tile(d, &g, &p, &w, ns, h + b * n, S + b * ss, w.h1, S2 ? S2 + b * ss : 0, h2 != 0);
    if (h2) mlp_forward(d, &g.m, &w.m, ns * d->T, w.h1, h2 + b * n);
  }
}

// The gradients of the rule on one window of one head, by all that went into it.
static void gdn_core_bwd(const Dims *d, const Gdn *g, GdnW *w, long s, long h, const float *S, const float *dS2,
                         float *dS, float *dbias, float *drate, int read) {
  long T = d->T, Tp = pad(T), H = d->H, K = d->K, W = H * K, C = 3 * W, U = s * H + h, Np = 4 * W + pad(2 * H);
  const float *q = w->a + s * T * C + h * K, *k = q + W, *v = k + W, *dO = w->dO + s * T * W + h * K;
  float *dq = w->da + s * T * C + h * K, *dk = dq + W, *dv = dk + W;
  float *Dm = w->Dm + U * Tp * Tp, *kk = w->kk + U * Tp * Tp, *qk = w->qk + U * Tp * Tp;
  float *kS = w->kS + U * T * K, *qS = w->qS + U * T * K, *u = w->u + U * T * K, *be = w->beta + U * Tp,
        *e = w->e + U * Tp;
  float du[64 * 64], eo[64 * 64], xT[64 * 64], dDm[64 * 64], mm[64 * 64], de[64] = {0}, db[64] = {0}, dbe[64];
  transpose(T, K, u, K, xT, Tp);  // uT [K, Tp]
  memset(dDm, 0, sizeof(float) * T * Tp);
  int hasdk = 0;
  if (read) {
    float *Pq = mm;
    for (long t = 0; t < T; t++) {
      vec a = {0};
      for (long x = 0; x < Tp; x += VL) store(Pq + t * Tp + x, load(Dm + t * Tp + x) * load(qk + t * Tp + x));
      for (long x = 0; x < K; x += VL) {
        vec o = load(dO + t * W + x);
        a += o * load(qS + t * K + x);
        store(eo + t * K + x, e[t] * o);
      }
      de[t] = sum_of(a);
    }
    multiply(T, K, T, Pq, 1, Tp, dO, W, du, K, 0);
    multiply(T, Tp, K, dO, W, 1, xT, Tp, mm, Tp, 0);  // dPq
    for (long t = 0; t < T; t++)
      for (long x = 0; x < Tp; x += VL) {
        vec m = load(mm + t * Tp + x);
        store(dDm + t * Tp + x, m * load(qk + t * Tp + x));
        store(mm + t * Tp + x, m * load(Dm + t * Tp + x));
      }
    multiply(T, K, T, mm, Tp, 1, k, C, dq, C, 0);
    multiply(T, K, T, mm, 1, Tp, q, C, dk, C, 0);
    hasdk = 1;
    transpose(K, K, S, K, w->t0, K);
    multiply(T, K, K, eo, K, 1, w->t0, K, dq, C, 1);
    multiply(K, K, T, q, 1, C, eo, K, dS, K, 0);
  } else {
    memset(du, 0, sizeof(float) * T * K);
    memset(dS, 0, sizeof(float) * K * K);
    transpose(K, K, S, K, w->t0, K);
  }
  if (dS2) {
    vec a = {0};
    for (long x = 0; x < K * K; x += VL) {
      vec z = load(dS2 + x);
      a += z * load(S + x);
      store(dS + x, load(dS + x) + e[T - 1] * z);
    }
    de[T - 1] += sum_of(a);
    float *dl = Dm + (T - 1) * Tp, *kd = eo;
    for (long t = 0; t < T; t++)
      for (long x = 0; x < K; x += VL) store(kd + t * K + x, dl[t] * load(k + t * C + x));
    multiply(T, K, K, kd, K, 1, dS2, K, du, K, 1);
    transpose(K, K, dS2, K, w->t1, K);
    multiply(T, K, K, u, K, 1, w->t1, K, kd, K, 0);  // dKd
    for (long t = 0; t < T; t++) {
      vec b = {0};
      for (long x = 0; x < K; x += VL) {
        vec z = load(kd + t * K + x);
        b += z * load(k + t * C + x);
        z = z * dl[t];
        store(dk + t * C + x, hasdk ? load(dk + t * C + x) + z : z);
      }
      dDm[(T - 1) * Tp + t] += sum_of(b);
    }
    hasdk = 1;
  }
  float *A = mm;
  for (long t = 0; t < T; t++)
    for (long x = 0; x < Tp; x += VL) store(A + t * Tp + x, be[t] * load(Dm + t * Tp + x) * load(kk + t * Tp + x));
  for (long t = T - 1; t > 0; t--)  // (I + A)^T dM = du
    for (long x = 0; x < t; x++) {
      float f = A[t * Tp + x];
      for (long y = 0; y < K; y += VL) store(du + x * K + y, load(du + x * K + y) - f * load(du + t * K + y));
    }
  multiply(T, Tp, K, du, K, 1, xT, Tp, mm, Tp, 0);  // -dA
  for (long t = 0; t < T; t++) {
    vec a = {0}, c = {0};
    for (long x = 0; x < Tp; x += VL) {
      vec m = choose(LANES < (int)(t - x), -load(mm + t * Tp + x), (vec){0}), D_ = load(Dm + t * Tp + x),
          k_ = load(kk + t * Tp + x);
      a += m * D_ * k_;
      store(dDm + t * Tp + x, load(dDm + t * Tp + x) + m * be[t] * k_);
      store(mm + t * Tp + x, m * be[t] * D_);
    }
    float f = -be[t] * e[t];
    for (long x = 0; x < K; x += VL) {
      vec m = load(du + t * K + x), ks = load(kS + t * K + x);
      a += m * (load(v + t * C + x) - e[t] * ks);
      c += m * ks;
      store(dv + t * C + x, be[t] * m);
      store(eo + t * K + x, f * m);  // eo = d(kS)
    }
    dbe[t] = sum_of(a);
    de[t] -= be[t] * sum_of(c);
  }
  for (long t = 0; t < T; t++)
    for (long x = 0; x < t; x++) mm[x * Tp + t] = mm[t * Tp + x];  // symmetric
  multiply(T, K, T, mm, Tp, 1, k, C, dk, C, hasdk);
  multiply(T, K, K, eo, K, 1, w->t0, K, dk, C, 1);
  multiply(K, K, T, k, 1, C, eo, K, dS, K, 1);
  float cols[64] = {0};
  for (long t = 0; t < T; t++) {
    vec a = {0};
    for (long x = 0; x < Tp; x += VL) {
      vec m = load(dDm + t * Tp + x) * load(Dm + t * Tp + x);
      a += m;
      store(cols + x, load(cols + x) + m);
    }
    db[t] = sum_of(a) + de[t] * e[t];
  }
  float sum = 0, rate = expf(g->rate[h]), sb = 0, sr = 0;
  for (long t = T - 1; t >= 0; t--) {
    sum += db[t] - cols[t];
    int left = w->ld[U * Tp + t] > NOTHING_LEFT;
    float dz = left ? -rate * sum * w->sp[U * Tp + t] : 0;
    sb += dz;
    sr += left ? sum * w->ld[U * Tp + t] : 0;
    float *G = w->dP + (s * T + t) * Np + 4 * W;
    G[h] = dz;
    G[H + h] = dbe[t] * be[t] * (1 - be[t]);
  }
  dbias[h] += sb;
  drate[h] += sr;
}

// The block backward, its forward computed again; dh2 or dS2 may be 0.
void delta_backward(const Dims *d, const float *flat, const float *h, const float *S, const float *dh2,
                    const float *dS2, float *dh, float *dS, float *dflat, float *scratch) {
  Gdn g, dg;
  GdnP p;
  GdnW w;
  float *s = scratch;
  long total = gdn_split(d, &g, flat);
  gdn_split(d, &dg, dflat);
  memset(dflat, 0, sizeof(float) * total);
  gdn_prepare(d, &g, &p, &s, 1);
  gdn_scratch(d, &w, &s, 1);
  g.m.dnorm = (float *)dg.m.norm;
  g.m.dup = (float *)dg.m.up;
  g.m.ddown = (float *)dg.m.down;
  long T = d->T, D = d->D, H = d->H, K = d->K, W = H * K, C = 3 * W, Np = 4 * W + pad(2 * H), n = T * D, ss = H * K * K;
  int read = dh2 != 0;
  for (long b = 0; b < d->B; b += d->tile) {
    long ns = d->B - b < d->tile ? d->B - b : d->tile, R = ns * T;
    const float *hb = h + b * n;
    float *dhb = dh + b * n;
    gdn_tile(d, &g, &p, &w, ns, hb, S + b * ss, w.h1, 0, read);
    for (long i = 0; i < R; i++)
      for (long x = 2 * H; x < Np - 4 * W; x++) w.dP[i * Np + 4 * W + x] = 0;
    if (read) {
      mlp_hidden(d, &g.m, &w.m, R, w.h1);
      mlp_backward(d, &g.m, &w.m, R, w.h1, dh2 + b * n, w.dh1);
      multiply(R, W, D, w.dh1, D, 1, g.out, W, w.dy, W, 0);
      multiply(D, W, R, w.dh1, 1, D, w.y, W, (float *)dg.out, W, 1);
      for (long i = 0; i < R; i++)
        for (long x = 0; x < H; x++) {
          const float *o = w.o + i * W + x * K, *og = w.P + i * Np + 3 * W + x * K, *dy = w.dy + i * W + x * K;
          float *dog = w.dP + i * Np + 3 * W + x * K, *dO = w.dO + i * W + x * K, *dn = (float *)dg.hnorm,
                r = w.ro[i * H + x];
          vec a = {0};
          for (long y = 0; y < K; y += VL) {
            vec z = load(og + y), sg = vsigmoid(z), xr = load(o + y) * r, gy = load(dy + y), t = gy * z * sg;
            store(dog + y, gy * xr * load(g.hnorm + y) * sg * (1.0f + z * (1.0f - sg)));
            store(dn + y, load(dn + y) + t * xr);
            a += t * load(g.hnorm + y) * xr;
            store(dO + y, t * load(g.hnorm + y));
          }
          float m = sum_of(a) / K;
          for (long y = 0; y < K; y += VL) store(dO + y, r * (load(dO + y) - load(o + y) * r * m));
        }
    }
    for (long q = 0; q < ns; q++)
      for (long x = 0; x < H; x++)
        gdn_core_bwd(d, &g, &w, q, x, S + ((b + q) * H + x) * K * K, dS2 ? dS2 + ((b + q) * H + x) * K * K : 0,
                     dS + ((b + q) * H + x) * K * K, (float *)dg.bias, (float *)dg.rate, read);
    long from = read ? 0 : W;
    for (long i = 0; i < R; i++) {  // unit length, SiLU
      for (long x = read ? 0 : H; x < 2 * H; x++) {
        const float *un = w.a + i * C + x * K;
        float *gq = w.da + i * C + x * K, ri = w.ri[i * 2 * H + x];
        vec a = {0};
        for (long y = 0; y < K; y += VL) a += load(un + y) * load(gq + y);
        float m = sum_of(a);
        for (long y = 0; y < K; y += VL) store(gq + y, ri * (load(gq + y) - load(un + y) * m));
      }
      for (long x = from; x < C; x += VL) {
        vec c = load(w.c + i * C + x), sg = vsigmoid(c);
        store(w.da + i * C + x, load(w.da + i * C + x) * sg * (1.0f + c * (1.0f - sg)));
      }
    }
    float *dc = (float *)dg.conv;
    for (long q = 0; q < ns; q++)
      for (long x = from; x < C; x += VL) {
        vec w0 = load(g.conv + x), w1 = load(g.conv + C + x), w2 = load(g.conv + 2 * C + x),
            w3 = load(g.conv + 3 * C + x);
        vec a0 = load(dc + x), a1 = load(dc + C + x), a2 = load(dc + 2 * C + x), a3 = load(dc + 3 * C + x), p1 = {0},
            p2 = {0}, p3 = {0};
        for (long t = 0; t < T; t++) {
          long i = q * T + t;
          vec gr = load(w.da + i * C + x), p0 = load(w.P + i * Np + x);
          a0 += gr * p0;
          a1 += gr * p1;
          a2 += gr * p2;
          a3 += gr * p3;
          p3 = p2;
          p2 = p1;
          p1 = p0;
        }
        store(dc + x, a0);
        store(dc + C + x, a1);
        store(dc + 2 * C + x, a2);
        store(dc + 3 * C + x, a3);
        vec g1 = {0}, g2 = {0}, g3 = {0};
        for (long t = T - 1; t >= 0; t--) {
          long i = q * T + t;
          vec g0 = load(w.da + i * C + x);
          store(w.dP + i * Np + x, w0 * g0 + w1 * g1 + w2 * g2 + w3 * g3);
          g3 = g2;
          g2 = g1;
          g1 = g0;
        }
      }
    if (read) {
      multiply(R, D, Np, w.dP, Np, 1, p.all, D, w.m.dxn, D, 0);
      multiply(Np, D, R, w.dP, 1, Np, w.xn, D, p.dall, D, 1);
      memcpy(dhb, w.dh1, sizeof(float) * R * D);
    } else {
      multiply(R, D, 2 * W, w.dP + W, Np, 1, p.all + W * D, D, w.m.dxn, D, 0);
      multiply(R, D, Np - 4 * W, w.dP + 4 * W, Np, 1, p.all + 4 * W * D, D, w.m.dxn, D, 1);
      multiply(2 * W, D, R, w.dP + W, 1, Np, w.xn, D, p.dall + W * D, D, 1);
      multiply(Np - 4 * W, D, R, w.dP + 4 * W, 1, Np, w.xn, D, p.dall + 4 * W * D, D, 1);
    }
    norm_backward(R, D, hb, D, g.norm, w.r, w.m.dxn, D, dhb, D, (float *)dg.norm, read);
  }
  memcpy((float *)dg.qkv, p.dall, sizeof(float) * 3 * W * D);
  memcpy((float *)dg.og, p.dall + 3 * W * D, sizeof(float) * W * D);
  memcpy((float *)dg.gates, p.dall + 4 * W * D, sizeof(float) * 2 * H * D);
}

// Floats of scratch that one call takes.
long delta_need(const Dims *d, int backward) {
  GdnW w;
  float origin[1], *s = origin;
  long D = d->D, H = d->H, W = H * d->K, Np = 4 * W + pad(2 * H);
  take(&s, Np * D);
  take(&s, Np * D);
  take(&s, W * D);
  if (backward) take(&s, Np * D);
  take(&s, D * d->hid);
  take(&s, D * d->hid);
  gdn_scratch(d, &w, &s, backward);
  return s - origin;
}
