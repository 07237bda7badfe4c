"""What an audit finds: declared roads from evicted tokens to the answer, and leaks of evicted or of later tokens."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """A road that is not declared."""

    path: str
    """Where it is, such as "blocks.0.mixer.last_window (attribute)"."""
    reason: str
    later: bool = False
    """Whether it leads from a later token of the prediction, not from an evicted one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Road:
    """A tensor of the state."""

    path: str
    """Its name, such as "fast_weights[0]"."""
    passes: int
    state_bytes: int
    """Its bytes for one sequence, after the last evicted window."""
    hears: tuple[int, ...]
    """Evicted windows (the first is 1) whose tokens change it."""
    reaches: tuple[int, ...]
    """Those whose change in this tensor alone changes the answer."""


@dataclass(kw_only=True)
class Audit:
    """What an audit found."""

    model: str
    window: int
    """L, tokens."""
    windows: int
    """Evicted windows."""
    leaks: list[Leak] = field(default_factory=list)
    """Undeclared roads; a model with any fails."""
    not_finite: list[str] = field(default_factory=list)
    """Where numbers overflow or are none, in words; a comparison of those shows nothing, so there a model fails."""
    roads: list[Road] = field(default_factory=list)
    """Declared ones, every tensor of the state for every N."""
    reaches: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Per N, the evicted windows that reach the answer through the state as a whole."""
    gradient: dict[int, tuple[int, ...]] | str = field(default_factory=dict)
    """The same as the gradient sees it, or why it was not asked."""
    state_bytes: tuple[int, ...] = ()
    """Bytes of the state for one sequence as declared: before the first window, then after each."""
    wake_passes: int = 1
    """How often a prediction runs the network, as declared."""
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether evicted tokens reach the answer through the declared state only, and later ones not at all."""
        return not (self.leaks or self.not_finite)

    @property
    def of_evicted(self) -> list[Leak]:
        """The leaks of evicted tokens."""
        return [leak for leak in self.leaks if not leak.later]

    @property
    def of_later(self) -> list[Leak]:
        """The leaks of later tokens of the prediction into earlier answers."""
        return [leak for leak in self.leaks if leak.later]

    @property
    def growth(self) -> float:
        """Bytes that the state grows by per token, over the last evicted window; 0 if it is bounded."""
        return (self.state_bytes[-1] - self.state_bytes[-2]) / self.window

    def leak(self, path: str, reason: str, *, later: bool = False) -> None:
        """Note a leak, once per path and question."""
        if (path, later) not in [(leak.path, leak.later) for leak in self.leaks]:
            self.leaks.append(Leak(path=path, reason=reason, later=later))

    def overflow(self, where: str) -> None:
        """Note numbers that are not finite, once per place."""
        if where not in self.not_finite:
            self.not_finite.append(where)

    def note(self, text: str) -> None:
        """Note what is no failure, once."""
        if text not in self.notes:
            self.notes.append(text)

    def as_json(self) -> dict[str, Any]:
        """The audit as plain data."""
        return {"passes": self.passed, "growth_bytes_per_token": self.growth, **asdict(self)}
