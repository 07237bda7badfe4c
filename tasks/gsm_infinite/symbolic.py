"""The symbolic subset: a tree of variables, each a copy of an earlier one, or that plus or minus 1.

    assign V482913 = V090152 - 1. assign V090152 = 7. assign V665040 = V482913. assign V317008 = V900771 + 1.

Which variables are equal to 6? V482913 and V665040. The value of the root is stated, and every variable of this *core*
tree follows from it; their number is the number of operations. Values may be negative. The value asked about is that of
a uniformly chosen core variable, so the answer, a set of names, is never empty. *Filler* is a second tree of the same
make whose root has no sentence (V900771 above): nothing in it has a value.
"""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks import rng
from tasks.base import check_whole
from tasks.gsm_infinite.graphs import NONE, Numbers
from tasks.gsm_infinite.problem import Problem
from tasks.gsm_infinite.tokenizer import Tokenizer, WordTokenizer
from tasks.gsm_infinite.trees import NAMES, OPERATIONS, Trees, descend, draw

__all__ = ["OPERATIONS", "Trees", "draw", "draw_problems", "render"]

_BLOCK = 1 << 17  # about as many variables are in memory at once
_PROBES = 48  # to find how much filler fits: the first half guided; the second is enough to halve 2^20 down to 1

# Texts are written as records of fixed width: what a field does not fill is NUL, and NULs are deleted from all texts at
# once. Numbers are -63..73.
_HIGH, _LOW = (np.array([f"{start}{n:03}" for n in range(1000)], dtype="S") for start in ("V", ""))
_NUMBER = np.array([str(n) for n in [*range(100), *range(-99, 0)]], dtype="S")  # a negative one counts from the end
_STEP = np.array(["", " + 1", " - 1"], dtype="S")  # likewise
_SENTENCE = np.dtype("S8, S7, S3, S7, S4, S1")
_SENTENCE.names = ("assign", "name", "equals", "source", "step", "end")
_STEP_FIELDS = np.dtype("S7, S3, S7, S4, S3, S3, S4, S3, S3, S2")
_STEP_FIELDS.names = ("name", "copied", "source", "step", "computed", "number", "again", "equals", "value", "end")

_word_tokenizer = cache(WordTokenizer)


def render(trees: Trees) -> list[str]:
    """The problem texts: their sentences in order, joined by spaces."""
    order, rows = trees.order, np.arange(len(trees.order))[:, None]
    names, source = _name_texts(trees.names), trees.parent[rows, order]
    sentences = np.full(order.shape, np.array((b" assign ", b"", b" = ", b"", b"", b"."), dtype=_SENTENCE))
    sentences["name"] = names[rows, order]
    sentences["source"] = np.where(order == 0, _NUMBER[trees.value[:, :1]], names[rows, source])
    sentences["step"] = _STEP[trees.step[rows, order]]
    sentences[order == NONE] = np.zeros((), dtype=_SENTENCE)
    return [text[1:] for text in _texts(sentences)]


def question(value: int) -> str:
    """What is asked of a problem."""
    return (
        "Each sentence of the context is an equation between variables, and all of them hold at once. From these "
        "equations alone, determine which variables (if any), of those whose value can be derived, are equal to "
        f"{value}. Show the steps, and end with one sentence that names the variables."
    )


def answers(trees: Trees) -> list[tuple[str, ...]]:
    """The names, sorted, of the variables that have the value asked about."""
    right = trees.value == trees.asked[:, None]
    names = np.sort(np.where(right, trees.names[:, : right.shape[1]], NAMES), axis=1)
    texts = _name_texts(names[names < NAMES]).astype(str).tolist()
    ends = right.sum(axis=1).cumsum().tolist()
    return [tuple(texts[start:end]) for start, end in pairwise([0, *ends])]


def solutions(trees: Trees) -> list[str]:
    """The value of every core variable, parents first; the answer is to follow."""
    core = trees.value.shape[1]
    parent, step, rows = trees.parent[:, :core], trees.step[:, :core], np.arange(len(trees.value))[:, None]
    names = _name_texts(trees.names[:, :core])
    steps = np.full(names.shape, np.array((b"", b" = ", *[b""] * 5, b" = ", b"", b". "), dtype=_STEP_FIELDS))
    steps["name"], steps["source"] = names, names[rows, parent]
    steps["step"] = steps["again"] = _STEP[step]
    steps["computed"] = np.array(["", " = "], dtype="S")[np.abs(step)]
    steps["number"] = np.where(step == 0, b"", _NUMBER[trees.value[rows, parent]])
    steps["value"] = _NUMBER[trees.value]
    steps["copied"][:, 0] = steps["source"][:, 0] = b""  # the root's value is stated
    return _texts(steps)


