"""What becomes known of an agent's providers while a call goes on, told to its engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from antiphon.engine import events as e
from antiphon.providers.failover.breaker import Watcher
from antiphon.session.providers import Providers


class HealthWatch:
    """One call's. `post` takes the events; `now_ms` is the call's time."""

    def __init__(
        self, providers: Providers, now_ms: Callable[[], int], post: Callable[[e.Event], None]
    ) -> None:
        self._providers, self._now_ms, self._post = providers, now_ms, post
        # A speech-to-speech model comes before the first brain and the first voice.
        self._before = 0 if providers.realtime is None else 1
        self._watchers: dict[str, Watcher] = {}

    def begin(self) -> None:
        """Tell who is lost, and from now on what changes."""
        for kind, group in self._providers.breakers.items():
            for number in group.lost():
                self._tell(kind, number, False)
            watcher = self._watchers[kind] = partial(self._tell, kind)
            group.watchers.add(watcher)

    def close(self) -> None:
        """The call is over."""
        for kind, watcher in self._watchers.items():
            self._providers.breakers[kind].watchers.discard(watcher)

    def _tell(self, kind: str, number: int, works: bool) -> None:
        self._post(e.ProviderChanged(self._now_ms(), kind, self._before + number, works))
