"""An expert that looks at the view: at what the features are now, beside what they were lately."""

from collections.abc import Callable

from shared.models.arrival import view_width
from shared.models.port import F32, Arrays, Expert, Labels, Rows, State


class OnView(Expert):
    """`make(n_features, n_classes, seed)` over the columns of the view, its names behind `view-`."""

    def __init__(
        self,
        make: Callable[[int, int, int], Expert],
        n_features: int,
        n_classes: int,
        seed: int,
    ) -> None:
        self.expert = make(view_width(n_features), n_classes, seed)
        self.cost_us = self.expert.cost_us
        self.names = tuple(f"view-{name}" for name in self.expert.names)

    @property
    def memory_bound(self) -> int:
        """Its own."""
        return self.expert.memory_bound

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """What the expert says."""
        self.expert.predict_into(_seen(rows), out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """It learns."""
        self.expert.learn_many(_seen(rows), y)

    def grow(self, n_classes: int) -> None:
        """It grows."""
        self.expert.grow(n_classes)

    def snapshot(self) -> State:
        """Its state."""
        return self.expert.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Its state."""
        self.expert.restore(arrays)


def _seen(rows: Rows) -> Rows:
    return rows._replace(x=rows.view, z=rows.view)
