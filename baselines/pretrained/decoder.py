"""A decoder of transformers that sleeps: its own layers, run N times over each window, with the state as a value.

The decoder's own forward pass is not used: its layers are called one by one, each over a cache made of the `State`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from baselines.attention import visible
from baselines.base import Model, State, check_passes
from baselines.memory import FastWeightMixer
from baselines.pretrained.anatomy import anatomy, check
from baselines.pretrained.caches import FastWeights, KeysValues, cache_of


@dataclass(frozen=True, kw_only=True)
class DecoderState(State):
    """The state of a decoder; every tuple is empty before the first window.

    Attributes:
        fast_weights: Of the decoder's own layers and of those inserted, in the order in which they are run.
        cache: As in `State`; keys are rotated already.
        tails: The last inputs [B, C, 4] of each convolution before fast weights of the decoder's own.
        read: Tokens so far: positions go on counting.
    """

    tails: tuple[Tensor, ...] = ()
    read: int = 0


class InsertedLayer(nn.Module):
    """A fast-weight layer between two layers: h + mixer(norm(h)). A new mixer ends in zeros, so it is the identity."""

    def __init__(self, mixer: FastWeightMixer, d_model: int) -> None:
        super().__init__()
        self.norm, self.mixer = nn.RMSNorm(d_model), mixer

    def forward(self, h: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features [B, T, D] and fast weights after them, from those before them or none."""
        state = self.mixer.initial_state(len(h)) if state is None else state
        mixed, state = self.mixer(self.norm(h), state)
        return h + mixed, state


@dataclass
class _Holdings:
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
        inserted: dict[int, FastWeightMixer] | None = None,
        carried: bool = True,
        trained: str = "all",
    ) -> None:
        super().__init__()
        self.lm, self.vocab_size, self.window, self.eviction, self.carried = lm, vocab_size, window, eviction, carried
        self.parts = anatomy(lm)
        self.kinds, layers = self.parts.kinds, len(self.parts.layers)
        self.loop_range = range(layers) if loop == "all" else range(layers // 4, layers // 4 + layers // 2)
        width = lm.get_input_embeddings().weight.shape[1]
        self.inserted = nn.ModuleDict({str(i): InsertedLayer(mixer, width) for i, mixer in (inserted or {}).items()})
        if trained == "memory":
            self._freeze()

    def check(self) -> None:
        """Refuse a decoder that is not run as its own forward pass runs it; asked of its own layers alone.

        Raises:
            ValueError: its logits differ.
        """
        tokens = torch.arange(min(4, self.vocab_size))[None]
        training = self.training
        with torch.no_grad():
            self.eval()
            h, _ = self._run(tokens, DecoderState(), 1, output=True, own=True)
            check(self.lm, self.parts.head(self.parts.norm(h)), tokens)
            self.train(training)

    def start(self, batch: int) -> DecoderState:
        """Nothing read, nothing kept."""
        return DecoderState()

    def sleep(self, tokens: Tensor, state: State, passes: int) -> DecoderState:
        """Run the looped layers `passes` times over the window [B, L]; keep what survives."""
        check_passes(passes)
        return self._run(tokens, state, passes, output=False)[1]

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, DecoderState]:
        """Predict over tokens [B, P]: logits [B, P, V] and the state after them."""
        h, state = self._run(tokens, state, 1, output=True)
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
        self, tokens: Tensor, state: State, passes: int, *, output: bool, own: bool = False
    ) -> tuple[Tensor, DecoderState]:
        """Features [B, T, D] after the last layer, and the state.

        Without `output` the last pass stops where nothing after it is kept, and the features mean nothing. With `own`
        the inserted layers are left out.
        """
        read, length = getattr(state, "read", 0), tokens.shape[1]
        h: Tensor = self.parts.embedding(tokens)
        held = self._unpack(state)
        positions = torch.arange(read, read + length, device=tokens.device)[None]
        past = max((kept.shape[-2] for kept in held.kept.values() if kept is not None), default=0)
        reach = self.window - 1 if self.eviction == "sliding" and not own else None
        given = {
            "attention_mask": visible(length, past, reach, tokens.device)[None, None],
            "position_ids": positions,
            "position_embeddings": None if self.parts.rotary is None else self.parts.rotary(h, positions),
            "use_cache": True,
        }
        last = len(self.kinds) - 1 if output else max(self._memory_layers, default=-1)
        for section in self._sections(passes, last):
            for i in section:
                h = self._layer(i, h, given, held)
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

    def _layer(self, i: int, h: Tensor, given: dict[str, Any], held: _Holdings) -> Tensor:
        """Features after layer i; what it holds is changed in `held`."""
        kind, own = self.kinds[i], None
        if kind == "memory":
            fast = held.fast[i]
            # A window of one token is written into the tensor that was given, by Mamba-2.
            own = FastWeights(held.tails[i], fast.clone() if fast is not None and h.shape[1] == 1 else fast)
        elif kind == "attention":
            own = KeysValues(held.kept[i])
        # A mask over keys is none over the tokens of a recurrence, which has no padding here.
        arguments = given if kind == "attention" else given | {"attention_mask": None}
        arguments = {name: value for name, value in arguments.items() if name in self.parts.takes[i]}
        result = self.parts.layers[i](h, **arguments, cache=cache_of(own, i, len(self.kinds)))
        if isinstance(own, FastWeights):
            held.fast[i], held.tails_after[i] = own.recurrent_states[0], own.conv_states[0]
        elif isinstance(own, KeysValues) and self.eviction != "hard":
            both = own.both
            held.kept_after[i] = both[..., 1 - self.window :, :] if self.eviction == "sliding" else both
        features: Tensor = result[0] if isinstance(result, tuple) else result
        return features

    def _unpack(self, state: State) -> _Holdings:
        """What each layer holds, from the state; what is not there is None."""
        fast_weights, cache, tails = iter(state.fast_weights), iter(state.cache), iter(getattr(state, "tails", ()))
        held = _Holdings({}, {}, {}, {}, {}, {})
        for i, kind in enumerate(self.kinds):
            if kind == "memory":
                held.fast[i], held.tails[i] = next(fast_weights, None), next(tails, None)
            elif kind == "attention":
                held.kept[i] = next(cache, None)
            if str(i) in self.inserted:
                held.inserted[i] = next(fast_weights, None) if self.carried else None
        return held

    def _pack(self, held: _Holdings, windows: int, read: int) -> DecoderState:
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
