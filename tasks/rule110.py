"""Rule 110: read binary strings, then tell one cell of each after t steps of the automaton.

Source: arXiv 2605.26099, Figure 2. An example of `cells` = 4, `strings` = 2, one row per window:

    0 1 1 0      string 1: consolidated, then evicted
    1 0 0 1      string 2: consolidated, then evicted
    ? y1         predicted: targets y1 y2, the first cell of each string after `rollout_steps` steps

The prediction window starts with a query token and goes on with the labels so far, so every consolidated window is
exactly one string. Which cell will be asked is known in training, so at 0 steps one bit of each string is enough to
keep. With `asked` = "any" that is told after the strings are gone, by the number of a cell before each label, and all
cells have to be kept, whatever t is:

    c2 y1 c0     predicted: targets y1 at c2, y2 at c0

What fixes an answer is held out (`tasks.rule110_views`), so different t read different strings. Packed strings are
integers whose highest bit (of `cells`) is the first, leftmost cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tasks import rng, rule110_views
from tasks.automaton import evolve as evolve
from tasks.automaton import first_cell_ones as first_cell_ones
from tasks.automaton import seen_cells, unpack
from tasks.base import IGNORE, Episode, Task, Tokens, check_whole, nearest
from tasks.memories import Memory, rollouts
from tasks.rule110_views import split_of as split_of

if TYPE_CHECKING:
    from torch import Tensor

QUERY = 2  # the token that opens the prediction window; 0 and 1 are cells, those from 3 on name a cell
ASKED = ("first", "any")


@dataclass(frozen=True, kw_only=True)
class Rule110(Task):
    """One cell of each of several binary strings after t steps of Rule 110.

    The strings of an example are independent; a split owns the light cones that fix the asked cells, or whole strings
    where t is so large that the cone closes the ring, and also where t is at most 2 and the cones are too few. There
    every cone is in every split, and the task is no test of computation: `held_out` says which it is.

    Attributes:
        cells: Cells of a string, a token each.
        strings: Strings of an example, and its answers.
        rollout_steps: t: a cell after this many steps is asked.
        boundary: "periodic": the string is a ring.
        window_tokens: L in whole strings; 0 for one string.
        asked: "first": always the first cell, as in the paper; "any": one drawn for each string, told after eviction.
    """

    name: ClassVar[str] = "rule110"
    version: ClassVar[int] = 2
    axis: ClassVar[str] = "rollout_steps"
    history: ClassVar[Mapping[int, str]] = {1: "whole strings held out"}
    variations: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"asked": "any"})

    cells: int = 24
    strings: int = 4
    rollout_steps: int = 4
    boundary: str = "periodic"
    window_tokens: int = 0
    asked: str = "first"

    def __post_init__(self) -> None:
        """Refuse what has no exact chance, does not fit, or is trivial."""
        check_whole("cells", self.cells, 3, 24, "chance is exact by enumeration of all strings")
        check_whole("strings", self.strings, 1, self.cells, "their labels must fit in one window")
        check_whole("rollout_steps", self.rollout_steps, 0, most=256)
        if self.boundary != "periodic":
            raise ValueError(
                f"boundary must be 'periodic'; given {self.boundary!r} (with a fixed-zero edge the first "
                "cell after t steps is the OR of cells 0..t, and a constant guess of 1 is nearly always right)"
            )
        if self.asked not in ASKED:
            raise ValueError(nearest(self.asked, ASKED, kind="value of asked"))
        check_whole("window_tokens", self.window_tokens, 0, most=2**20)
        if self.cells > self.window:
            raise ValueError(f"a string of {self.cells} cells does not fit in a window of {self.window} tokens")
        if self.window % self.cells:
            raise ValueError(
                f"a window of {self.window} tokens cuts a string of {self.cells} cells; "
                f"allowed: multiples of {self.cells}"
            )
        if self.strings * self.cells % self.window:
            raise ValueError(
                f"{self.strings} strings of {self.cells} cells do not fill whole windows of {self.window} tokens: "
                "the labels would share a window with a string"
            )
        if self._asking > self.window:
            raise ValueError(
                f"{self.strings} strings take {self._asking} tokens to ask with asked='any', a cell and a label each "
                f"but for the last label, and must fit in one window of {self.window} tokens; allowed here: "
                f"1..{(self.window + 1) // 2} strings"
            )

    @property
    def vocab_size(self) -> int:
        """Two cell values and the query token; with `asked` = "any" also the name of every cell."""
        return 3 + self.cells * (self.asked == "any")

    @property
    def window(self) -> int:
        """L: `window_tokens`, or one string."""
        return self.window_tokens or self.cells

    @property
    def _read(self) -> int:
        """Tokens of the strings."""
        return self.strings * self.cells

    @property
    def _asking(self) -> int:
        """Tokens of the prediction: the query and all labels but the last, or as many names of cells as labels."""
        return self.strings if self.asked == "first" else 2 * self.strings - 1

    @property
    def seq_len(self) -> int:
        """T: the strings, then what asks for their cells, and all labels but the last."""
        return self._read + self._asking

    @property
    def answers(self) -> int:
        """One per string."""
        return self.strings

    @property
    def landmarks(self) -> tuple[int, ...]:
        """No step, and the doublings up to the paper's deepest."""
        return 0, 1, 2, 4, 8, 16, 32

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """Best constant guess after `difficulty` steps: max(p, 1 - p) per string, its power for all.

        p is the share of cells that are 1 over all strings, which is exactly how often examples have a 1 for an answer
        where light cones are held out; over the whole strings of one split it differs by sampling (below 0.001 for 24
        cells, more for a handful of cells).
        """
        self.check_answer(answer)
        p = first_cell_ones(self.cells, difficulty) / (1 << self.cells)
        one = max(p, 1 - p)
        return one if answer is not None else float(one**self.strings)

    def shortcuts(self, difficulty: int) -> dict[str, float]:
        """`cells_w`: the best predictor that sees only the w cells around each asked one, exact over all strings.

        Where cones are held out a table of those cells, fitted to training, gets less.

        `table`: one of the light cones met in training, right where all of them can be met: where none is held out.
        """
        scores = {f"cells_{w}": float(p**self.strings) for w, p in seen_cells(self.cells, difficulty).items()}
        return scores if self.held_out(difficulty) else scores | {"table": 1.0}

    def held_out(self, difficulty: int) -> str:
        """Light cones, or whole strings where those close the ring; empty up to 2 steps, for want of cones."""
        if not rule110_views.are_held_out(self.cells, difficulty):
            return ""
        width = rule110_views.heard(self.cells, difficulty)
        return f"{'whole strings' if width == self.cells else 'light cones'} of {width} cells"

    def determinants(self, episode: Episode) -> rng.Words:
        """Hashes [B, strings] of t and of the cells around the asked one that fix it."""
        return rule110_views.codes(self._rings(episode.inputs), self.cells, self.rollout_steps, owned=False)

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """Every cell of each string, and where that is what is asked the first one by itself, after 0..t steps."""
        strings = episode.inputs[:, : self._read].reshape(-1, self.strings, self.cells)
        chances = [self.chance(step, 0) for step in range(self.rollout_steps + 1)]
        return rollouts(strings, chances, first=self.asked == "first")

    def notes(self, kind: str, episode: Episode) -> Mapping[int, Tokens]:
        """Workings: of a window that is read its rows after 1..t steps, t L tokens; of the prediction the light cones.

        The cone of a first cell has its row after s steps as far as t - s cells to both sides, once round at most. Of
        cells that are told only then, `asked` = "any", a prediction has none.
        """
        if super().notes(kind, episode) or kind != "workings" or not self.rollout_steps:
            return {}
        strings = self._packed(episode.inputs)
        rows = [evolve(strings, self.cells, step) for step in range(1, self.rollout_steps + 1)]
        rows = [unpack(row, self.cells).astype(np.int64) for row in rows]  # [B, strings, cells] each
        windows = np.stack([row.reshape(len(row), -1, self.window) for row in rows], axis=2)  # [B, W, t, L]
        noted = {number: of.reshape(len(of), -1) for number, of in enumerate(windows.swapaxes(0, 1))}
        if self.asked == "first":
            sides = [min(left, self.cells // 2) for left in reversed(range(self.rollout_steps))]
            cones = [row[..., np.arange(-s, s + 1)[: self.cells]] for row, s in zip(rows, sides, strict=True)]
            noted[len(noted)] = np.concatenate(cones, axis=2).reshape(len(strings), -1)
        return noted

    def word(self, token: int) -> str:
        """The query token is a question mark; c0, c1, ... name cells."""
        if token <= QUERY:
            return "?" if token == QUERY else str(token)
        return f"c{token - 1 - QUERY}"

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = the strings, then what asks for cells and all labels but the last."""
        words = rng.words(key, indices, 4 * self.strings).reshape(len(indices), self.strings, 4)
        rings = rule110_views.draw(words[..., :3], split, self.cells, self.rollout_steps)  # [B, strings]
        labels = (evolve(rings, self.cells, self.rollout_steps) >> np.uint64(self.cells - 1)).astype(np.int64)
        inputs = np.empty((len(indices), self.seq_len), dtype=np.int64)
        asking = inputs[:, self._read :]
        if self.asked == "any":
            cells = rng.integers(words[..., 3], self.cells)
            rings_at, places = rule110_views.turned(rings, -cells, self.cells), slice(None, None, 2)
            asking[:, ::2] = 1 + QUERY + cells
            asking[:, 1::2] = labels[:, :-1]
        else:
            rings_at, places = rings, slice(None)
            asking[:, 0], asking[:, 1:] = QUERY, labels[:, :-1]
        inputs[:, : self._read] = unpack(rings_at, self.cells).reshape(len(indices), self._read)
        targets = np.full_like(inputs, IGNORE)
        answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
        targets[:, self._read :][:, places] = labels
        answer[:, self._read :][:, places] = np.arange(self.strings)
        difficulty[:, self._read :][:, places] = self.rollout_steps
        return Episode(
            inputs=inputs,
            targets=targets,
            window=self.window,
            difficulty=difficulty,
            answer=answer,
            content=rule110_views.codes(rings, self.cells, self.rollout_steps, owned=True),
        )

    def tensors(self, split: str, indices: "Tensor", seed: int = 0) -> "tuple[Tensor, Tensor]":
        """See `Task.tensors`."""
        from tasks.rule110_tensors import examples

        return examples(self, split, indices, seed)

    def _packed(self, inputs: Tokens) -> rng.Words:
        """The packed strings [B, strings] of tokens [B, T]."""
        cells = inputs[:, : self._read].reshape(-1, self.strings, self.cells)
        return (cells @ (1 << np.arange(self.cells)[::-1])).astype(np.uint64)

    def _rings(self, inputs: Tokens) -> rng.Words:
        """The packed strings [B, strings] of tokens [B, T], each read from its asked cell on."""
        strings = self._packed(inputs)
        if self.asked == "first":
            return strings
        return rule110_views.turned(strings, inputs[:, self._read :: 2] - 1 - QUERY, self.cells)

    def example(self, index: int = 0, split: str = "train", seed: int = 0) -> str:
        """One example drawn for a human: its windows, then the roll-outs of its strings side by side."""
        lines = [super().example(index, split, seed), ""]
        tokens = self.episodes(split, [index], seed).inputs[0]
        states = tokens[: self._read].reshape(self.strings, self.cells) @ (1 << np.arange(self.cells)[::-1])
        width = len(str(self.rollout_steps))
        for step in range(self.rollout_steps + 1):
            rows = unpack(states, self.cells)
            art = "  ".join("".join(".#"[cell] for cell in row) for row in rows)
            lines.append(f"step {step:<{width}}  {art}")
            states = evolve(states, self.cells, 1)
        if self.asked == "any":
            asked = tokens[self._read :: 2] - 1 - QUERY
            marks = "  ".join(f"{'^':>{cell + 1}}".ljust(self.cells) for cell in asked)
            lines.append(f"{'asked':<{7 + width}}{marks}".rstrip())
        return "\n".join(lines)


if __name__ == "__main__":
    from tasks.command import main

    main(Rule110)
