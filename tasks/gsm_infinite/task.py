"""GSM-Infinite in words, a token per word: problems in the published wording, read in windows.

    What is the total number of adult animals in ... ? The number of adult ... equals 4 . ... Answer :
                                                                            the target at ":", one token

A symbolic problem asks for names of variables; its target goes on, a token per digit, to the last of them. A problem
is filled up with sentences that nothing asks for. `gsm_compact` asks for the like in a tenth of the tokens.
Source: arXiv 2605.26099, Figures 4 and 5; the sizes are the paper's.
"""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from tasks import rng
from tasks.base import IGNORE, Episode, Tokens, check_whole
from tasks.gsm_infinite import workings
from tasks.gsm_infinite.graphs import COUNT, PRODUCT, RATE, TOTAL, Graphs
from tasks.gsm_infinite.operations import DETERMINANT, CountedTask, floors_of, words_of
from tasks.gsm_infinite.problem import Problem
from tasks.gsm_infinite.problems import Problems, prompt
from tasks.gsm_infinite.themes import THEMES
from tasks.gsm_infinite.tokenizer import WordTokenizer
from tasks.pieces import PieceTokenizer, check_named, digest, pieces

PAD = 0  # then the word tokenizer's ids, one higher; of a tokenizer of pieces its own first, and ids as they are

_ANSWER = " Answer:"
_LENGTHS = 4  # different lengths that problems are filled up to
_LINE = 100  # characters of a drawn line
_JOINTS = 4
_SAMPLE = 2048  # training problems that floors are measured on


