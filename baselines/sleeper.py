"""The network of the hybrids, and sleep: looping its blocks over a window before the window is evicted."""

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from baselines.attention import WindowAttention
from baselines.base import Model, State, check_passes
from baselines.layers import SquaredReluMLP, linear
from baselines.memory import FastWeightMixer

if TYPE_CHECKING:
    from baselines.hybrid import Hybrid
    from baselines.native.block import NativeBlock


class Block(nn.Module):
    """Mixer and MLP, each normalised before and added to the residual stream."""

    def __init__(self, mixer: FastWeightMixer | WindowAttention, d_model: int, mlp_ratio: float) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(d_model)
        self.mixer = mixer
        self.mlp_norm = nn.RMSNorm(d_model)
        self.mlp = SquaredReluMLP(d_model, mlp_ratio)
        self.has_memory = isinstance(mixer, FastWeightMixer)
        self.holds = isinstance(mixer, FastWeightMixer) or mixer.keep != 0  # whether anything survives a window here
        self.native: NativeBlock | None = None  # the same block in C, see `baselines.native.block.attach`

    def initial_state(self, batch: int) -> Tensor | None:
        """What the mixer holds before the first token; None where it never holds anything."""
        return self.mixer.initial_state(batch)

    def write(self, h: Tensor, state: Tensor | None) -> Tensor | None:
        """What the mixer holds after features [B, T, D], where nobody reads the features after this block."""
        if self.native and self.native.takes(h):
            return self.native(h, state, read=False)[1]
        after: Tensor | None = self.mixer.write(self.mixer_norm(h), state)  # type: ignore[arg-type]
        return after

    def forward(self, h: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Map features [B, T, D] and what this block's mixer holds to the same."""
        if self.native and self.native.takes(h):
            return cast(tuple[Tensor, Tensor | None], self.native(h, state))
        mixed, state = self.mixer(self.mixer_norm(h), state)
        h = h + mixed
        return h + self.mlp(self.mlp_norm(h)), state

    def resume(
        self, h: Tensor, state: Tensor | None, past: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """`forward` over tokens that follow others in one pass over one window, of which the mixer needs `past`."""
        mixed, state, past = self.mixer.resume(self.mixer_norm(h), state, past)  # type: ignore[arg-type]
        h = h + mixed
        return h + self.mlp(self.mlp_norm(h)), state, past


class Sleeper(Model):
    """A stack of blocks, some or all of which may be looped over each window before it goes."""

    def __init__(self, config: "Hybrid", *, vocab_size: int, window: int, windows: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        self.window_embedding = nn.Embedding(windows, config.d_model) if config.window_embedding else None
        self.blocks = nn.ModuleList(
            Block(config.mixer(word, window), config.d_model, config.mlp_ratio) for word in config.layout.split()
        )
        self.norm = nn.RMSNorm(config.d_model)
        self.head = linear(config.d_model, vocab_size)

    @property
    def stack(self) -> list[Block]:
        """The blocks, first to last."""
        return [cast(Block, block) for block in self.blocks]

    @property
    def wake_passes(self) -> int:
        """Passes of a prediction: 1 unless the settings loop there."""
        return self.config.wake_passes

    def memory(self) -> list[nn.Parameter]:
        """Parameters of the fast-weight mixers."""
        return [p for block in self.stack if block.has_memory for p in block.mixer.parameters()]

    def start(self, batch: int) -> State:
        """Empty fast weights, nothing kept, no window read."""
        return self.pack([block.initial_state(batch) for block in self.stack], windows=0)

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Run the blocks `passes` times over the window [B, L]; keep what survives, discard the features."""
        check_passes(passes)
        if self.config.reread:
            tokens, passes = tokens.repeat(1, passes), 1
        before = self.unpack(state, len(tokens))
        _, holdings = self.loop(self.embed(tokens, state.windows), before, passes, output=False)
        after = self.pack(holdings, state.windows + 1)
        every = self.config.evict_every
        return after.evicted() if every > 1 and after.windows % every == 0 else after

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict over tokens [B, P]: logits [B, P, V] and the state after them."""
        late = self.config.evict_every > 1  # what has not been evicted so far goes now
        state = state.evicted() if late else state
        embedded, before = self.embed(tokens, state.windows), self.unpack(state, len(tokens))
        # A pass that read what the pass before wrote would hear, at every token, of all later ones: of answers.
        h, holdings = self.loop(embedded, before, self.wake_passes, reset=True)
        after = self.pack(holdings, state.windows + 1)
        return self.logits(h), after.evicted() if late else after

    def logits(self, h: Tensor) -> Tensor:
        """Features [B, T, D] after the last block, normed and mapped to logits [B, T, V]."""
        # In full precision: bf16 logits tie, and the first of two equals would always win.
        with torch.autocast(h.device.type, enabled=False):
            return cast(Tensor, self.head(self.norm(h.to(self.head.weight.dtype))))

    def loop(
        self, h: Tensor, before: list[Tensor | None], passes: int, *, reset: bool = False, output: bool = True
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Run the stack with its looped range `passes` times.

        In a sleep fast weights go from pass to pass, unless the settings reset them. Keys and values never do: in every
        pass attention sees those that were kept of earlier windows, and its own; what is kept is what the last pass
        leaves.

        Args:
            h: Features [B, T, D].
            before: What each block holds before the window.
            passes: How often the looped range is run.
            reset: Whether every pass starts from the fast weights before the window, so that no token hears of a later
                one.
            output: Whether the features after the last pass are read. If not, nothing that only they depend on is
                computed, and those returned mean nothing.

        Returns:
            Features [B, T, D], and what each block holds after the window.
        """
        holdings, looped, again = list(before), self.config.loop_range, not self.config.reembed
        back = (not output and self.config.backprop_passes) or passes
        reset = reset or self.config.reset_state

        def run(h: Tensor, blocks: range, output: bool) -> Tensor:
            for i in blocks:
                block, later = self.stack[i], range(i + 1, blocks.stop)
                source = holdings[i] if block.has_memory and not reset else before[i]
                if output or self.holds(later):
                    h, holdings[i] = block(h, source)
                elif block.holds:
                    holdings[i] = block.write(h, source)
            return h

        tail = range(looped.stop, len(self.stack))
        reads_last = output or self.holds(tail)
        h = entered = run(h, range(looped.start), reads_last or self.holds(looped))
        for left in reversed(range(passes)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and left < back):
                read_later = again and (reads_last or self.holds(looped)) if left else reads_last
                h = run(h if again else entered, looped, read_later)
        return run(h, tail, output), holdings

    def holds(self, blocks: range) -> bool:
        """Whether something of any of these blocks survives a window."""
        return any(self.stack[i].holds for i in blocks)

    def embed(self, tokens: Tensor, window: int) -> Tensor:
        """Token embeddings [B, T, D], plus the embedding of the window's index where the model has one."""
        h: Tensor = self.embedding(tokens)
        if self.window_embedding is None:
            return h
        if window >= self.window_embedding.num_embeddings:
            raise ValueError(
                f"window {window + 1} was read by a model built for {self.window_embedding.num_embeddings}; "
                "build it with a larger seq_len, or without window_embedding"
            )
        return h + self.window_embedding.weight[window]

    def pack(self, holdings: list[Tensor | None], windows: int) -> State:
        """The state from what each block holds."""
        pairs = list(zip(self.stack, holdings, strict=True))
        return State(
            fast_weights=tuple(t for block, t in pairs if block.has_memory and t is not None),
            cache=tuple(t for block, t in pairs if not block.has_memory and t is not None),
            windows=windows,
        )

    def unpack(self, state: State, batch: int) -> list[Tensor | None]:
        """What each block holds, from the state; an evicted cache is an empty one."""
        fast_weights, cache = iter(state.fast_weights), iter(state.cache)
        empty = (block.initial_state(batch) for block in self.stack)
        return [
            next(fast_weights) if block.has_memory else next(cache, nothing)
            for block, nothing in zip(self.stack, empty, strict=True)
        ]
