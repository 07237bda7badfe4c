"""The paper's algorithm in the open: one example, one token, one head at a time, from a `Sleeper`'s parameters alone.

Every equation is written out again, none is taken from `baselines`. Positions count from the start of the sequence, as
distances alone matter; fast weights, and the keys and values that were kept, are in plain dictionaries. The update rule
is Gated DeltaNet.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.base import Model
from baselines.pretrained.decoder import Decoder
from baselines.sleeper import Sleeper


def assert_same_function(model: nn.Module, ours: Tensor, theirs: Tensor) -> None:
    """Logits, and the gradient of every parameter through them, are those of a definition; no gradient is all zeros."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    mix = torch.randn(ours.shape, dtype=ours.dtype, generator=torch.Generator().manual_seed(0))
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    grads = [torch.autograd.grad((mix * logits).sum(), [p for _, p in trained]) for logits in (ours, theirs)]
    for (name, _), one, other in zip(trained, *grads, strict=True):
        assert other.abs().max() > 1e-9, f"no gradient reaches {name}"
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


@dataclass
class Seen:
    """A token as attention remembers it: its position, and a key and a value per head."""

    position: int
    keys: list[Tensor]
    values: list[Tensor]


class Plain:
    """A model of windows of L tokens, over one example; used once."""

    def __init__(self, model: Sleeper, window: int) -> None:
        self.config, self.window = model.config, window
        self.weights = dict(model.named_parameters())
        self.layout = self.config.layout.split()
        self.size = self.config.d_model // self.config.heads
        self.state_size = self.config.state_size or self.size
        self.heads = range(self.config.heads)
        empty = torch.zeros(self.state_size, self.state_size, dtype=torch.float64)
        self.fast = {(block, head): empty for block in range(len(self.layout)) for head in self.heads}
        self.cache: dict[int, list[Seen]] = {block: [] for block in range(len(self.layout))}
        self.read = 0  # tokens so far

    def predict(self, windows: list[Tensor], passes: int) -> Tensor:
        """Logits [P, V] in the last window, after sleeping over the windows [L] before it."""
        for number, window in enumerate(windows[:-1]):
            if self.config.reread:
                self.run([*window] * passes, number, 1)
            else:
                self.run([*window], number, passes)
        h = self.run([*windows[-1]], len(windows) - 1, self.config.wake_passes, predicting=True)
        return torch.stack([self.weights["head.weight"] @ self.rms(x, "norm") for x in h])

    def run(self, tokens: list[Tensor], number: int, passes: int, predicting: bool = False) -> list[Tensor]:
        """Features of the last of `passes` passes over one window, which is then evicted.

        In a prediction every pass starts from the fast weights before the window: those of the pass before have heard
        of the whole window.
        """
        blocks = len(self.layout)
        first, stop = (0, blocks) if self.config.loop == "all" else (blocks // 4, blocks // 4 + blocks // 2)
        kept, fast, seen = self.cache, dict(self.fast), {}
        h = [self.embed(int(token), number) for token in tokens]
        for block in range(first):
            h, seen[block] = self.block(block, h, kept[block])
        entered = h
        for _ in range(passes):
            if self.config.reembed:
                h = entered
            for block in range(first, stop):
                if predicting or self.config.reset_state:
                    self.fast |= {(block, head): fast[block, head] for head in self.heads}
                h, seen[block] = self.block(block, h, kept[block])
        for block in range(stop, blocks):
            h, seen[block] = self.block(block, h, kept[block])
        self.read += len(tokens)
        first_kept = {"hard": self.read, "sliding": self.read - (self.window - 1), "none": 0}[self.config.eviction]
        self.cache = {block: [s for s in all_seen if s.position >= first_kept] for block, all_seen in seen.items()}
        return h

    def embed(self, token: int, window: int) -> Tensor:
        x = self.weights["embedding.weight"][token]
        return x + self.weights["window_embedding.weight"][window] if self.config.window_embedding else x

    def block(self, block: int, h: list[Tensor], kept: list[Seen]) -> tuple[list[Tensor], list[Seen]]:
        """Features after one block, and all that its attention saw."""
        name = f"blocks.{block}"
        x = [self.rms(h_t, f"{name}.mixer_norm") for h_t in h]
        if self.layout[block] == "attn":
            mixed, kept = self.attend(x, name + ".mixer", kept)
        else:
            mixed = self.delta(x, name + ".mixer", block)
        after = []
        for h_t, m_t in zip(h, mixed, strict=True):
            between = h_t + m_t
            up = (self.weights[f"{name}.mlp.up.weight"] @ self.rms(between, f"{name}.mlp_norm")).clamp(min=0)
            after.append(between + self.weights[f"{name}.mlp.down.weight"] @ (up * up))
        return after, kept

    def rms(self, x: Tensor, name: str) -> Tensor:
        mean_square = (x * x).sum() / len(x)
        return x / (mean_square + torch.finfo(x.dtype).eps).sqrt() * self.weights[name + ".weight"]

    def part(self, qkv: Tensor, which: int, head: int, size: int) -> Tensor:
        """q, k or v of one head."""
        start = (which * len(self.heads) + head) * size
        return qkv[start : start + size]

    def turn(self, x: Tensor, position: int) -> Tensor:
        """Rotary position: entry i and entry i + size / 2 are one complex number."""
        half = self.size // 2
        rate = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        z = torch.complex(x[:half], x[half:]) * torch.exp(1j * position * rate)
        return torch.cat([z.real, z.imag])

    def attend(self, x: list[Tensor], name: str, kept: list[Seen]) -> tuple[list[Tensor], list[Seen]]:
        reach = self.window - 1 if self.config.eviction == "sliding" else math.inf
        seen, outputs = list(kept), []
        for position, x_t in enumerate(x, start=self.read):
            qkv = self.weights[name + ".qkv.weight"] @ x_t
            q, k, v = ([self.part(qkv, which, head, self.size) for head in self.heads] for which in range(3))
            q = [self.turn(self.rms(q_h, name + ".q_norm"), position) for q_h in q]
            k = [self.turn(self.rms(k_h, name + ".k_norm"), position) for k_h in k]
            seen.append(Seen(position, k, v))
            visible = [s for s in seen if position - s.position <= reach]
            heads = []
            for head in self.heads:
                scores = [(q[head] @ s.keys[head] / math.sqrt(self.size)).exp() for s in visible]
                mixed = [score * s.values[head] for score, s in zip(scores, visible, strict=True)]
                heads.append(torch.stack(mixed).sum(0) / torch.stack(scores).sum())
            outputs.append(self.weights[name + ".out.weight"] @ torch.cat(heads))
        return outputs, seen

    def delta(self, x: list[Tensor], name: str, block: int) -> list[Tensor]:
        taps = self.weights[name + ".convolution.weight"]
        projected = [self.weights[name + ".qkv.weight"] @ x_t for x_t in x]
        outputs = []
        for t, x_t in enumerate(x):
            qkv = torch.stack([taps[j] * projected[t - j] for j in range(min(len(taps), t + 1))]).sum(0)
            qkv = qkv * qkv.sigmoid()
            gates = self.weights[name + ".gates.weight"] @ x_t
            heads = []
            for head in self.heads:
                q, k, v = (self.part(qkv, which, head, self.state_size) for which in range(3))
                q, k = (a / (a @ a + 1e-6).sqrt() for a in (q, k))
                step = (1 + (gates[head] + self.weights[name + ".step_bias"][head]).exp()).log()
                decay = (-self.weights[name + ".log_rate"][head].exp() * step).exp()
                beta = gates[len(self.heads) + head].sigmoid()
                # S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T
                forget = torch.eye(self.state_size, dtype=torch.float64) - beta * torch.outer(k, k)
                self.fast[block, head] = decay * forget @ self.fast[block, head] + beta * torch.outer(k, v)
                heads.append(self.rms(q @ self.fast[block, head], name + ".norm"))
            gate = self.weights[name + ".output_gate.weight"] @ x_t
            outputs.append(self.weights[name + ".out.weight"] @ (torch.cat(heads) * gate * gate.sigmoid()))
        return outputs


def assert_state_stays(model: Model, tokens: Tensor, later: Tensor) -> None:
    """The state after `tokens` [B, L] is as it was after a sleep over, and a prediction of, `later` [B, T]."""
    with torch.no_grad():
        state = model.sleep(tokens, model.start(len(tokens)), 2)
        before = {path: t.clone() for path, t in state.tensors().items()}
        model.sleep(later, state, 2)
        model.wake(later, state)
    assert before
    assert all(torch.equal(t, before[path]) for path, t in state.tensors().items())


def assert_short_sleep_is_whole(decoder: Decoder, tokens: Tensor) -> None:
    """A sleep, whose last pass ends with the last layer that holds something, leaves what the whole pass does."""
    with torch.no_grad():
        short = decoder.sleep(tokens, decoder.start(len(tokens)), 2).tensors()
        whole = decoder._run(tokens, decoder.start(len(tokens)), 2, output=True)[1].tensors()
    assert short.keys() == whole.keys()
    assert all(torch.equal(t, whole[path]) for path, t in short.items())
