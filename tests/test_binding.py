"""Binding: a reader, one that keeps the set of colors alone, and one that guesses, are told from each other."""

import pytest
import torch
from torch import Tensor

from baselines.base import Model, State
from benchmark.measure.binding import binding
from tasks.colors import Colors

TASK = Colors()


class Reader(Model):
    """Keeps every token that it reads, and answers from them.

    Args:
        knows: "facts": the color after the thing asked. "colors": the color read first, whatever is asked. "nothing".
    """

    def __init__(self, knows: str) -> None:
        super().__init__()
        self.knows = knows

    def start(self, batch: int) -> State:
        return State(fast_weights=(torch.zeros(batch, 0, dtype=torch.int64),))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        return State(fast_weights=(torch.cat((state.fast_weights[0], tokens), dim=1),))

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        logits = torch.zeros(*tokens.shape, TASK.vocab_size)
        (read,) = state.fast_weights
        for row, (facts, asked) in enumerate(zip(read.reshape(len(tokens), -1, 5), tokens, strict=True)):
            for _, noun, _, color, _ in facts.tolist() if self.knows != "nothing" else ():
                logits[row, -1, color] = 2 if self.knows == "facts" and noun == asked[-2] else 1
        return logits, state


@pytest.mark.parametrize(
    ("knows", "right", "seen", "bound"), [("facts", 1, 1, 1), ("colors", 0.25, 1, 0.25), ("nothing", 0, 0, 0.25)]
)
def test_what_is_known_is_told_apart(knows: str, right: float, seen: float, bound: float) -> None:
    shares = binding(Reader(knows), TASK, 1, 1000)
    assert shares == pytest.approx({"right": right, "seen": seen, "bound": bound}, abs=0.05)


def test_without_its_state_a_reader_knows_nothing() -> None:
    assert binding(Reader("facts"), TASK, 1, 500, forget=True) == pytest.approx(
        binding(Reader("nothing"), TASK, 1, 500)
    )
