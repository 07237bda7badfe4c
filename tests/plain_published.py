"""Ouro and Jet-Nemotron in the open: one example, one token, one head at a time, from published tensors by name.

Every equation is written out again from the papers and the published config; nothing is taken from `baselines`.
"""

import math
from typing import Any

import torch
from published import kinds
from torch import Tensor


class PlainDecoder:
    """A decoder of windows of L tokens, over one example; used once.

    Args:
        weights: Tensors by published name, and of layers inserted after layer i by `inserted.i.` and their own.
        config: The parsed config.json.
        window: L.
        eviction: "hard", "sliding" or "none".
        middle: Whether only the middle half of the layers is looped.
        heads: Heads of inserted layers.
    """

    def __init__(
        self,
        weights: dict[str, Tensor],
        config: dict[str, Any],
        window: int,
        eviction: str = "hard",
        *,
        middle: bool = False,
        heads: int = 2,
    ) -> None:
        self.weights, self.config, self.window, self.eviction, self.heads = weights, config, window, eviction, heads
        self.kinds = kinds(config)
        layers = len(self.kinds)
        self.looped = range(layers // 4, layers // 4 + layers // 2) if middle else range(layers)
        self.fast: dict[tuple[str, int], Tensor] = {}
        self.tails: dict[str, list[Tensor]] = {}
        self.seen: dict[int, list[tuple[int, list[Tensor], list[Tensor]]]] = {i: [] for i in range(layers)}
        self.read = 0

    def predict(self, windows: list[Tensor], passes: int, wake_passes: int = 1) -> Tensor:
        """Logits [P, V] in the last window, after sleeping over the windows [L] before it."""
        for window in windows[:-1]:
            self.run(window, passes)
        h = self.run(windows[-1], wake_passes, predicting=True)
        tied = self.config["tie_word_embeddings"]
        head = self.weights["model.embed_tokens.weight" if tied else "lm_head.weight"]
        return torch.stack([head @ self.rms(x, "model.norm") for x in h])

    def run(self, window: Tensor, passes: int, predicting: bool = False) -> list[Tensor]:
        """Features after the last of `passes` passes over a window, which is then evicted."""
        h = [self.weights["model.embed_tokens.weight"][int(token)] for token in window]
        fast, self.tails_after = dict(self.fast), dict[str, list[Tensor]]()
        self.seen_after: dict[int, list[tuple[int, list[Tensor], list[Tensor]]]] = {}
        for i in range(self.looped.start):
            h = self.layer(i, h)
        for number in range(passes):
            if number and self.config["model_type"] == "ouro":
                h = [self.rms(x, "model.norm") for x in h]
            for i in self.looped:
                if predicting:  # nobody hears what an earlier pass wrote of later tokens
                    self.fast = {k: s for k, s in self.fast.items() if k[0] not in self.of(i)}
                    self.fast |= {k: s for k, s in fast.items() if k[0] in self.of(i)}
                h = self.layer(i, h)
        for i in range(self.looped.stop, len(self.kinds)):
            h = self.layer(i, h)
        self.read += len(window)
        first = {"hard": self.read, "sliding": self.read - (self.window - 1), "none": 0}[self.eviction]
        self.seen = {i: [one for one in all_seen if one[0] >= first] for i, all_seen in self.seen_after.items()}
        self.tails = self.tails_after
        return h

    def of(self, i: int) -> tuple[str, str]:
        return f"model.layers.{i}.self_attn.", f"inserted.{i}.mixer."

    def layer(self, i: int, h: list[Tensor]) -> list[Tensor]:
        name, sandwich = f"model.layers.{i}.", self.config["model_type"] == "ouro"
        x = [self.rms(h_t, name + "input_layernorm") for h_t in h]
        if self.kinds[i] == "jet":
            jet = self.config["efficient_attention_config"]["jet"]
            mixed = self.jet(x, name + "self_attn.", jet["num_heads"], float(jet["norm_eps"]), carried=True)
        else:
            mixed = self.attend(i, x, name + "self_attn.")
        after = []
        for h_t, m_t in zip(h, mixed, strict=True):
            h_t = h_t + (self.rms(m_t, name + "input_layernorm_2") if sandwich else m_t)
            x_t = self.rms(h_t, name + "post_attention_layernorm")
            gate = self.weights[name + "mlp.gate_proj.weight"] @ x_t
            hidden = gate * gate.sigmoid() * (self.weights[name + "mlp.up_proj.weight"] @ x_t)
            out = self.weights[name + "mlp.down_proj.weight"] @ hidden
            after.append(h_t + (self.rms(out, name + "post_attention_layernorm_2") if sandwich else out))
        if f"inserted.{i}.norm.weight" in self.weights:
            x = [self.rms(h_t, f"inserted.{i}.norm", torch.finfo(h_t.dtype).eps) for h_t in after]
            mixed = self.jet(x, f"inserted.{i}.mixer.", self.heads, 1e-5, carried=False)
            after = [h_t + m_t for h_t, m_t in zip(after, mixed, strict=True)]
        return after

    def rms(self, x: Tensor, name: str, eps: float | None = None) -> Tensor:
        eps = self.config["rms_norm_eps"] if eps is None else eps
        return x / ((x * x).sum() / len(x) + eps).sqrt() * self.weights[name + ".weight"]

    def projected(self, name: str, x: Tensor) -> Tensor:
        out = self.weights[name + ".weight"] @ x
        return out + self.weights[name + ".bias"] if name + ".bias" in self.weights else out

    def turn(self, x: Tensor, position: int) -> Tensor:
        half = len(x) // 2
        rate = self.config["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
        z = torch.complex(x[:half], x[half:]) * torch.exp(1j * position * rate)
        return torch.cat([z.real, z.imag])

    def attend(self, i: int, x: list[Tensor], name: str) -> list[Tensor]:
        heads, shared = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        reach = self.window - 1 if self.eviction == "sliding" else math.inf
        if self.kinds[i] == "swa":
            reach = min(reach, self.config["efficient_attention_config"]["swa"]["window_size"] - 1)
        seen, outputs = list(self.seen[i]), []
        for position, x_t in enumerate(x, start=self.read):
            q = self.projected(name + "q_proj", x_t).chunk(heads)
            k = self.projected(name + "k_proj", x_t).chunk(shared)
            v = self.projected(name + "v_proj", x_t).chunk(shared)
            seen.append((position, [self.turn(k_h, position) for k_h in k], list(v)))
            visible = [s for s in seen if position - s[0] <= reach]
            mixed = []
            for head in range(heads):
                own = head * shared // heads
                q_h = self.turn(q[head], position)
                scores = [(q_h @ keys[own] / math.sqrt(len(q_h))).exp() for _, keys, _ in visible]
                parts = [score * values[own] for score, (*_, values) in zip(scores, visible, strict=True)]
                mixed.append(torch.stack(parts).sum(0) / torch.stack(scores).sum())
            outputs.append(self.weights[name + "o_proj.weight"] @ torch.cat(mixed))
        self.seen_after[i] = seen
        return outputs

    def jet(self, x: list[Tensor], name: str, heads: int, eps: float, *, carried: bool) -> list[Tensor]:
        def silu(a: Tensor) -> Tensor:
            return a * a.sigmoid()

        values, outputs = list(self.tails.get(name, []) if carried else []), []
        past, taps = len(values), 4
        values += [self.weights[name + "v_proj.weight"] @ x_t for x_t in x]
        generator = name + "dynamic_conv1d.kernel_generator."
        for t, x_t in enumerate(x, start=past):
            kernels = self.projected(generator + "w2", silu(self.weights[generator + "w1.weight"] @ x_t))
            convolved = torch.zeros_like(values[0])
            for back in range(min(taps, t + 1)):  # channel by channel, the token's own tap last
                convolved = convolved + kernels[taps - 1 - back :: taps] * values[t - back]
            q, k = (silu(self.weights[f"{name}{part}_proj.weight"] @ x_t).chunk(heads) for part in "qk")
            v = silu(convolved).chunk(heads)
            a, b = (self.weights[f"{name}{part}_proj.weight"] @ x_t for part in "ab")
            gate = silu(self.weights[name + "g_proj.weight"] @ x_t).chunk(heads)
            read = []
            for head in range(heads):
                k_h, q_h = (part[head] / (part[head] @ part[head] + 1e-6).sqrt() for part in (k, q))
                step = (1 + (a[head] + self.weights[name + "dt_bias"][head]).exp()).log()
                decay = (-self.weights[name + "A_log"][head].exp() * step).exp()
                S = decay * self.fast.get((name, head), torch.zeros(len(k_h), len(v[head]), dtype=torch.float64))
                S = S + torch.outer(k_h, b[head].sigmoid() * (v[head] - k_h @ S))
                self.fast[name, head] = S
                o = q_h @ S / math.sqrt(len(k_h))
                read.append(o / ((o * o).mean() + eps).sqrt() * self.weights[name + "o_norm.weight"] * gate[head])
            outputs.append(self.weights[name + "o_proj.weight"] @ torch.cat(read))
        self.tails_after[name] = values[1 - taps :]
        return outputs