@dataclass(frozen=True, kw_only=True)
class GSMInfinite(CountedTask):
    """The number, or the names of variables, that answer a problem.

    Held out by content: the core problem, with names, order and filler removed, belongs to one split.

    Attributes:
        subset: "symbolic", "medium" or "hard".
        mode: "forward" or "reverse"; symbolic problems are forward.
        theme: Where the nouns are from: one of `themes.THEMES`, or "mixed"; symbolic problems have none.
        least_operations: Fewest operations of a problem; uniform from there,
        most_operations: to here.
        most_words: T: most tokens of a problem, question included.
        least_words: A problem is filled up to one of four lengths from here to `most_words`.
        window_tokens: L.
        question_first: The question stands before the sentences, as in the paper; else behind them.
        tokenizer: Folder whose tokenizer.json cuts the texts, as a pretrained decoder knows them; empty: a token per
            word. No part of an example's address, which knows the content.
        tokenizer_sha256: Digest of that file; another is refused. Empty takes what is there.
    """

    name: ClassVar[str] = "gsm_infinite"
    version: ClassVar[int] = 2

    theme: str = "mixed"
    most_words: int = 3300
    least_words: int = 2100
    window_tokens: int = 2000
    tokenizer: str = field(default="", metadata={"place": True})
    tokenizer_sha256: str = field(default="", metadata={"later": True})

    def __post_init__(self) -> None:
        """Refuse what does not fit or cannot be made."""
        super().__post_init__()
        if self.tokenizer and not self.tokenizer_sha256:
            object.__setattr__(self, "tokenizer_sha256", digest(self.tokenizer))
        # A core problem of 24 sentences has up to about 900 tokens.
        check_whole("least_words", self.least_words, 1000, why="what the longest problems need without filler")
        check_whole("most_words", self.most_words, self.least_words, why="least_words")
        check_whole("most_words", self.most_words, self.least_words, most=2**20)
        check_whole(
            "window_tokens", self.window_tokens, 2, self.most_words - 1, "below most_words: something is evicted"
        )
        if self._most_answer > (self.most_words - 1) % self.window + 1:
            raise ValueError(
                f"the answer, of up to {self._most_answer} tokens, must lie in the last window, which has "
                f"{(self.most_words - 1) % self.window + 1} of the {self.most_words} tokens in windows of {self.window}"
            )
        for operations in (self.least_operations, self.most_operations):
            self._problems(operations)

    def _problems(self, operations: int, tokens: int | None = None) -> Problems:
        """The generator of texts of up to `tokens`, with "Answer:" and answer; of the same without filler: None."""
        budget = None
        if tokens is not None:
            after = len(self._tokens.encode(_ANSWER)) + self._most_answer - 1
            # Pieces at the joints of a text depend on what stands there.
            budget = tokens - after - (_JOINTS if self.tokenizer else 0)
        theme = Problems.theme if self.subset == "symbolic" else self.theme  # symbolic ones leave the default
        return Problems(subset=self.subset, mode=self.mode, theme=theme, operations=operations, token_budget=budget)

    @property
    def _most_answer(self) -> int:
        """Most tokens of an answer: names have seven, and a comma between two; a piece has at least a character."""
        if self.tokenizer:
            return len(", V000000") * self.most_operations if self.subset == "symbolic" else len(" 1000")
        return 8 * self.most_operations - 1 if self.subset == "symbolic" else 1

    @property
    def vocab_size(self) -> int:
        """Padding, then the words, numbers and marks of all themes; or all pieces of the tokenizer."""
        return self._tokens.vocab_size + self._first_token

    @property
    def _tokens(self) -> WordTokenizer | PieceTokenizer:
        """What cuts texts into tokens."""
        return pieces(self.tokenizer, self.tokenizer_sha256) if self.tokenizer else _tokenizer()

    @property
    def _first_token(self) -> int:
        """The token of the tokenizer's id 0."""
        return 0 if self.tokenizer else PAD + 1

    @property
    def window(self) -> int:
        """L: `window_tokens`."""
        return self.window_tokens

    @property
    def seq_len(self) -> int:
        """T: `most_words`."""
        return self.most_words

    def measured_floors(self) -> dict[str, float]:
        """On 2,048 training problems; the question's kind is in its first words. 0 for symbolic: six digits a name."""
        return dict(_floors(self))

    def graphs(self, split: str, count: int) -> Graphs:
        """The first problems of a split without filler, of a task of one operation count."""
        return self._problems(self.least_operations).graphs(split, np.arange(count), int(self.key(split)))

    def word(self, token: int) -> str:
        """The token's word; an underscore for padding."""
        return "_" if token == PAD else self._tokens.word(token - self._first_token)

    def texts(self, split: str, indices: Tokens, key: np.uint64) -> list[Problem]:
        """The problems `indices` [B] of a valid split as text, from the stream `key`.

        Raises:
            ValueError: pieces of a tokenizer are asked for whose folder is not named.
        """
        check_named(self.tokenizer, self.tokenizer_sha256)
        words = rng.words(key, indices, 2)
        operations = self.least_operations + rng.integers(words[:, 0], len(self.levels))
        lengths = np.linspace(self.least_words, self.most_words, _LENGTHS).astype(np.int64)
        length = lengths[rng.integers(words[:, 1], _LENGTHS)]
        problems: list[Problem | None] = [None] * len(indices)
        for of, tokens in sorted({*zip(operations.tolist(), length.tolist(), strict=True)}):
            rows = np.flatnonzero((operations == of) & (length == tokens))
            part = self._problems(of, tokens).problems(split, indices[rows], int(key), self._tokens)
            for row, problem in zip(rows, part, strict=True):
                problems[row] = problem
        return [problem for problem in problems if problem is not None]

    def prompt(self, problem: Problem) -> str:
        """What is read: question, sentences, and the sign of the answer."""
        return prompt(problem, question_first=self.question_first) + _ANSWER

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = padding, then the words of the prompt; the target at its last."""
        problems = self.texts(split, indices, key)
        inputs = np.full((len(indices), self.seq_len), PAD, dtype=np.int64)
        targets = np.full_like(inputs, IGNORE)
        answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
        for b, problem in enumerate(problems):
            asked = np.array(self._tokens.encode(f" {_answer_text(problem)}")) + self._first_token
            read = np.array(self._tokens.encode(self.prompt(problem))) + self._first_token
            text = np.concatenate([read, asked[:-1]])
            inputs[b, self.seq_len - len(text) :] = text
            targets[b, -len(asked) :] = asked
            answer[b, -len(asked) :] = 0
            difficulty[b, -len(asked) :] = problem.operations
        facts = {name: np.array([p.facts[name] for p in problems]) for name in (problems[0].facts if problems else ())}
        facts[DETERMINANT] = words_of(p.determinant for p in problems)
        facts["question"] = np.array([_kind_of_question(p) for p in problems], dtype=np.int64)
        return Episode(
            inputs=inputs,
            targets=targets,
            window=self.window,
            difficulty=difficulty,
            answer=answer,
            content=np.array([p.content for p in problems], dtype=np.uint64).reshape(-1, 1),
            facts=facts,
            source=problems,
        )

    def notes(self, kind: str, episode: Episode) -> Mapping[int, Tokens]:
        """Workings of windows that are read: the lines of the solution, as far as their sentences were read by then."""
        if super().notes(kind, episode) or kind != "workings" or not self.worked:
            return {}
        prompts = [self.prompt(problem) for problem in episode.source]
        borders = np.arange(self.window, self.seq_len, self.window) - self.seq_len

        def encode(text: str) -> Tokens:
            return np.array(self._tokens.encode(text), dtype=np.int64) + self._first_token

        room = workings.WORDS_STEP * (self.most_operations + 1)
        return workings.in_words(episode.source, prompts, borders.tolist(), room, encode, PAD)

    def records(self, split: str, indices: ArrayLike, seed: int = 0) -> list[dict[str, Any]]:
        """As of any task, with the prompt as text."""
        rows = super().records(split, indices, seed)
        for row, problem in zip(rows, self.texts(split, np.asarray(indices), self.key(split, seed)), strict=True):
            row["prompt"] = self.prompt(problem)
        return rows

    def example(self, index: int = 0, split: str = "train", seed: int = 0) -> str:
        """One example drawn for a human: the question, the sentences without filler, the worked solution."""
        check_whole("index", index, 0)
        (problem,) = self.texts(split, np.array([index]), self.key(split, seed))
        settings = self.settings_in_words
        (core,) = self._problems(problem.operations).problems(split, [index], int(self.key(split, seed)))
        lines = [
            f"{self.name} version {self.version}: {settings}",
            f"{split} example {index}, seed {seed}: {len(self._tokens.encode(self.prompt(problem)))} tokens in windows "
            f"of {self.window}, chance {self.chance(problem.operations):.3g} at {self.axis} {problem.operations}",
            "",
            *textwrap.wrap(f"question  {problem.question}", _LINE, subsequent_indent=" " * 10),
            "",
        ]
        for sentence in re.split(r"(?<=\.) (?=The |assign )", core.problem):
            lines += textwrap.wrap(sentence, _LINE, subsequent_indent="    ")
        lines += ["    and sentences of filler, anywhere between these", ""]
        for step in problem.solution.splitlines():
            lines += textwrap.wrap(step, _LINE, subsequent_indent="    ")
        return "\n".join(lines)


@cache
def _tokenizer() -> WordTokenizer:
    return WordTokenizer()


def _answer_text(problem: Problem) -> str:
    """The answer as it is written."""
    return ", ".join(problem.answer) if isinstance(problem.answer, tuple) else str(problem.answer)


def _kind_of_question(problem: Problem) -> int:
    """What the question tells beside names: whether it asks for a count, a rate, or which total."""
    if not problem.question.startswith("What is the total"):
        return COUNT if problem.question.startswith("How many") else RATE
    return PRODUCT if problem.theme and THEMES[problem.theme].product in problem.question else TOTAL


@cache
def _floors(task: GSMInfinite) -> tuple[tuple[str, float], ...]:
    """The floors of a task of one level."""
    if task.subset == "symbolic":
        return ("majority", 0.0), ("question_only", 0.0)
    problems = task._problems(task.least_operations).problems("train", np.arange(_SAMPLE), int(task.key("train")))
    return tuple(floors_of([p.answer for p in problems], [_kind_of_question(p) for p in problems]).items())


if __name__ == "__main__":
    from tasks.command import main

    main(GSMInfinite)
