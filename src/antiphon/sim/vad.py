"""Voice activity detection of a simulated world, with delays; and what it measures.

It hears the caller, somebody in the background, and on some lines the agent's own voice.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from antiphon.engine.events import SpeechMeasured, UserSpeechStarted, UserSpeechStopped
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

CALLER, ECHO = "caller", "echo"
_ECHO_LINES = 0.1
_ECHO_PARTIAL_MS = 450


class Vad:
    """Edges and measurements.

    `line`: how the agent's voice comes back: empty (not at all), `known` (and how much of it is
    measured), `unknown` (nobody notices).
    """

    __slots__ = (
        "_burst",
        "_every_ms",
        "_measuring",
        "_rng",
        "_sounds",
        "_token",
        "_usual_db",
        "_world",
        "far",
        "line",
        "lost",
        "quiet_from_ms",
        "speaking",
    )

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self._sounds: dict[str, int] = {}  # who makes a sound, since when
        self._burst: set[str] = set()  # who has sounded since voice activity began
        self._token = 0
        self.speaking = False
        self.lost = False  # nothing arrives
        self.far = False  # the sound is somebody's in the background
        self.quiet_from_ms = 0
        drawn = rng.random()
        self.line = "" if drawn > _ECHO_LINES else "known" if drawn < _ECHO_LINES / 2 else "unknown"
        self._every_ms = 60 if rng.random() < 0.3 else 240
        self._measuring = False
        self._usual_db = -float(between(rng, 18, 26))  # the caller's level

    # ---- what there is to hear --------------------------------------------------------------

    def sound(self, who: str) -> None:
        """Somebody begins to make a sound."""
        world = self._world
        self._sounds[who] = world.now_ms
        self._burst.add(who)
        world.after(between(self._rng, 60, 140), self._on, who)

    def quiet(self, who: str) -> None:
        """The sound ends."""
        if self._sounds.pop(who, None) is None or self._sounds:
            return
        self.quiet_from_ms = self._world.now_ms
        self._token += 1
        self._world.after(between(self._rng, 180, 320), self._off, self._token)

    def agent_started(self) -> None:
        """The agent became audible, and perhaps comes back."""
        if self.line and self._rng.random() < 0.7:
            self.sound(ECHO)
            self._world.after(_ECHO_PARTIAL_MS, self._come_back, None)
        if self.speaking:
            self._begin_to_measure()

    def agent_softened(self) -> None:
        """The agent became lower, and its echo perhaps inaudible."""
        if self._rng.random() < 0.6:
            self.quiet(ECHO)

    def agent_stopped(self) -> None:
        """The agent fell silent."""
        self.quiet(ECHO)

    # ---- what becomes of the process --------------------------------------------------------

    def step(self, ms: int) -> None:
        """The clock has gone ahead."""
        self.quiet_from_ms += ms
        for who in self._sounds:
            self._sounds[who] += ms

    def reset(self) -> None:
        """The process died, and what was heard with it."""
        self._token += 1
        self._sounds.pop(ECHO, None)
        self.speaking = self._measuring = False

    def restored(self) -> None:
        """Another process listens from now on."""
        if self._sounds:
            self.sound(next(iter(self._sounds)))

    # ---- what becomes of the line -----------------------------------------------------------

    def lose(self) -> None:
        """Nothing arrives any more, which is heard as silence."""
        self.lost = True
        if self.speaking:
            self.quiet_from_ms = self._world.now_ms
            self._token += 1
            self._world.after(between(self._rng, 180, 320), self._off, self._token)

    def find(self) -> None:
        """The caller is there again."""
        self.lost = False
        self._token += 1
        if self._sounds:
            self.sound(next(iter(self._sounds)))
        elif self.speaking:
            self.quiet_from_ms = self._world.now_ms
            self._world.after(between(self._rng, 180, 320), self._off, self._token)

    def _come_back(self, _: Any) -> None:
        if ECHO in self._sounds:
            self._world.stt.agent_comes_back()
            self._world.after(_ECHO_PARTIAL_MS, self._come_back, None)

    @property
    def _deaf(self) -> bool:
        """Whether nobody listens any more, or yet again."""
        return self._world.ended_ms is not None or self._world.crash.down

    # ---- edges ------------------------------------------------------------------------------

    def _on(self, who: str) -> None:
        if who not in self._sounds or self._deaf or self.lost:
            return
        self._token += 1
        if self.speaking:
            return
        world = self._world
        self.speaking = True
        self._burst = set(self._sounds)
        at_ms = max(0, self._sounds[who] - between(self._rng, 0, 40))
        if world.player.playing:
            self._begin_to_measure()
        world.send(UserSpeechStarted(world.now_ms, at_ms))

    def _off(self, token: int) -> None:
        world = self._world
        heard = self._sounds and not self.lost
        if token != self._token or heard or not self.speaking:
            return
        if self._deaf:
            return
        self.speaking = False
        world.send(UserSpeechStopped(world.now_ms, self.quiet_from_ms))

    # ---- measurements -----------------------------------------------------------------------

    def _begin_to_measure(self) -> None:
        if not self._measuring:
            self._measuring = True
            self._world.after(60, self._measure, None)

    def _measure(self, _: Any) -> None:
        world, rng = self._world, self._rng
        self._measuring = False
        if not self.speaking or not world.player.playing or world.ended_ms is not None:
            return
        # Told is the mean since the sound began.
        level_db = self._usual_db + between(rng, -4, 4)
        echo = between(rng, 0, 15) / 100
        if CALLER not in self._burst:
            level_db = -float(between(rng, 24, 45))
            echo = between(rng, 60, 98) / 100 if self.line == "known" else echo
        elif self.far:
            level_db = self._usual_db - between(rng, 20, 30)
        self._measuring = True
        world.after(self._every_ms, self._measure, None)
        world.send(SpeechMeasured(world.now_ms, level_db, echo))
