"""GSM-Infinite in words: problems of all three subsets, in the published wording, to a token budget if one is set.

    for problem in Problems(subset="hard", operations=4).problems("train", range(100)):
        print(prompt(problem), problem.answer)

Problem i of (version, settings, seed, split) is a pure function of these. The token budget is not in its address: the
same problems can be read without filler and with any amount of it, and more filler keeps what less of it had.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks import rng
from tasks.base import SPLITS, check_whole, nearest, non_defaults
from tasks.gsm_infinite.budget import Budget
from tasks.gsm_infinite.generator import draw
from tasks.gsm_infinite.generator.shape import MODES, SUBSETS, Shape
from tasks.gsm_infinite.generator.statistics import statistics
from tasks.gsm_infinite.graphs import Graphs
from tasks.gsm_infinite.language import Wording, question, sentence, wordings
from tasks.gsm_infinite.problem import Problem
from tasks.gsm_infinite.solution import solution
from tasks.gsm_infinite.symbolic import OPERATIONS, draw_problems
from tasks.gsm_infinite.themes import CORE, FILLER, THEMES, Theme, draw_names
from tasks.gsm_infinite.tokenizer import Tokenizer, WordTokenizer

_ALL_FILLER = FILLER * FILLER  # a filler quantity for each kind and place
_MARGINS = (4, _ALL_FILLER)  # so much more filler is looked at where tokens span words
_BLOCK = 256  # problems drawn at once without filler, fewer with it; changes none of them


def prompt(problem: Problem, *, question_first: bool = False) -> str:
    """The text that a reader is given: the question after the sentences, or before them."""
    parts = [problem.problem, problem.question]
    return " ".join(parts[::-1] if question_first else parts)


@dataclass(frozen=True, kw_only=True)
class Problems:
    """Problems in words at one setting."""

    version: ClassVar[int] = 2

    subset: str = "hard"  # "symbolic", "medium" or "hard"
    mode: str = "forward"  # or "reverse"; symbolic problems are forward
    theme: str = "animals"  # one of `themes.THEMES`, or "mixed": one of them for each problem
    operations: int = 8
    # Most tokens of the prompt (symbolic: of its sentences), filled up with filler; None: no filler.
    token_budget: int | None = None
    kinds: int = CORE  # core kinds and core places that those of a problem are chosen from
    places: int = CORE

    def __post_init__(self) -> None:
        """Refuse what is impossible."""
        for name, valid in {"subset": ("symbolic", *SUBSETS), "mode": MODES, "theme": (*THEMES, "mixed")}.items():
            if getattr(self, name) not in valid:
                raise ValueError(nearest(getattr(self, name), valid, kind=name))
        if self.token_budget is not None:
            check_whole("token_budget", self.token_budget, 1)
        if self.subset == "symbolic":
            check_whole("operations", self.operations, 1, OPERATIONS)
            if unused := {"mode", "theme", "kinds", "places"} & non_defaults(self).keys():
                raise ValueError(f"symbolic problems take no {', '.join(sorted(unused))}: leave the default")
            return
        check_whole("kinds", self.kinds, 1, CORE, "names of core kinds")
        check_whole("places", self.places, 1, CORE, "names of core places")
        check_whole("operations", self.operations, 1)
        self.shape.check(np.array([self.operations]))

    @property
    def shape(self) -> Shape:
        """What graphs to draw; symbolic problems have none."""
        return Shape(
            subset=self.subset,
            mode=self.mode,
            kinds=self.kinds,
            places=self.places,
            filler_kinds=FILLER,
            published=True,
        )

    def problems(
        self, split: str, indices: ArrayLike, seed: int = 0, tokenizer: Tokenizer | None = None
    ) -> list[Problem]:
        """The problems `indices` [B] of a split and data seed, in the order asked, all >= 0.

        Args:
            split: One of `tasks.base.SPLITS`.
            indices: The problems.
            seed: Of the data.
            tokenizer: What the token budget is counted in; None: words, numbers and punctuation marks.

        Raises:
            ValueError: one of the arguments is not as said above, or the token budget is below what a problem needs
                without filler, or above what all filler takes; the message says which budget would do.
        """
        if split not in SPLITS:
            raise ValueError(nearest(split, SPLITS, kind="split"))
        check_whole("seed", seed, 0)
        rows = np.asarray(indices)
        if rows.ndim != 1 or (rows.size and (rows.dtype.kind not in "iu" or rows.min() < 0)):
            raise ValueError(f"indices must be one row of whole numbers >= 0; given {indices!r}")
        rows = rows.astype(np.int64)
        key = self._key(split, seed)
        if self.subset == "symbolic":
            budget = self.token_budget
            return draw_problems(self.operations, split, rows, key, token_budget=budget, tokenizer=tokenizer)
        if self.token_budget is None:
            return self._plain_problems(split, rows, key)
        return self._filled_problems(split, rows, key, Budget(self.token_budget, tokenizer or WordTokenizer()))

    def graphs(self, split: str, indices: NDArray[np.int64], seed: int = 0) -> Graphs:
        """The graphs of `problems`, without filler; of a subset that is not symbolic."""
        return draw(self.shape, self.operations, split, indices, self._key(split, seed))[0]

    def _key(self, split: str, seed: int) -> np.uint64:
        """The stream of a split and data seed."""
        settings = {name: value for name, value in non_defaults(self).items() if name != "token_budget"}
        return rng.stream("gsm_infinite_text", self.version, settings, seed, split)

    @property
    def _themes(self) -> list[Theme]:
        return list(THEMES.values()) if self.theme == "mixed" else [THEMES[self.theme]]

    def _draw(self, split: str, indices: NDArray[np.int64], key: np.uint64, filler: int) -> "list[_Draft]":
        """Problems with so many sentences of filler each."""
        graphs, _ = draw(self.shape, self.operations, split, indices, key, filler=filler)
        names = draw_names(self._themes, rng.stream("names", key), indices, self.kinds, self.places, filler=filler > 0)
        known = statistics(graphs)
        facts = zip(*(of.tolist() for of in known.values()), strict=True)
        return [
            _Draft(wording, content, determinant, dict(zip(known, row, strict=True)))
            for wording, content, determinant, row in zip(
                wordings(graphs, names), graphs.content.tolist(), graphs.determinant.tolist(), facts, strict=True
            )
        ]

    def _plain_problems(self, split: str, indices: NDArray[np.int64], key: np.uint64) -> list[Problem]:
        """Problems without filler."""
        problems = []
        for start in range(0, len(indices), _BLOCK):
            for one in self._draw(split, indices[start : start + _BLOCK], key, 0):
                problems.append(one.problem(self, " ".join(one.core.values())))
        return problems

    def _filled_problems(self, split: str, indices: NDArray[np.int64], key: np.uint64, budget: Budget) -> list[Problem]:
        """Problems with as much filler as fits."""
        filler = min(budget.sentences(self._themes), _ALL_FILLER)
        size = -(-32 * _BLOCK // (32 + filler))
        problems = []
        for start in range(0, len(indices), size):
            block = indices[start : start + size]
            drawn = self._draw(split, block, key, filler)
            core = max(budget.count(" ".join([*one.core.values(), one.question])) for one in drawn)
            if core > budget.tokens:
                raise ValueError(
                    f"token_budget must be at least {core}, what the longest of the {split} problems {block[0]} to "
                    f"{block[-1]} needs without filler; given {budget.tokens}"
                )
            for b, one in enumerate(drawn):
                filled = budget.fill(one.wording, one.core, one.question)
                for margin in _MARGINS:
                    if filled.short:
                        (one,) = self._draw(split, block[b : b + 1], key, min(margin * filler, _ALL_FILLER))
                        filled = budget.fill(one.wording, one.core, one.question, margin)
                if filled.short:
                    raise ValueError(
                        f"token_budget must be below {filled.tokens}, what {split} problem {block[b]} takes with all "
                        f"{filled.filler} sentences of filler that there are names for; given {budget.tokens}"
                    )
                problems.append(one.problem(self, filled.text, filler=filled.filler, tokens=filled.tokens))
        return problems


class _Draft:
    """A problem in words, before its text is put together."""

    def __init__(self, wording: Wording, content: int, determinant: int, facts: dict[str, int]) -> None:
        self.wording, self.content, self.determinant, self.facts = wording, content, determinant, facts
        self.core = {q: sentence(wording, q) for q in wording.order if q < wording.core}
        self.question = question(wording)

    def problem(self, of: Problems, text: str, **facts: int) -> Problem:
        """The problem with this text."""
        return Problem(
            subset=of.subset,
            mode=of.mode,
            theme=self.wording.names.theme.name,
            operations=of.operations,
            problem=text,
            question=self.question,
            solution=solution(self.wording, self.core),
            answer=self.wording.value[self.wording.asked],
            content=self.content,
            determinant=self.determinant,
            facts=self.facts | facts,
        )
