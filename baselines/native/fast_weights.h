// Fast weights: short convolution, unit length, gates, an update rule in its chunk form, normed and gated outputs.
//
// One rule with switches. Writes u are b v, or what is missing if the rule corrects: then u solves
// (I + A) u = b (v - e k S), with A the masked, decayed b k k'. Decays are 1 unless it forgets, strengths b unless
// gated.
#pragma once
#include "parts.h"
typedef struct {
  // Of every token: q, k, v convolved; after SiLU, q and k at unit length; 1 / those lengths; what the rule answers,
  // 1 / its norms, normed.
  float *c, *a, *lengths, *o, *r, *normed;
  // Of every sequence and head: write strengths, slopes of the softplus, logarithms of decays, decays since the start
  // of the window, decays from x to t; k k', q k', k S, q S; writes.
  float *strength, *slope, *log_decay, *since, *decay, *kk, *qk, *kS, *qS, *u;
  float *da, *dO;                                           // gradients by a and o
  float *kT, *A, *du, *dkS, *uT, *ddecay, *dkk, *ST, *dST;  // of one head at a time
} Fast;
static void fast_room(const Dims *d, Fast *f, float **s, int backward) {
  long R = (long)d->tile * d->T, H = d->H, K = d->K, W = width(d), T = d->T, Tp = pad(T), U = d->tile * H;
  f->c = take(s, R * 3 * W);
  f->a = take(s, R * 3 * W);
  f->lengths = take(s, R * 2 * H);
  f->o = take(s, R * W);
  f->r = take(s, R * H);
  f->normed = take(s, R * W);
  f->strength = take(s, U * Tp);
  f->slope = take(s, U * Tp);
  f->log_decay = take(s, U * Tp);
  f->since = take(s, U * Tp);
  f->decay = take(s, U * T * Tp);
  f->kk = take(s, U * T * Tp);
  f->qk = take(s, U * T * Tp);
  f->kS = take(s, U * T * K);
  f->qS = take(s, U * T * K);
  f->u = take(s, U * T * K);
  f->kT = take(s, K * Tp);
  f->A = take(s, T * (Tp > K ? Tp : K));  // or decayed keys
  if (!backward) return;
  f->da = take(s, R * 3 * W);
  f->dO = take(s, R * W);
  f->du = take(s, T * K);
  f->dkS = take(s, T * K);  // or decayed keys and outputs
  f->uT = take(s, K * Tp);
  f->ddecay = take(s, T * Tp);
  f->dkk = take(s, T * Tp);
  f->ST = take(s, K * K);
  f->dST = take(s, K * K);
}

// What belongs to one sequence and head.
typedef struct {
  const float *q, *k, *v;
  float *strength, *slope, *log_decay, *since, *decay, *kk, *qk, *kS, *qS, *u;
} Head;
static Head head(const Dims *d, const Fast *f, long s, long h) {
  long T = d->T, Tp = pad(T), K = d->K, W = width(d), U = s * d->H + h;
  const float *q = f->a + s * T * 3 * W + h * K;
  return (Head){.q = q,
                .k = q + W,
                .v = q + 2 * W,
                .strength = f->strength + U * Tp,
                .slope = f->slope + U * Tp,
                .log_decay = f->log_decay + U * Tp,
                .since = f->since + U * Tp,
                .decay = f->decay + U * T * Tp,
                .kk = f->kk + U * T * Tp,
                .qk = f->qk + U * T * Tp,
                .kS = f->kS + U * T * K,
                .qS = f->qS + U * T * K,
                .u = f->u + U * T * K};
}

// Short convolution over the last four tokens, SiLU, and unit length of q and k; of k and v alone unless read.
static void features_forward(const Dims *d, const Weights *w, Fast *f, long ns, const float *P, long lp, int read) {
  long T = d->T, H = d->H, K = d->K, W = width(d), C = 3 * W;
  const float *in = P + queries_at(d);
  for (long i = 0; i < ns * T; i++) {
    long back = i % T < 3 ? i % T : 3;
    for (long x = read ? 0 : W; x < C; x += VL) {
      vec sum = load(in + i * lp + x) * load(w->taps + x);
      for (long j = 1; j <= back; j++) sum += load(in + (i - j) * lp + x) * load(w->taps + j * C + x);
      store(f->c + i * C + x, sum);
      store(f->a + i * C + x, sum * vsigmoid(sum));
    }
    for (long h = read ? 0 : H; h < 2 * H; h++) {
      float *q = f->a + i * C + h * K;
      vec sum = {0};
      for (long x = 0; x < K; x += VL) sum += load(q + x) * load(q + x);
      float one = f->lengths[i * 2 * H + h] = 1.0f / sqrtf(sum_of(sum) + 1e-6f);
      for (long x = 0; x < K; x += VL) store(q + x, load(q + x) * one);
    }
  }
}

