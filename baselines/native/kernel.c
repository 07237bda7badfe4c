// Whole blocks forward and backward, and the optimizer, in plain C: vector extensions of the compiler, fp32, one
// thread, a fixed order of summation. `baselines/native/build.py` compiles this file, `block.py` calls it.
#include "attention.h"
#include "gated_delta.h"
#include "optimizer.h"
