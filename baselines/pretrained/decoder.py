"""A pretrained decoder that sleeps: its own layers, run N times over each window, with the state as a value.

Its layers are called one by one: those of transformers by library.py, and those that are built here by published.py.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from baselines.base import Model, State, check_passes
from baselines.pretrained.anatomy import Anatomy


@dataclass(frozen=True, kw_only=True)
class DecoderState(State):
    """The state of a decoder; every tuple is empty before the first window.

    Attributes:
        fast_weights: Of the decoder's own layers and of those inserted, in the order in which they are run.
        cache: As in `State`; keys are rotated already.
        tails: The last inputs of each convolution before fast weights of the decoder's own.
        read: Tokens so far: positions go on counting.
    """

    tails: tuple[Tensor, ...] = ()
    read: int = 0


class InsertedLayer(nn.Module):
    """A fast-weight layer between two layers: h + mixer(norm(h)). A new mixer ends in zeros, so it is the identity."""

    def __init__(self, mixer: Any, d_model: int) -> None:
        super().__init__()
        self.norm, self.mixer = nn.RMSNorm(d_model), mixer

    def forward(self, h: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features [B, T, D] and fast weights after them, from those before them or none."""
        state = self.mixer.initial_state(len(h)) if state is None else state
        # Inputs of a convolution, if it returns any, are left behind: fast weights are the only road past eviction.
        mixed, state, *_ = self.mixer(self.norm(h), state)
        return h + mixed, state


@dataclass
class Held:
    """What every layer holds while a window is read."""

    fast: dict[int, Tensor | None]
    inserted: dict[int, Tensor | None]
    kept: dict[int, Tensor | None]  # keys and values before the window, which every pass sees
    tails: dict[int, Tensor | None]  # as before the window, too: a pass reads the same tokens again
    kept_after: dict[int, Tensor | None]
    tails_after: dict[int, Tensor | None]


