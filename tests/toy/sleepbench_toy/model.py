"""A model to copy: a GRU that sleeps by reading what it made of a window again, N - 1 times."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from baselines.base import Model, ModelConfig, State, check_passes


@dataclass(frozen=True, kw_only=True)
class Hidden(State):
    """What survives a window: here one tensor, in a field of its own, that everything else finds by itself."""

    hidden: Tensor  # [B, D]


class Recurrent(Model):
    """Embedding, GRU, output layer. The module holds parameters; what it remembers goes in and out as a `Hidden`."""

    def __init__(self, vocab_size: int, d_model: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.gru = nn.GRUCell(d_model, d_model)
        self.head = nn.Linear(d_model, vocab_size)  # by this name the optimizer knows the output layer

    def start(self, batch: int) -> Hidden:
        """Nothing read yet; new tensors take device and precision from a parameter."""
        return Hidden(hidden=self.head.weight.new_zeros(batch, self.gru.hidden_size))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> Hidden:
        """Read the window [B, L] `passes` times, each pass on the features of the pass before; keep the state alone."""
        check_passes(passes)
        features, after = self.read(self.embedding(tokens), state)
        for _ in range(passes - 1):
            features, after = self.read(features, after)
        return replace(after, windows=after.windows + 1)

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, Hidden]:
        """Logits [B, P, V] from one pass over tokens [B, P], and the state after them."""
        features, after = self.read(self.embedding(tokens), state)
        return self.head(features), replace(after, windows=after.windows + 1)

    def read(self, features: Tensor, state: State) -> tuple[Tensor, Hidden]:
        """Features [B, T, D] after those given, and the hidden state after the last token."""
        assert isinstance(state, Hidden)
        outputs = [state.hidden]
        for token in features.unbind(dim=1):
            outputs.append(self.gru(token, outputs[-1]))
        return features + torch.stack(outputs[1:], dim=1), replace(state, hidden=outputs[-1])


@dataclass(frozen=True, kw_only=True)
class Toy(ModelConfig):
    """The settings, each with a default; `--set d_model=64` changes one."""

    name: ClassVar[str] = "toy"
    version: ClassVar[int] = 1  # raise it when the same settings and seed give other numbers

    d_model: int = 32

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        if self.d_model < 1:
            raise ValueError(f"d_model = {self.d_model}: at least 1 is needed")

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Recurrent:
        """The model for a task of `vocab_size` tokens; a GRU needs to know neither window nor length."""
        return Recurrent(vocab_size, self.d_model)
