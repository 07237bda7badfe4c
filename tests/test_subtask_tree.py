"""Subtask tree: against a plain reading with lists and no cache, its limiting case, and what it keeps."""

from dataclasses import replace

import pytest
import torch
from conftest import WINDOW, Build, live, tokens
from plain import assert_same_function
from test_memory_tokens import PlainMemory
from torch import Tensor

from baselines.memory_tokens import Gist
from baselines.subtask_tree import SubtaskTree, TreeAttention

COUNT = 3
SIZES = {"blocks": 2, "d_model": 8, "heads": 2, "mlp_ratio": 2, "memory_tokens": COUNT}


class PlainTree(PlainMemory):
    """Lists of what each block's attention saw, cut by hand where a subtask is complete."""

    def conclude(self, model: TreeAttention, windows: list[Tensor], passes: int) -> Tensor:
        """Logits [P, V] in the last window."""
        kept: dict[int, list] = {}
        for number, window in enumerate(windows[:-1]):
            x = [self.embed(int(token), number) for token in window]
            kept = self.gists([*x, *self.weights["first"]], kept, passes)
            size = model.branch
            while model.branch and (number + 1) % size == 0:
                h = [*self.weights["parent"]]
                for _ in range(passes):
                    h, seen = self.through(h, kept)
                kept = {b: kept[b][: -model.branch * COUNT] + seen[b][-COUNT:] for b in seen}
                size *= model.branch
        x = [self.embed(int(token), len(windows) - 1) for token in windows[-1]]
        h = self.through(x, kept)[0][-len(x) :]
        return torch.stack([self.weights["head.weight"] @ self.rms(h_t, "norm") for h_t in h])


@pytest.mark.parametrize(("branch", "passes"), [(2, 1), (2, 3), (3, 1), (0, 2)])
def test_it_equals_its_definition(build: Build, branch: int, passes: int) -> None:
    """Values and the gradient of every parameter, with a conclusion of conclusions of conclusions where b = 2."""
    model = build(SubtaskTree(**SIZES, branch=branch), dtype=torch.float64, noise=0.1, window=4, windows=6)
    assert isinstance(model, TreeAttention)
    inputs = tokens(1, 5 * 4 + 2)
    logits = live(model, inputs, passes, 4)[0][0]
    expected = PlainTree(model, 4).conclude(model, [*inputs[0].split(4)], passes)
    assert_same_function(model, logits, expected)


@pytest.mark.parametrize("passes", [1, 3])
def test_without_a_branch_conclusions_are_gist_tokens(build: Build, passes: int) -> None:
    tree, gist = build(SubtaskTree(**SIZES, branch=0)), build(Gist(**SIZES))
    assert torch.equal(live(tree, tokens(), passes)[0], live(gist, tokens(), passes)[0])


@pytest.mark.parametrize(
    ("branch", "kept"), [(2, (1, 1, 2, 1, 2, 2, 3, 1)), (3, (1, 2, 1, 2, 3, 2, 3, 4)), (0, tuple(range(1, 9)))]
)
def test_what_is_kept_is_what_is_open(build: Build, branch: int, kept: tuple[int, ...]) -> None:
    """The digits of the number of windows in base b, and nothing behind them."""
    model = build(SubtaskTree(**SIZES, branch=branch), windows=9)
    state = model.start(2)
    for window, count in zip(tokens(2, 8 * WINDOW).split(WINDOW, dim=1), kept, strict=True):
        state = model.sleep(window, state, 1)
        assert model.state_bytes(state) == count * COUNT * 2 * 8 * 2 * 4
        assert all(t.untyped_storage().nbytes() == t.numel() * 4 for t in state.cache)


def test_settings_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="branch = 1: at least 2"):
        replace(SubtaskTree(**SIZES), branch=1)
