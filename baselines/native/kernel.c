// Whole blocks forward and backward, and the optimizer, in plain C: vector extensions of the compiler, fp32, one
// thread, a fixed order of summation. `baselines/native/build.py` compiles this file, `block.py` calls it.
//
// A block is norm, mixer, residual, norm, MLP, residual. Sequences are taken a tile at a time, so that everything
// between its input and output stays in the first caches; the backward pass computes the forward pass again from the
// block's input instead of storing it.
#include "attention.h"
#include "fast_weights.h"
#include "optimizer.h"
typedef struct {
  float *inT, *outT, *upT, *downT;  // parameters, transposed
  // Of every token of a tile: normed, 1 / its norm; projections; what was mixed; after the mixer, normed, 1 / its norm;
  // the MLP's positive units, their squares. Then gradients.
  float *xn, *r, *P, *y, *h1, *xn1, *r1, *positive, *squared, *dP, *dy, *dh1, *dsquared, *dxn;
  Attention attention;
  Fast fast;
} Room;
static void room(const Dims *d, Room *m, float **s, int backward) {
  long R = (long)d->tile * d->T, D = d->D, W = width(d), lp = pad(projections(d)), hidden = d->hidden;
  m->inT = take(s, D * lp);
  m->outT = take(s, W * D);
  m->upT = take(s, D * hidden);
  m->downT = take(s, D * hidden);
  m->xn = take(s, R * D);
  m->r = take(s, R);
  m->P = take(s, R * lp);
  m->y = take(s, R * W);
  m->h1 = take(s, R * D);
  m->xn1 = take(s, R * D);
  m->r1 = take(s, R);
  m->positive = take(s, R * hidden);
  m->squared = take(s, R * hidden);
  if (backward) {
    m->dP = take(s, R * lp);
    m->dy = take(s, R * W);
    m->dh1 = take(s, R * D);
    m->dsquared = take(s, R * hidden);
    m->dxn = take(s, R * D);
  }
  if (d->attends)
    attention_room(d, &m->attention, s, backward);
  else
    fast_room(d, &m->fast, s, backward);
}

static void prepare(const Dims *d, const Weights *w, Room *m) {
  long D = d->D, W = width(d), lp = pad(projections(d)), hidden = d->hidden;
  transpose(projections(d), D, w->in, D, m->inT, lp);
  transpose(D, W, w->out, W, m->outT, D);
  transpose(hidden, D, w->up, D, m->upT, hidden);
  transpose(D, hidden, w->down, hidden, m->downT, D);
  if (d->attends) attention_prepare(d, &m->attention);
}

// The forward pass of a tile up to the MLP's units; unless outputs are read, only what the next state needs.
static void forward_tile(const Dims *d, const Weights *w, Room *m, long ns, const float *h, const float *state,
                         float *after, int read) {
  long R = ns * d->T, D = d->D, W = width(d), lp = pad(projections(d)), from = read ? 0 : keys_at(d),
       hidden = d->hidden;
  norm_forward(R, D, h, D, w->norm, m->xn, D, m->r, d->eps);
  multiply(R, lp - from, D, m->xn, D, 1, m->inT + from, lp, m->P + from, lp, 0);
  if (d->attends)
    attention_forward(d, w, &m->attention, ns, m->P, lp, m->y, state, after, read);
  else
    fast_forward(d, w, &m->fast, ns, m->P, lp, m->y, state, after, read);
  if (!read) return;
  memcpy(m->h1, h, sizeof(float) * R * D);
  multiply(R, D, W, m->y, W, 1, m->outT, D, m->h1, D, 1);
  norm_forward(R, D, m->h1, D, w->mlp_norm, m->xn1, D, m->r1, d->eps);
  multiply(R, hidden, D, m->xn1, D, 1, m->upT, hidden, m->positive, hidden, 0);
  for (long i = 0; i < R * hidden; i += VL) {
    vec a = load(m->positive + i);
    a = choose(a > (vec){0}, a, (vec){0});
    store(m->positive + i, a);
    store(m->squared + i, a * a);
  }
}

