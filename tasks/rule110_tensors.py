"""Examples of Rule 110 as integer operations on tensors: the same ones, bit for bit, made on the device that trains.

A batch costs a few hundred small operations, moves nothing between host and device and waits for nothing, so that a
training step may have it inside a captured graph. `tasks.rule110` and `tasks.rule110_views` say what is computed, this
file only how: words are 64 bits, taken as signed here, which leaves sums, products and masks as they are.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tasks import rng, rule110_views
from tasks.base import IGNORE

if TYPE_CHECKING:
    from tasks.rule110 import Rule110

_GOLDEN = 0x9E3779B97F4A7C15


def examples(task: "Rule110", split: str, indices: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets [B, T] of the examples `indices` [B] (int64), as `Rule110.generate` has them."""
    cells, read = task.cells, task.strings * task.cells
    words = _words(int(task.key(split, seed)), indices, 4 * task.strings).view(-1, task.strings, 4)
    rings = _rings(words, split, cells, task.rollout_steps)  # [B, strings]
    labels = _evolve(rings, cells, task.rollout_steps) >> cells - 1
    asking = torch.empty(len(indices), task.seq_len - read, dtype=torch.int64, device=indices.device)
    targets = torch.full((len(indices), task.seq_len), IGNORE, dtype=torch.int64, device=indices.device)
    if task.asked == "any":
        asked = _remainder(words[..., 3], cells)
        rings = _turn(rings, (cells - asked) % cells, cells)
        asking[:, ::2], asking[:, 1::2] = 3 + asked, labels[:, :-1]
        targets[:, read::2] = labels
    else:
        asking[:, 0], asking[:, 1:] = 2, labels[:, :-1]
        targets[:, read:] = labels
    shifts = torch.arange(cells - 1, -1, -1, device=indices.device)
    strings = (rings[..., None] >> shifts & 1).flatten(1)
    return torch.cat((strings, asking), dim=1), targets


def _rings(words: Tensor, split: str, cells: int, steps: int) -> Tensor:
    """`rule110_views.draw`."""
    classes = rng.CLASSES[split]
    share, start = len(classes), classes.start
    if not rule110_views.owns_cones(cells, steps):
        pick = _remainder(words[..., 0], share << cells - 3)
        return _string(pick // share * 8 + start + pick % share, cells)
    cones, zeros = _cones(steps, str(words.device))
    one = _remainder(words[..., 0], len(cones)) >= zeros
    of_one, of_zero = (_remainder(words[..., 1], _count_of_split(n, classes)) for n in (len(cones) - zeros, zeros))
    pick = torch.where(one, of_one, of_zero)
    place = pick // share * 8 + start + pick % share + one * zeros
    free = cells - rule110_views.reach(cells, steps)
    return _turn(cones[place].long() << free | words[..., 2] & (1 << free) - 1, steps, cells)


def _count_of_split(count: int, classes: range) -> int:
    """How many of the places below `count` a split owns."""
    return count // 8 * len(classes) + min(max(count % 8 - classes.start, 0), len(classes))


@lru_cache(maxsize=64)
def _cones(steps: int, device: str) -> tuple[Tensor, int]:
    """`rule110_views._by_answer` on a device, moved there once."""
    cones, zeros = rule110_views._by_answer(steps)
    return torch.from_numpy(cones.astype(np.int32)).to(device), zeros


def _string(rank: Tensor, cells: int) -> Tensor:
    """`rule110_views._string`."""
    half, mask = (cells + 1) // 2, (1 << cells) - 1
    for odd in rule110_views._ODD:
        rank = (rank ^ (rank >> half)) * _signed(odd) & mask
    return rank ^ (rank >> half)


def _turn(states: Tensor, by: Tensor | int, cells: int) -> Tensor:
    """`rule110_views.turned`, by 0 to `cells` - 1 or, as a number, any."""
    by = by % cells
    return (states << by | states >> cells - by) & (1 << cells) - 1


def _evolve(states: Tensor, cells: int, steps: int) -> Tensor:
    """`tasks.automaton.evolve`."""
    mask = (1 << cells) - 1
    for _ in range(steps):
        left, right = states >> 1 | states << cells - 1, states << 1 | states >> cells - 1
        states = ((states | right) ^ (left & states & right)) & mask
    return states


def _words(key: int, indices: Tensor, columns: int) -> Tensor:
    """`rng.words` [B, columns]."""
    rows = _mix(_signed(key) + _signed(_GOLDEN) * indices)
    return _mix(rows[:, None] + _signed(_GOLDEN) * torch.arange(1, 1 + columns, device=indices.device))


def _mix(x: Tensor) -> Tensor:
    """`rng.mix`."""
    for _ in range(2):
        x = (x ^ _shift_right(x, 30)) * _signed(0xBF58476D1CE4E5B9)
        x = (x ^ _shift_right(x, 27)) * _signed(0x94D049BB133111EB)
        x = x ^ _shift_right(x, 31)
    return x


def _shift_right(x: Tensor, by: int) -> Tensor:
    """Words moved right, zeros coming in from the left: a signed shift would bring copies of the sign."""
    return x >> by & (1 << 64 - by) - 1


def _remainder(words: Tensor, bound: int) -> Tensor:
    """Words, taken as unsigned, modulo a bound below 2^62: half of each first, then its last bit."""
    return (_shift_right(words, 1) % bound * 2 + (words & 1)) % bound


def _signed(word: int) -> int:
    """The same 64 bits as a signed number."""
    return word - (1 << 64) if word >> 63 else word
