"""Breakers whose probes do what a test says."""

from __future__ import annotations

from antiphon.errors import ProviderError
from antiphon.providers.failover.breaker import Breaker, Breakers


class Probe:
    def __init__(self, *errors: ProviderError) -> None:
        self.errors, self.asked = list(errors), 0

    async def __call__(self) -> None:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)


def breakers(count: int, failures: int = 1) -> Breakers:
    """Some that are never probed while a test runs."""
    return Breakers([Breaker(f"x {n}", failures, Probe(), 60.0) for n in range(count)])


def failure(message: str = "busy", *, status: int | None = None) -> ProviderError:
    return ProviderError(message, provider="x", retryable=status is None, status=status)