// From gradients by a, which are overwritten, to those by projections.
static void features_backward(const Dims *d, const Weights *w, Weights *dw, Fast *f, long ns, const float *P, float *dP,
                              long lp, int read) {
  long T = d->T, H = d->H, K = d->K, W = width(d), C = 3 * W;
  const float *in = P + queries_at(d);
  float *din = dP + queries_at(d);
  for (long i = 0; i < ns * T; i++) {
    for (long h = read ? 0 : H; h < 2 * H; h++) {
      const float *q = f->a + i * C + h * K;
      float *dq = f->da + i * C + h * K, one = f->lengths[i * 2 * H + h];
      vec sum = {0};
      for (long x = 0; x < K; x += VL) sum += load(q + x) * load(dq + x);
      float along = sum_of(sum);
      for (long x = 0; x < K; x += VL) store(dq + x, one * (load(dq + x) - load(q + x) * along));
    }
    for (long x = read ? 0 : W; x < C; x += VL) {
      vec c = load(f->c + i * C + x), gate = vsigmoid(c);
      store(f->da + i * C + x, load(f->da + i * C + x) * gate * (1.0f + c * (1.0f - gate)));
    }
  }
  for (long s = 0; s < ns; s++)
    for (long x = read ? 0 : W; x < C; x += VL) {
      vec taps[4], dtaps[4], past[4] = {{0}}, ahead[4] = {{0}};
      _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) {
        taps[j] = load(w->taps + j * C + x);
        dtaps[j] = load(dw->taps + j * C + x);
      }
      for (long i = s * T; i < (s + 1) * T; i++) {
        vec g = load(f->da + i * C + x);
        _Pragma("GCC unroll 4") for (int j = 3; j > 0; j--) past[j] = past[j - 1];
        past[0] = load(in + i * lp + x);
        _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) dtaps[j] += g * past[j];
      }
      for (long i = (s + 1) * T - 1; i >= s * T; i--) {
        vec sum = {0};
        _Pragma("GCC unroll 4") for (int j = 3; j > 0; j--) ahead[j] = ahead[j - 1];
        ahead[0] = load(f->da + i * C + x);
        _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) sum += taps[j] * ahead[j];
        store(din + i * lp + x, sum);
      }
      _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) store(dw->taps + j * C + x, dtaps[j]);
    }
}

// The logarithm of a decay below which nothing is left in single precision. Minus infinity is brought to it, so that
// nothing times infinity does not arise; gradients through such a decay are 0.
#define NOTHING_LEFT -87.0f
// Strengths and decays of a head from its projected gates: of the decay, if it forgets, then of the strength, if gated.
static void gates_forward(const Dims *d, const Weights *w, Head a, long h, const float *gates, long lp) {
  long T = d->T, Tp = pad(T), H = d->H;
  memset(a.log_decay, 0, sizeof(float) * Tp);
  if (d->forgets) {
    float rate = expf(w->rate[h]);
    for (long t = 0; t < Tp; t++) a.slope[t] = t < T ? gates[t * lp + h] + w->step[h] : 0;
    for (long t = 0; t < Tp; t += VL) {
      vec step = load(a.slope + t), log_decay = -rate * vsoftplus(step);
      store(a.log_decay + t, choose(log_decay > splat(NOTHING_LEFT), log_decay, splat(NOTHING_LEFT)));
      store(a.slope + t, vsigmoid(step));
    }
  }
  for (long t = 0; t < Tp; t++) a.strength[t] = d->gated && t < T ? gates[t * lp + d->forgets * H + h] : 1;
  for (long t = 0; d->gated && t < Tp; t += VL) store(a.strength + t, vsigmoid(load(a.strength + t)));
  // Decays from x to t are summed step by step: a difference of sums from the start would lose small ones behind a
  // large one.
  float sum = 0;
  for (long t = 0; t < T; t++) {
    a.since[t] = sum += a.log_decay[t];
    for (long x = 0; x < Tp; x += VL) {
      vec before = t ? load(a.decay + (t - 1) * Tp + x) : (vec){0};
      store(a.decay + t * Tp + x, choose(LANES < (int)(t - x), before + a.log_decay[t], (vec){0}));
    }
  }
  for (long t = T; t < Tp; t++) a.since[t] = sum;
  for (long t = 0; t < Tp; t += VL) store(a.since + t, vexp(load(a.since + t)));
  for (long t = 0; t < T; t++)
    for (long x = 0; x < Tp; x += VL)
      store(a.decay + t * Tp + x, choose(LANES <= (int)(t - x), vexp(load(a.decay + t * Tp + x)), (vec){0}));
}

