"""A decoder of transformers that sleeps: its layers called one by one, each over a cache made of the `State`.

The decoder's own forward pass is used once, to see that this gives the same logits.
"""

from typing import Any

import torch
from torch import Tensor

from baselines.attention import visible
from baselines.pretrained.anatomy import Anatomy, anatomy, check
from baselines.pretrained.caches import FastWeights, KeysValues, cache_of
from baselines.pretrained.decoder import Decoder, DecoderState, Held


class LibraryDecoder(Decoder):
    """A causal language model of transformers that sleeps."""

    def anatomy(self, lm: Any) -> Anatomy:
        """See `Decoder.anatomy`."""
        return anatomy(lm)

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

    def context(self, h: Tensor, held: Held, read: int, own: bool) -> dict[str, Any]:
        """The arguments of every layer."""
        length = h.shape[1]
        positions = torch.arange(read, read + length, device=h.device)[None]
        past = max((kept.shape[-2] for kept in held.kept.values() if kept is not None), default=0)
        return {
            "attention_mask": visible(length, past, None if own else self.reach, h.device)[None, None],
            "position_ids": positions,
            "position_embeddings": None if self.parts.rotary is None else self.parts.rotary(h, positions),
            "use_cache": True,
        }

    def layer(self, i: int, h: Tensor, context: dict[str, Any], held: Held) -> Tensor:
        """See `Decoder.layer`."""
        kind, own = self.kinds[i], None
        if kind == "memory":
            fast = held.fast[i]
            # A window of one token is written into the tensor that was given, by Mamba-2.
            own = FastWeights(held.tails[i], fast.clone() if fast is not None and h.shape[1] == 1 else fast)
        elif kind == "attention":
            own = KeysValues(held.kept[i])
        # A mask over keys is none over the tokens of a recurrence, which has no padding here.
        arguments = context if kind == "attention" else context | {"attention_mask": None}
        arguments = {name: value for name, value in arguments.items() if name in self.parts.takes[i]}
        result = self.parts.layers[i](h, **arguments, cache=cache_of(own, i, len(self.kinds)))
        if isinstance(own, FastWeights):
            held.fast[i], held.tails_after[i] = own.recurrent_states[0], own.conv_states[0]
        elif isinstance(own, KeysValues):
            self.keep(i, own.both, held)
        features: Tensor = result[0] if isinstance(result, tuple) else result
        return features
