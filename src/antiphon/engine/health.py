"""Which providers work, as far as anybody knows: those that are known not to are not asked."""

from __future__ import annotations

from antiphon.engine import events as e


class Health:
    """What ProviderChanged told."""

    __slots__ = ("_down",)

    def __init__(self) -> None:
        self._down: set[tuple[str, int]] = set()

    def on_changed(self, event: e.ProviderChanged) -> None:
        """A provider is lost, or is back."""
        one = (event.kind, event.number)
        if event.works:
            self._down.discard(one)
        else:
            self._down.add(one)

    def best(self, kind: str, number: int, count: int) -> int:
        """The provider, or, when it is down, the next one that is not; it, when all are."""
        for step in range(count if self._down else 0):
            other = (number + step) % count
            if (kind, other) not in self._down:
                return other
        return number