// The backward pass of a tile, after its forward pass.
static void backward_tile(const Dims *d, const Weights *w, Weights *dw, Room *m, long ns, const float *h,
                          const float *state, const float *dh2, const float *dafter, float *dh, float *dstate) {
  long R = ns * d->T, D = d->D, W = width(d), lp = pad(projections(d)), hidden = d->hidden;
  int read = dh2 != 0;
  if (read) {
    multiply(R, hidden, D, dh2, D, 1, w->down, hidden, m->dsquared, hidden, 0);
    multiply(D, hidden, R, dh2, 1, D, m->squared, hidden, dw->down, hidden, 1);
    for (long i = 0; i < R * hidden; i += VL)
      store(m->dsquared + i, load(m->dsquared + i) * 2.0f * load(m->positive + i));
    multiply(R, D, hidden, m->dsquared, hidden, 1, w->up, D, m->dxn, D, 0);
    multiply(hidden, D, R, m->dsquared, 1, hidden, m->xn1, D, dw->up, D, 1);
    memcpy(m->dh1, dh2, sizeof(float) * R * D);
    norm_backward(R, D, m->h1, D, w->mlp_norm, m->r1, m->dxn, D, m->dh1, D, dw->mlp_norm, 1);
    multiply(R, W, D, m->dh1, D, 1, w->out, W, m->dy, W, 0);
    multiply(D, W, R, m->dh1, 1, D, m->y, W, dw->out, W, 1);
    memcpy(dh, m->dh1, sizeof(float) * R * D);
  }
  if (d->attends)
    attention_backward(d, w, dw, &m->attention, ns, m->P, m->dP, lp, m->dy, dafter, dstate, read);
  else
    fast_backward(d, w, dw, &m->fast, ns, m->P, m->dP, lp, m->dy, state, dafter, dstate, read);
  long from = read ? 0 : keys_at(d), n = projections(d) - from;
  multiply(R, D, n, m->dP + from, lp, 1, w->in + from * D, D, m->dxn, D, 0);
  multiply(n, D, R, m->dP + from, 1, lp, m->xn, D, dw->in + from * D, D, 1);
  norm_backward(R, D, h, D, w->norm, m->r, m->dxn, D, dh, D, dw->norm, read);
}

// Numbers of a state before a window and after it, of one sequence: kept keys and values, or fast weights.
INLINE long state_before(const Dims *d) { return width(d) * (d->attends ? 2 * d->past : d->K); }
INLINE long state_after(const Dims *d) { return width(d) * (d->attends ? 2 * kept_keys(d) : d->K); }

// The block forward: features h [B, T, D] and what the mixer holds -> h2 and what it holds after them. Either may be 0:
// not needed, or nothing held.
void block_forward(const Dims *d, const float *row, const float *h, const float *state, float *h2, float *after,
                   float *scratch) {
  Weights w;
  Room m;
  split(d, row, &w);
  room(d, &m, &scratch, 0);
  prepare(d, &w, &m);
  long n = (long)d->T * d->D;
  for (long b = 0; b < d->B; b += d->tile) {
    long ns = d->B - b < d->tile ? d->B - b : d->tile;
    forward_tile(d, &w, &m, ns, h + b * n, state ? state + b * state_before(d) : 0,
                 after ? after + b * state_after(d) : 0, h2 != 0);
    if (!h2) continue;
    memcpy(h2 + b * n, m.h1, sizeof(float) * ns * n);
    multiply(ns * d->T, d->D, d->hidden, m.squared, d->hidden, 1, m.downT, d->D, h2 + b * n, d->D, 1);
  }
}

// The block backward, its forward computed again: from dh2 and dafter, either of which may be 0, to all others.
void block_backward(const Dims *d, const float *row, const float *h, const float *state, const float *dh2,
                    const float *dafter, float *dh, float *dstate, float *drow, float *scratch) {
  Weights w, dw;
  Room m;
  long parameters = split(d, row, &w);
  split(d, drow, &dw);
  memset(drow, 0, sizeof(float) * parameters);
  room(d, &m, &scratch, 1);
  prepare(d, &w, &m);
  long n = (long)d->T * d->D;
  for (long b = 0; b < d->B; b += d->tile) {
    long ns = d->B - b < d->tile ? d->B - b : d->tile;
    const float *held = state ? state + b * state_before(d) : 0;
    forward_tile(d, &w, &m, ns, h + b * n, held, 0, dh2 != 0);
    backward_tile(d, &w, &dw, &m, ns, h + b * n, held, dh2 ? dh2 + b * n : 0, dafter ? dafter + b * state_after(d) : 0,
                  dh + b * n, dstate ? dstate + b * state_before(d) : 0);
  }
}

// Floats of scratch that one call takes.
long block_need(const Dims *d, int backward) {
  Room m;
  float origin[1], *s = origin;
  room(d, &m, &s, backward);
  return s - origin;
}