class Decoder(Model):
    """A decoder, the layers inserted into it, and how it sleeps.

    Args:
        lm: A causal language model of transformers.
        vocab_size: Tokens that are predicted: the first rows of its head.
        window: L.
        eviction: "hard", "sliding" or "none", as of `baselines.hybrid.Hybrid`.
        loop: "all" or "middle", as there.
        inserted: Fast-weight mixers by the number of the layer that they come after.
        wake_passes: Passes of a prediction, each from the fast weights before it; above 1 the latency constraint is
            broken.
        carried: Whether the fast weights of inserted layers outlive a window.
        trained: "all", or "memory": the parameters of `memory()` alone; weights of the rest are then not saved.
    """

    def __init__(
        self,
        lm: Any,
        *,
        vocab_size: int,
        window: int,
        eviction: str = "hard",
        loop: str = "all",
        inserted: Mapping[int, nn.Module] | None = None,
        wake_passes: int = 1,
        carried: bool = True,
        trained: str = "all",
    ) -> None:
        super().__init__()
        self.lm, self.vocab_size, self.window, self.eviction, self.carried = lm, vocab_size, window, eviction, carried
        self._wake_passes = wake_passes
        self.parts = self.anatomy(lm)
        self.kinds, layers = self.parts.kinds, len(self.parts.layers)
        self.loop_range = range(layers) if loop == "all" else range(layers // 4, layers // 4 + layers // 2)
        width = lm.get_input_embeddings().weight.shape[1]
        self.inserted = nn.ModuleDict({str(i): InsertedLayer(mixer, width) for i, mixer in (inserted or {}).items()})
        if trained == "memory":
            self._freeze()

    @abstractmethod
    def anatomy(self, lm: Any) -> Anatomy:
        """The parts of the language model."""

    @abstractmethod
    def context(self, h: Tensor, held: Held, read: int, own: bool) -> dict[str, Any]:
        """What every layer is told of a window with embeddings [B, T, D] that follows `read` tokens.

        With `own` nothing is evicted.
        """

    @abstractmethod
    def layer(self, i: int, h: Tensor, context: dict[str, Any], held: Held) -> Tensor:
        """Features after layer i; what it holds is changed in `held`."""

    def check(self) -> None:
        """Refuse a decoder that is not run as its own forward pass runs it; one that is built here has no other.

        Raises:
            ValueError: its logits differ.
        """

    @property
    def wake_passes(self) -> int:
        """Passes of a prediction."""
        return self._wake_passes

    def start(self, batch: int) -> DecoderState:
        """Nothing read, nothing kept."""
        return DecoderState()

    def sleep(self, tokens: Tensor, state: State, passes: int) -> DecoderState:
        """Run the looped layers `passes` times over the window [B, L]; keep what survives."""
        check_passes(passes)
        return self._run(tokens, state, passes, output=False)[1]

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, DecoderState]:
        """Predict over tokens [B, P]: logits [B, P, V] and the state after them."""
        h, state = self._run(tokens, state, self.wake_passes, output=True, reset=True)
        # In full precision: bf16 logits tie, and the first of two equals would always win.
        with torch.autocast(h.device.type, enabled=False):
            logits: Tensor = self.parts.head(self.parts.norm(h.to(self.lm.dtype)))
        return logits[..., : self.vocab_size], state

    def memory(self) -> list[nn.Parameter]:
        """Parameters of the inserted layers; without any, of the decoder's own fast-weight mixers."""
        if self.inserted:
            return list(self.inserted.parameters())
        layers = (layer for layer, kind in zip(self.parts.layers, self.kinds, strict=True) if kind == "memory")
        return [p for layer in layers for part in layer.children() if hasattr(part, "A_log") for p in part.parameters()]

    def _freeze(self) -> None:
        """Leave all but `memory()` as it is, and out of checkpoints: it is known by the digest of its content."""
        memory = {id(parameter) for parameter in self.memory()}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in memory)
        frozen = [name for name, p in self.named_parameters(remove_duplicate=False) if not p.requires_grad]

        def without(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
            for name in frozen:
                state.pop(prefix + name, None)

        def with_own(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
            own = dict(self.named_parameters(remove_duplicate=False))
            for name in frozen:
                state.setdefault(prefix + name, own[name].detach())

        self.register_state_dict_post_hook(without)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(with_own)  # type: ignore[no-untyped-call]

    def _run(
        self, tokens: Tensor, state: State, passes: int, *, output: bool, reset: bool = False, own: bool = False
    ) -> tuple[Tensor, DecoderState]:
        """Features [B, T, D] after the last layer, and the state.

        Without `output` the last pass stops where nothing after it is kept, and the features mean nothing. With `reset`
        every pass starts from the fast weights before the window. With `own` the inserted layers are left out.
        """
        read, length = getattr(state, "read", 0), tokens.shape[1]
        h: Tensor = self.parts.embedding(tokens)
        held, before = self._unpack(state), self._unpack(state)
        context = self.context(h, held, read, own)
        last = len(self.kinds) - 1 if output else max(self._memory_layers, default=-1)
        for number, section in enumerate(self._sections(passes, last)):
            again = 1 < number <= passes
            if again and self.parts.between is not None:
                h = self.parts.between(h)
            for i in section:
                if again and reset:
                    held.fast[i], held.inserted[i] = before.fast.get(i), before.inserted.get(i)
                h = self.layer(i, h, context, held)
                if str(i) in self.inserted and not own:
                    h, held.inserted[i] = self.inserted[str(i)](h, held.inserted[i])
        return h, self._pack(held, state.windows + 1, read + length)

    def _sections(self, passes: int, last: int) -> list[range]:
        """The layers in the order in which they are run, up to layer `last` of the last pass."""
        looped = self.loop_range
        if last < looped.start:
            return [range(last + 1)]
        if last < looped.stop:
            return [range(looped.start), *[looped] * (passes - 1), range(looped.start, last + 1)]
        return [range(looped.start), *[looped] * passes, range(looped.stop, last + 1)]

    @property
    def _memory_layers(self) -> list[int]:
        """The layers behind which something outlives the window."""
        keeps = {"memory": True, "attention": self.eviction != "hard", "none": False}
        return [i for i, kind in enumerate(self.kinds) if keeps[kind] or (self.carried and str(i) in self.inserted)]

    @property
    def reach(self) -> int | None:
        """How many tokens before its own eviction lets a token see; None: all that were kept."""
        return self.window - 1 if self.eviction == "sliding" else None

    def keep(self, i: int, seen: Tensor, held: Held) -> None:
        """Keep of all keys and values [B, 2, H, C, D / H] that layer i has seen what is not evicted."""
        if self.eviction != "hard":
            held.kept_after[i] = seen[..., 1 - self.window :, :] if self.eviction == "sliding" else seen

    def _unpack(self, state: State) -> Held:
        """What each layer holds, from the state; what is not there is None."""
        fast_weights, cache, tails = iter(state.fast_weights), iter(state.cache), iter(getattr(state, "tails", ()))
        held = Held({}, {}, {}, {}, {}, {})
        for i, kind in enumerate(self.kinds):
            if kind == "memory":
                held.fast[i], held.tails[i] = next(fast_weights, None), next(tails, None)
            elif kind == "attention":
                held.kept[i] = next(cache, None)
            if str(i) in self.inserted:
                held.inserted[i] = next(fast_weights, None) if self.carried else None
        return held

    def _pack(self, held: Held, windows: int, read: int) -> DecoderState:
        """The state from what each layer holds."""
        carried = held.inserted if self.carried else {}
        fast = (by.get(i) for i in range(len(self.kinds)) for by in (held.fast, carried))
        return DecoderState(
            fast_weights=_present(fast),
            cache=_present(held.kept_after.values()),
            tails=_present(held.tails_after.values()),
            windows=windows,
            read=read,
        )


def _present(tensors: Iterable[Tensor | None]) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in tensors if tensor is not None)