// The rule on one window of one head: writes, by forward substitution if it corrects; the new state if there is room
// for it; answers o, if read.
static void rule_forward(const Dims *d, Fast *f, Head a, const float *S, float *S2, float *o, int read) {
  long T = d->T, Tp = pad(T), K = d->K, W = width(d), C = 3 * W;
  float *u = a.u, *A = f->A;
  transpose(T, K, a.k, C, f->kT, Tp);
  for (long t = 0; t < T; t++)
    for (long x = 0; x < K; x += VL) store(u + t * K + x, a.strength[t] * load(a.v + t * C + x));
  if (d->corrects) {
    multiply(T, Tp, K, a.k, C, 1, f->kT, Tp, a.kk, Tp, 0);
    multiply(T, K, K, a.k, C, 1, S, K, a.kS, K, 0);
    for (long t = 0; t < T; t++) {
      float b = a.strength[t], e = b * a.since[t];
      for (long x = 0; x < Tp; x += VL) store(A + t * Tp + x, b * load(a.decay + t * Tp + x) * load(a.kk + t * Tp + x));
      for (long x = 0; x < K; x += VL) store(u + t * K + x, load(u + t * K + x) - e * load(a.kS + t * K + x));
    }
    for (long t = 0; t < T; t++)
      for (long x = 0; x < K; x += VL) {
        vec write = load(u + t * K + x);
        for (long y = t + 1; y < T; y++) store(u + y * K + x, load(u + y * K + x) - A[y * Tp + t] * write);
      }
  }
  const float *last = a.decay + (T - 1) * Tp;
  if (S2) {
    for (long t = 0; t < T; t++)
      for (long x = 0; x < K; x += VL) store(A + t * K + x, last[t] * load(a.k + t * C + x));
    for (long x = 0; x < K * K; x += VL) store(S2 + x, a.since[T - 1] * load(S + x));
    multiply(K, K, T, A, 1, K, u, K, S2, K, 1);
  }
  if (read) {
    multiply(T, Tp, K, a.q, C, 1, f->kT, Tp, a.qk, Tp, 0);
    multiply(T, K, K, a.q, C, 1, S, K, a.qS, K, 0);
    for (long t = 0; t < T; t++) {
      for (long x = 0; x < Tp; x += VL) store(A + t * Tp + x, load(a.decay + t * Tp + x) * load(a.qk + t * Tp + x));
      for (long x = 0; x < K; x += VL) store(o + t * W + x, a.since[t] * load(a.qS + t * K + x));
    }
    multiply(T, K, T, A, Tp, 1, u, K, o, W, 1);
  }
}