def draw_problems(
    operations: int,
    split: str,
    indices: Numbers,
    key: np.uint64,
    *,
    token_budget: int | None = None,
    tokenizer: Tokenizer | None = None,
) -> list[Problem]:
    """The problems `indices` [B] (>= 0) of a split in words, from the stream `key` (as in `rng.words`).

    Args:
        operations: Core variables, 1..64.
        split: One of `tasks.base.SPLITS`; it owns the core of every problem.
        indices: The problems.
        key: The stream.
        token_budget: Most tokens of a problem and its question, up to 1,000,000; filler is added until one sentence
            more would exceed it. None: no filler.
        tokenizer: What counts tokens, at least one for each sentence; None: the built-in one.

    Raises:
        ValueError: one of the arguments is not as said above, or some core exceeds the budget.
    """
    check_whole("operations", operations, 1, OPERATIONS, "core variables")
    if token_budget is not None:
        check_whole("token_budget", token_budget, 1, NAMES, "names have six digits and are distinct")
    if tokenizer is None:
        tokenizer = _word_tokenizer()
    problems = []
    # Blocks keep memory small; where a block ends changes no problem.
    block = max(1, _BLOCK // (operations + (token_budget or 0) // 8))
    for start in range(0, len(indices), block):
        rows = indices[start : start + block]
        if token_budget is None:
            trees, _ = draw(operations, split, rows, key)
        else:
            trees = _filled_trees(operations, split, rows, key, token_budget, tokenizer)
        problems += _problems(trees)
    return problems


def _problems(trees: Trees) -> list[Problem]:
    """Trees in words, with what is known of them."""
    core = trees.value.shape[1]
    parent, step = trees.parent[:, :core], trees.step[:, :core]
    right = trees.value == trees.asked[:, None]
    depth = np.where(right, descend(parent, np.ones_like(step), 1), 0).max(axis=1)
    questions = {value: question(value) for value in set(trees.asked.tolist())}
    return [
        Problem(
            subset="symbolic",
            mode="forward",
            theme=None,
            operations=core,
            problem=text,
            question=questions[asked],
            solution=f"{steps}Answer: {', '.join(answer)}.",
            answer=answer,
            content=content,
            determinant=determinant,
            facts={"chain_depth": chain, "binary_operations": binary, "answers": len(answer)},
        )
        for text, asked, steps, answer, content, determinant, chain, binary in zip(
            render(trees),
            trees.asked.tolist(),
            solutions(trees),
            answers(trees),
            trees.content.tolist(),
            _determinants(trees).tolist(),
            depth.tolist(),
            np.count_nonzero(step, axis=1).tolist(),
            strict=True,
        )
    ]


def _determinants(trees: Trees) -> rng.Words:
    """Hash [B] of the sentences of the core, names and all, and of the value asked about."""
    core, rows = trees.value.shape[1], np.arange(len(trees.value))[:, None]
    source = np.where(np.arange(core) > 0, trees.names[rows, trees.parent[:, :core]], trees.value[:, :1])
    sentences = (trees.names[:, :core] * NAMES + source) * 3 + trees.step[:, :core] + 1
    return rng.mix(rng.content_hash(sentences) + trees.asked.astype(np.uint64))


def _filled_trees(
    operations: int, split: str, indices: Numbers, key: np.uint64, budget: int, tokenizer: Tokenizer
) -> Trees:
    """Trees with as much filler as the budget holds: one sentence more would exceed it."""

    def draw_filled(rows: Numbers, filler: Numbers) -> Trees:
        trees, _ = draw(operations, split, rows, key, filler=int(filler.max()))
        within = trees.order <= operations + filler[:, None]
        return replace(trees, order=np.where(within, trees.order, NONE))

    def tokens(trees: Trees) -> Numbers:
        asked = map(question, trees.asked.tolist())
        return np.array([len(tokenizer.encode(f"{text} {of}")) for text, of in zip(render(trees), asked, strict=True)])

    low = np.zeros_like(indices)  # [B] fits
    least = tokens(draw_filled(indices, low))
    if least.max() > budget:
        raise ValueError(
            f"token_budget must be at least {least.max()}, the longest of {len(indices)} problems of {operations} "
            f"operations without filler; given {budget}"
        )
    high = np.minimum(budget - least, NAMES - 1 - operations) + 1  # does not fit: a sentence is at least a token
    low_tokens, rate = least.copy(), least / operations  # tokens in all; per sentence
    for probe in range(_PROBES):
        (rows,) = np.nonzero(high - low > 1)
        if not len(rows):
            break
        guided, half = (budget - low_tokens[rows]) / rate[rows], (high - low)[rows] / 2
        more = guided if probe < _PROBES // 2 else half
        filler = low[rows] + np.clip(more.astype(np.int64), 1, (high - low)[rows] - 1)
        tokens_of = tokens(draw_filled(indices[rows], filler))
        rate[rows] = (tokens_of - least[rows]).clip(1) / filler
        fits = tokens_of <= budget
        low[rows[fits]], low_tokens[rows[fits]], high[rows[~fits]] = filler[fits], tokens_of[fits], filler[~fits]
    return draw_filled(indices, low)


def _name_texts(names: Numbers) -> NDArray[np.bytes_]:
    """A V and six digits for each name, same shape."""
    texts = np.empty(names.shape, dtype=[("high", "S4"), ("low", "S3")])
    texts["high"], texts["low"] = _HIGH[names // 1000], _LOW[names % 1000]
    return texts.view("S7")


def _texts(records: NDArray[np.void]) -> list[str]:
    """The text of each row of records [B, n]."""
    cells = records.view(np.uint8)
    text = cells.tobytes().translate(None, b"\0").decode("ascii")
    ends = np.count_nonzero(cells, axis=1).cumsum().tolist()
    return [text[start:end] for start, end in pairwise([0, *ends])]
