"""What a model says beside its answers: measures of a sleep or a prediction, losses of its own, and other answers."""

from torch import Tensor


class Report:
    """Collects what a model adds while it sleeps and predicts over one batch.

    It is no state: it goes from a call to whoever trains or tests, and never into the next call, so that nothing of an
    evicted token can live on in it.

    Attributes:
        values: What was added under each name, in order: a value per sequence [B], or one for the batch [].
        answers: Of each predicted window, in order, how likely each way to have slept was [K, B] and what was then
            answered [K, B, P, V].
    """

    def __init__(self) -> None:
        self.values: dict[str, list[Tensor]] = {}
        self.answers: list[tuple[Tensor, Tensor]] = []
        self._losses: list[Tensor] = []

    def add(self, name: str, value: Tensor, weight: float = 0.0) -> None:
        """Add a value, of each sequence [B] or of the batch [].

        Args:
            name: A name of Python; rows have the mean as `report_NAME`.
            value: The value.
            weight: Above 0, `weight` times the mean joins the loss that is trained on.

        Raises:
            ValueError: a name that no column can have, or another shape.
        """
        if not name.isidentifier():
            raise ValueError(f"a report is added under a name such as thought_loss; given {name!r}")
        if value.dim() > 1:
            raise ValueError(f"report {name!r} must be of shape [B] or []; given {list(value.shape)}")
        self.values.setdefault(name, []).append(value.detach())
        if weight:
            self._losses.append(weight * value.mean())

    def expect(self, chances: Tensor, logits: Tensor) -> None:
        """Answer a predicted window in K ways; the loss that is trained on is then the expected one.

        Args:
            chances: How likely each of them is [K, B]; they sum to 1 over K.
            logits: What is answered [K, B, P, V].

        Raises:
            ValueError: other shapes.
        """
        if chances.dim() != 2 or logits.dim() != 4 or logits.shape[:2] != chances.shape:
            raise ValueError(
                f"answers are expected as chances [K, B] and logits [K, B, P, V]; given {list(chances.shape)} and "
                f"{list(logits.shape)}"
            )
        self.answers.append((chances, logits))

    @property
    def loss(self) -> Tensor | None:
        """The sum of all weighted means; None where nothing has a weight."""
        return sum(self._losses[1:], start=self._losses[0]) if self._losses else None

    def means(self) -> dict[str, tuple[float, int]]:
        """Of each name the mean of all that was added, and of how many numbers."""
        counts = {name: sum(value.numel() for value in values) for name, values in self.values.items()}
        sums = {name: sum(float(value.double().sum()) for value in values) for name, values in self.values.items()}
        return {name: (sums[name] / count, count) for name, count in counts.items() if count}
