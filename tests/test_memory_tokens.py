"""Memory tokens against a plain reading of their definitions: one example, one token and one head at a time."""

from dataclasses import replace

import pytest
import torch
from conftest import Build, live, tokens
from plain import Plain, Seen
from torch import Tensor

from baselines.hybrid import Hybrid
from baselines.memory_tokens import RMT, AutoCompressor, Gist, MemoryNetwork, MemoryTokens

WINDOW, COUNT = 4, 3
SIZES = {"blocks": 2, "d_model": 8, "heads": 2, "mlp_ratio": 2, "memory_tokens": COUNT}


class PlainMemory(Plain):
    """Each published form in the open; attention, norms and MLPs are those of `Plain`."""

    def answer(self, kind: type[MemoryTokens], windows: list[Tensor], passes: int) -> Tensor:
        """Logits [P, V] in the last window."""
        first = [*self.weights["first"]]
        memory, gists = (first if kind is RMT else []), dict[int, list[Seen]]()
        for number, window in enumerate(windows[:-1]):
            x = [self.embed(int(token), number) for token in window]
            if kind is Gist:
                gists = self.gists([*x, *first], gists, passes)
                continue
            summary = memory if kind is RMT else first
            for _ in range(passes):
                written = self.through([*memory, *x, *(memory if kind is RMT else summary)])[0][-COUNT:]
                summary = [self.rms(h, "norm") for h in written]
                memory = summary if kind is RMT else memory
            memory = summary if kind is RMT else [*memory, *summary]
        x = [self.embed(int(token), len(windows) - 1) for token in windows[-1]]
        h = self.through([*memory, *x], gists)[0][-len(x) :]
        return torch.stack([self.weights["head.weight"] @ self.rms(h_t, "norm") for h_t in h])

    def through(
        self, h: list[Tensor], kept: dict[int, list[Seen]] | None = None
    ) -> tuple[list[Tensor], dict[int, list[Seen]]]:
        """Features after all blocks, and what the attention of each saw."""
        seen = {}
        for block in range(len(self.layout)):
            past = self.in_places((kept or {}).get(block, []))
            self.read = len(past)
            h, seen[block] = self.block(block, h, past)
        return h, seen

    def gists(self, h: list[Tensor], before: dict[int, list[Seen]], passes: int) -> dict[int, list[Seen]]:
        """The kept keys and values with those of one more window's gist tokens."""
        for _ in range(passes):
            h, seen = self.through(h, before)
        return {block: [*before.get(block, []), *seen[block][-COUNT:]] for block in seen}

    def in_places(self, kept: list[Seen]) -> list[Seen]:
        """Kept keys turned from where they stood in their window to where they stand in the list."""
        return [
            replace(seen, position=place, keys=[self.turn(key, place - seen.position) for key in seen.keys])
            for place, seen in enumerate(kept)
        ]


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("kind", [RMT, AutoCompressor, Gist])
def test_it_equals_its_definition(build: Build, kind: type[MemoryTokens], passes: int) -> None:
    """Values and the gradient of every parameter, over three windows slept on and a shorter one predicted."""
    model = build(kind(**SIZES), dtype=torch.float64, noise=0.1, window=WINDOW)
    assert isinstance(model, MemoryNetwork)
    inputs = tokens(1, 3 * WINDOW + 2)

    logits = live(model, inputs, passes, WINDOW)[0][0]
    expected = PlainMemory(model, WINDOW).answer(kind, [*inputs[0].split(WINDOW)], passes)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)

    weights = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.autograd.grad((weights * out).sum(), [*model.parameters()]) for out in (logits, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", [RMT, AutoCompressor, Gist])
def test_without_vectors_it_is_the_transformer(build: Build, kind: type[MemoryTokens]) -> None:
    config = kind(**SIZES)
    model = build(config)
    plain = build(replace(config.body, eviction="hard"))
    assert isinstance(model, MemoryNetwork)
    model.first = torch.nn.Parameter(model.first[:0])
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if name != "first"})
    assert torch.equal(live(model, tokens(), 2)[0], live(plain, tokens(), 2)[0])


@pytest.mark.parametrize("kind", [RMT, AutoCompressor, Gist])
@pytest.mark.parametrize(("heads", "windows"), [(2, 2), (4, 3), (1, 5)])
def test_it_keeps_the_bytes_of_fast_weights(kind: type[MemoryTokens], heads: int, windows: int) -> None:
    """By default it holds, after all windows, as much as the hybrid of its sizes, up to a whole vector a window."""
    hybrid = Hybrid(layout="attn gdn attn gdn", d_model=32, heads=heads)
    config = kind(blocks=4, d_model=32, heads=heads)
    of_hybrid, of_memory = (
        model.state_bytes(live(model, tokens(1, windows * 6), 1)[1])
        for model in (c.build(vocab_size=7, window=6, seq_len=6 * windows) for c in (hybrid, config))
    )
    written = 4 * 32 * (2 * 4 if kind is Gist else 1) * (1 if kind is RMT else windows - 1)
    assert of_hybrid - written < of_memory <= max(of_hybrid, written)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"blocks": 0}, "blocks = 0: at least 1"),
        ({"memory_tokens": -1}, "memory_tokens = -1"),
        ({"heads": 3, "d_model": 8}, "heads = 3 does not divide"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RMT(**settings)
