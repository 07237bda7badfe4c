"""Rivals for the same compute: what else the FLOPs of N sleep passes could have bought, with the match measured.

The paper compares sleep with its own N = 1 alone, which costs about N times less. Each rival here spends as much as the
sleep model and differs from it in the one thing that its name says.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from baselines.hybrid import MIXERS, Hybrid
from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost
from benchmark.cells.matching import MATCHES, TOLERANCE, at_budget_of, check_match, excess, sizes_by_nearness
from benchmark.forward import split_windows
from tasks.base import nearest


def rival_cells(sleep: Cell, by: str = "train_flops", *, only: Sequence[str] | None = None) -> dict[str, Cell]:
    """The cells of every fair rival of a sleep model, by variant; whatever is not named here stays as it is.

    - "sleep" is the cell itself, and "plain" is N = 1 on the same tokens: the paper's baseline, and no match.
    - "longer": N = 1 on more tokens.
    - "deeper": N = 1, and N unshared copies of the looped blocks instead of N passes over them.
    - "wider": N = 1 and a larger `d_model`, with `mlp_ratio` making up for what whole widths miss. Fast weights of
      D / heads grow along.
    - "bigger-state": N = 1 and a larger `state_size`.
    - "reread": N copies of the window read as tokens, in one pass.
    - "reembed": every pass starts from the embeddings, so fast weights recur and features do not.
    - "reset-state": every pass starts from the fast weights of before, so features recur and fast weights do not.
    - "wake-loop": N = 1 in sleep, and N passes in every prediction. It breaks the latency constraint, which
      is what sleep is for: a rival in accuracy, not in use.

    - "in-rule": N = 1, and N delta steps per token inside the update rule, with keys and values of their own.
    - "bigger-window": N = 1, and eviction after every so many windows of an unchanged text: as many as bring it nearest
      to the cost of the sleep model, or all of them. It sees more at once, which no other rival does.

    Sizes that are free, those of "wider" and "bigger-state", are brought as near as they come to the cost of the sleep
    model per sequence. Rivals are tested with the passes they were trained with.

    Args:
        sleep: A cell of a `Hybrid` that sleeps, N = `sleep_passes` > 1.
        by: "train_flops": FLOPs of the whole training; sizes first, then `tokens` make them equal. "sleep_flops":
            forward FLOPs of consolidating one sequence, on the same tokens. "tokens": the same tokens, with the sizes
            of "train_flops". What cannot be matched that way is left out; `exclusions` says why.
        only: These variants alone, in this order; no other is built. None: all that are fair.

    Raises:
        ValueError: nothing to match, not a plain sleep model, a rival that misses by more than `TOLERANCE`, or a
            variant asked for that is unknown or left out.
    """
    left_out, every_variant = exclusions(sleep, by), ("sleep", "plain", *RIVALS)
    for name in only or ():
        if name not in every_variant:
            raise ValueError(nearest(name, every_variant, kind="variant"))
        if name in left_out:
            raise ValueError(f"{name} is left out: {left_out[name]}")
    names = only if only is not None else [name for name in every_variant if name not in left_out]
    return {name: replace(_variant(name, sleep, by), variant=name) for name in names}


def _variant(name: str, sleep: Cell, by: str) -> Cell:
    if name == "sleep":
        return sleep
    if name == "plain":
        return _plain(sleep, by)
    cell = RIVALS[name](sleep, by)
    cell = at_budget_of(cell, sleep) if by == "train_flops" else cell
    check_match(name, cell, sleep, by)
    return cell


def exclusions(sleep: Cell, by: str = "train_flops") -> dict[str, str]:
    """The rivals that `rival_cells` leaves out, each with the reason.

    Raises:
        ValueError: nothing to match, or not a plain sleep model.
    """
    model = _check(sleep, by)
    reasons = {}
    if by == "tokens":
        reasons["longer"] = "on the same tokens it is the plain model"
    if by == "sleep_flops":
        reasons["longer"] = "more tokens change how often it consolidates, not what that costs per sequence"
        reasons["wake-loop"] = "it consolidates in one pass; its loops are in the prediction"
        if abs(off := excess(_reembed(sleep, by), sleep, by)) > TOLERANCE:
            reasons["reembed"] = f"{off:+.1%} sleep FLOPs: no pass goes on from another, so none computes an output"
    reasons |= _exclusions_in_rule(sleep, by) | _exclusions_bigger_window(sleep, by)
    if model.loop != "all":
        reasons["reread"] = f"reading copies as tokens runs every block over them; the sleep model loops {model.loop!r}"
    elif by == "sleep_flops" and abs(off := excess(_reread(sleep, by), sleep, by)) > TOLERANCE:
        reasons["reread"] = (
            f"{off:+.1%} sleep FLOPs: its one pass computes no output of the last block, while pairs of tokens in it "
            "grow with the square of N, and no size is free, for it keeps the parameters of the sleep model"
        )
    return reasons


def _exclusions_in_rule(sleep: Cell, by: str) -> dict[str, str]:
    passes, layout = sleep.training.sleep_passes, _hybrid(sleep).layout
    if f"product{passes}" not in MIXERS:
        return {"in-rule": f"no update rule makes {passes} steps per token"}
    if "gdn" not in layout.split():
        return {"in-rule": f"layout {layout!r} has no gdn, the rule that could make {passes} steps per token"}
    if by == "sleep_flops" and abs(off := excess(_in_rule(sleep, by), sleep, by)) > TOLERANCE:
        return {"in-rule": f"{off:+.1%} sleep FLOPs: the rule is a small part of what a pass runs"}
    return {}


def _exclusions_bigger_window(sleep: Cell, by: str) -> dict[str, str]:
    model, windows = _hybrid(sleep), _read_windows(sleep)
    if model.eviction != "hard" or "attn" not in model.layout.split():
        return {"bigger-window": f"{model.layout!r} under {model.eviction} eviction has no window to make longer"}
    if windows < 2:
        return {"bigger-window": "the text that is read is one window already"}
    if by == "sleep_flops" and abs(off := excess(_bigger_window(sleep, by), sleep, by)) > TOLERANCE:
        return {"bigger-window": f"{off:+.1%} sleep FLOPs at the nearest of 2 to {windows} windows read as one"}
    return {}


def _check(sleep: Cell, by: str) -> Hybrid:
    """The model of a cell that rivals can be built from."""
    if by not in MATCHES:
        raise ValueError(nearest(by, MATCHES, kind="match"))
    model = _hybrid(sleep)
    if sleep.training.sleep_passes == 1:
        raise ValueError(
            "sleep_passes = 1 is the plain hybrid: it has no further passes to match; at least 2 are needed"
        )
    if switches := [name for name in ("reembed", "reset_state", "reread") if getattr(model, name)]:
        raise ValueError(f"{' and '.join(switches)} makes the model itself a rival; rivals are built from plain sleep")
    if model.wake_passes > 1:
        raise ValueError(f"wake_passes = {model.wake_passes} makes the model itself a rival; plain sleep has 1")
    if cost(sleep).state_bytes == 0:
        raise ValueError(
            f"layout {model.layout!r} under {model.eviction} eviction keeps nothing of a window, so a sleep runs "
            "nothing and there is nothing to match"
        )
    if cost(sleep).sleep_flops == 0:
        raise ValueError(f"no window of task {sleep.task.name!r} is consolidated, so sleep costs nothing to match")
    return model


def _hybrid(cell: Cell) -> Hybrid:
    if not isinstance(cell.model, Hybrid):
        raise ValueError(f"rivals are settings of the hybrid; model {cell.model.name!r} is of another kind")
    return cell.model


def _variation(sleep: Cell, **settings: Any) -> Cell:
    return sleep.with_settings({"test_passes": (), **settings})


def _plain(sleep: Cell, by: str) -> Cell:
    return _variation(sleep, sleep_passes=1)


def _deeper(sleep: Cell, by: str) -> Cell:
    model = _hybrid(sleep)
    words, looped = model.layout.split(), model.loop_range
    copies = words[looped.start : looped.stop] * sleep.training.sleep_passes
    layout = " ".join(words[: looped.start] + copies + words[looped.stop :])
    return _variation(sleep, sleep_passes=1, layout=layout)


def _wider(sleep: Cell, by: str) -> Cell:
    """The width whose cost is nearest, and the MLP ratio that brings it nearer still."""
    model, target = _hybrid(sleep), _per_sequence(sleep, by)
    unit = model.heads * (2 if "attn" in model.layout.split() else 1)  # rotary positions need heads of even size

    def of(units: int, ratio: float = model.mlp_ratio) -> Cell:
        return _variation(sleep, sleep_passes=1, d_model=units * unit, mlp_ratio=ratio)

    def fitted(units: int) -> float:
        missing = target - _per_sequence(of(units), by)
        per_ratio = _per_sequence(of(units, model.mlp_ratio + 1), by) - _per_sequence(of(units), by)
        return round(model.mlp_ratio + missing / per_ratio, 3)

    for units in sizes_by_nearness("wider", lambda units: _per_sequence(of(units), by), model.d_model // unit, target):
        if fitted(units) >= model.mlp_ratio / 2:  # with a thinner MLP it would be another network
            return of(units, fitted(units))
    return of(model.d_model // unit + 1)


def _bigger_state(sleep: Cell, by: str) -> Cell:
    model, target = _hybrid(sleep), _per_sequence(sleep, by)
    if set(model.layout.split()) == {"attn"}:
        raise ValueError(f"bigger-state: layout {model.layout!r} has no fast-weight block whose state could grow")

    def of(size: int) -> Cell:
        return _variation(sleep, sleep_passes=1, state_size=size)

    start = model.state_size or model.d_model // model.heads
    return of(sizes_by_nearness("bigger-state", lambda size: _per_sequence(of(size), by), start, target)[0])


def _reread(sleep: Cell, by: str) -> Cell:
    return _variation(sleep, reread=True)


def _reembed(sleep: Cell, by: str) -> Cell:
    return _variation(sleep, reembed=True)


def _reset_state(sleep: Cell, by: str) -> Cell:
    return _variation(sleep, reset_state=True)


def _wake_loop(sleep: Cell, by: str) -> Cell:
    return _variation(sleep, sleep_passes=1, wake_passes=sleep.training.sleep_passes)


def _in_rule(sleep: Cell, by: str) -> Cell:
    steps, words = f"product{sleep.training.sleep_passes}", _hybrid(sleep).layout.split()
    return _variation(sleep, sleep_passes=1, layout=" ".join(steps if word == "gdn" else word for word in words))


def _bigger_window(sleep: Cell, by: str) -> Cell:
    target = _per_sequence(sleep, by)
    sizes = [_variation(sleep, sleep_passes=1, evict_every=every) for every in range(2, _read_windows(sleep) + 1)]
    return min(sizes, key=lambda cell: abs(_per_sequence(cell, by) - target))


def _read_windows(cell: Cell) -> int:
    """Windows of an example that are slept on."""
    return sum(not predicts for *_, predicts in split_windows(cell.task.episodes("train", np.arange(1))))


def _per_sequence(cell: Cell, by: str) -> int:
    """The cost that free sizes are chosen by: of sleeping, or of training, on one sequence."""
    return cost(cell).sleep_flops if by == "sleep_flops" else cost(cell).train_flops


RIVALS: dict[str, Callable[[Cell, str], Cell]] = {
    "longer": _plain,
    "deeper": _deeper,
    "wider": _wider,
    "bigger-state": _bigger_state,
    "reread": _reread,
    "reembed": _reembed,
    "reset-state": _reset_state,
    "wake-loop": _wake_loop,
    "in-rule": _in_rule,
    "bigger-window": _bigger_window,
}
"""Every rival by name: its structure from the sleep cell and what is matched; `rival_cells` sets the budget."""