// Its gradients, by q, k, v (da), the state and the projected gates; from dO, if read, and dS2, if given.
static void rule_backward(const Dims *d, const Weights *w, Weights *dw, Fast *f, Head a, long h, const float *S,
                          const float *dO, const float *dS2, float *dS, float *dq, float *dgates, long lp, int read) {
  long T = d->T, Tp = pad(T), H = d->H, K = d->K, W = width(d), C = 3 * W;
  float *dk = dq + W, *dv = dk + W, *du = f->du, *dkS = f->dkS, *ddecay = f->ddecay, *dkk = f->dkk, *u = a.u;
  float dsince[LONGEST] = {0}, dstrength[LONGEST], columns[LONGEST] = {0}, rows[LONGEST];
  transpose(T, K, u, K, f->uT, Tp);
  transpose(K, K, S, K, f->ST, K);
  memset(du, 0, sizeof(float) * T * K);
  memset(dS, 0, sizeof(float) * K * K);
  memset(ddecay, 0, sizeof(float) * T * Tp);
  for (long t = 0; t < T; t++) memset(dk + t * C, 0, sizeof(float) * K);
  if (read) {
    float *decayed = dkk, *dqS = dkS;
    for (long t = 0; t < T; t++) {
      vec sum = {0};
      for (long x = 0; x < Tp; x += VL)
        store(decayed + t * Tp + x, load(a.decay + t * Tp + x) * load(a.qk + t * Tp + x));
      for (long x = 0; x < K; x += VL) {
        vec g = load(dO + t * W + x);
        sum += g * load(a.qS + t * K + x);
        store(dqS + t * K + x, a.since[t] * g);
      }
      dsince[t] = sum_of(sum);
    }
    multiply(T, K, T, decayed, 1, Tp, dO, W, du, K, 1);
    multiply(T, Tp, K, dO, W, 1, f->uT, Tp, decayed, Tp, 0);  // by what was decayed
    for (long t = 0; t < T; t++)
      for (long x = 0; x < Tp; x += VL) {
        vec g = load(decayed + t * Tp + x);
        store(ddecay + t * Tp + x, g * load(a.qk + t * Tp + x));
        store(decayed + t * Tp + x, g * load(a.decay + t * Tp + x));
      }
    multiply(T, K, T, decayed, Tp, 1, a.k, C, dq, C, 0);
    multiply(T, K, T, decayed, 1, Tp, a.q, C, dk, C, 1);
    multiply(T, K, K, dqS, K, 1, f->ST, K, dq, C, 1);
    multiply(K, K, T, a.q, 1, C, dqS, K, dS, K, 1);
  }
  if (dS2) {
    const float *last = a.decay + (T - 1) * Tp;
    float *decayed = dkS;
    vec sum = {0};
    for (long x = 0; x < K * K; x += VL) {
      vec g = load(dS2 + x);
      sum += g * load(S + x);
      store(dS + x, load(dS + x) + a.since[T - 1] * g);
    }
    dsince[T - 1] += sum_of(sum);
    for (long t = 0; t < T; t++)
      for (long x = 0; x < K; x += VL) store(decayed + t * K + x, last[t] * load(a.k + t * C + x));
    multiply(T, K, K, decayed, K, 1, dS2, K, du, K, 1);
    transpose(K, K, dS2, K, f->dST, K);
    multiply(T, K, K, u, K, 1, f->dST, K, decayed, K, 0);  // by what was decayed
    for (long t = 0; t < T; t++) {
      vec sum = {0};
      for (long x = 0; x < K; x += VL) {
        vec g = load(decayed + t * K + x);
        sum += g * load(a.k + t * C + x);
        store(dk + t * C + x, load(dk + t * C + x) + last[t] * g);
      }
      ddecay[(T - 1) * Tp + t] += sum_of(sum);
    }
  }
  if (d->corrects) {
    for (long t = T - 1; t > 0; t--)  // (I + A)' du' = du
      for (long x = 0; x < t; x++) {
        float share = a.strength[t] * a.decay[t * Tp + x] * a.kk[t * Tp + x];
        for (long y = 0; y < K; y += VL) store(du + x * K + y, load(du + x * K + y) - share * load(du + t * K + y));
      }
    multiply(T, Tp, K, du, K, 1, f->uT, Tp, dkk, Tp, 0);  // -dA
  }
  for (long t = 0; t < T; t++) {
    float b = a.strength[t], e = a.since[t];
    vec by_value = {0}, by_state = {0}, by_overlap = {0};
    for (long x = 0; x < K; x += VL) {
      vec g = load(du + t * K + x);
      by_value += g * load(a.v + t * C + x);
      store(dv + t * C + x, b * g);
    }
    for (long x = 0; d->corrects && x < K; x += VL) {
      vec g = load(du + t * K + x);
      by_state += g * load(a.kS + t * K + x);
      store(dkS + t * K + x, -b * e * g);
    }
    for (long x = 0; d->corrects && x < Tp; x += VL) {
      vec g = choose(LANES < (int)(t - x), -load(dkk + t * Tp + x), (vec){0}), decay = load(a.decay + t * Tp + x),
          kk = load(a.kk + t * Tp + x);
      by_overlap += g * decay * kk;
      store(ddecay + t * Tp + x, load(ddecay + t * Tp + x) + g * b * kk);
      store(dkk + t * Tp + x, g * b * decay);
    }
    dstrength[t] = sum_of(by_value - e * by_state + by_overlap);
    dsince[t] -= b * sum_of(by_state);
  }
  if (d->corrects) {
    for (long t = 0; t < T; t++)
      for (long x = 0; x < t; x++) dkk[x * Tp + t] = dkk[t * Tp + x];  // symmetric
    multiply(T, K, T, dkk, Tp, 1, a.k, C, dk, C, 1);
    multiply(T, K, K, dkS, K, 1, f->ST, K, dk, C, 1);
    multiply(K, K, T, a.k, 1, C, dkS, K, dS, K, 1);
  }
  for (long t = 0; d->gated && t < T; t++)
    dgates[t * lp + d->forgets * H + h] = dstrength[t] * a.strength[t] * (1 - a.strength[t]);
  if (!d->forgets) return;
  for (long t = 0; t < T; t++) {
    vec row = {0};
    for (long x = 0; x < Tp; x += VL) {
      vec g = load(ddecay + t * Tp + x) * load(a.decay + t * Tp + x);
      row += g;
      store(columns + x, load(columns + x) + g);
    }
    rows[t] = sum_of(row) + dsince[t] * a.since[t];
  }
  float sum = 0, rate = expf(w->rate[h]);
  for (long t = T - 1; t >= 0; t--) {
    sum += rows[t] - columns[t];
    int left = a.log_decay[t] > NOTHING_LEFT;
    float step = left ? -rate * sum * a.slope[t] : 0;
    dgates[t * lp + h] = step;
    dw->step[h] += step;
    dw->rate[h] += left ? sum * a.log_decay[t] : 0;
  }
}

// From projections P of a tile to normed and gated outputs y, if read, and the new state, if there is room for it.
static void fast_forward(const Dims *d, const Weights *w, Fast *f, long ns, const float *P, long lp, float *y,
                         const float *S, float *S2, int read) {
  long T = d->T, H = d->H, K = d->K, W = width(d), R = ns * T;
  features_forward(d, w, f, ns, P, lp, read);
  for (long s = 0; s < ns; s++)
    for (long h = 0; h < H; h++) {
      Head a = head(d, f, s, h);
      long at = (s * H + h) * K * K;
      gates_forward(d, w, a, h, P + s * T * lp + 4 * W, lp);
      rule_forward(d, f, a, S + at, S2 ? S2 + at : 0, f->o + s * T * W + h * K, read);
    }
  if (!read) return;
  for (long h = 0; h < H; h++)
    norm_forward(R, K, f->o + h * K, W, w->o_norm, f->normed + h * K, W, f->r + h * R, d->eps);
  for (long i = 0; i < R; i++)
    for (long x = 0; x < W; x += VL) {
      vec z = load(P + i * lp + x);
      store(y + i * W + x, load(f->normed + i * W + x) * z * vsigmoid(z));
    }
}

// From gradients dy, if read, and dS2, if given, to those of projections and of the state.
static void fast_backward(const Dims *d, const Weights *w, Weights *dw, Fast *f, long ns, const float *P, float *dP,
                          long lp, float *dy, const float *S, const float *dS2, float *dS, int read) {
  long T = d->T, H = d->H, K = d->K, W = width(d), R = ns * T;
  for (long i = 0; read && i < R; i++)
    for (long x = 0; x < W; x += VL) {
      vec z = load(P + i * lp + x), gate = vsigmoid(z), g = load(dy + i * W + x);
      store(dP + i * lp + x, g * load(f->normed + i * W + x) * gate * (1.0f + z * (1.0f - gate)));
      store(dy + i * W + x, g * z * gate);
    }
  for (long h = 0; read && h < H; h++)
    norm_backward(R, K, f->o + h * K, W, w->o_norm, f->r + h * R, dy + h * K, W, f->dO + h * K, W, dw->o_norm, 0);
  for (long s = 0; s < ns; s++)
    for (long h = 0; h < H; h++) {
      long at = (s * H + h) * K * K;
      rule_backward(d, w, dw, f, head(d, f, s, h), h, S + at, f->dO + s * T * W + h * K, dS2 ? dS2 + at : 0, dS + at,
                    f->da + s * T * 3 * W + h * K, dP + s * T * lp + 4 * W, lp, read);
    }
  features_backward(d, w, dw, f, ns, P, dP, lp, read);
}
