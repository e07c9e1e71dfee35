"""The floor: the state that the caller's side and the agent's side share.

Three enums say where the conversation is: the caller's `Phase`, the `ResponseState` (or no
response) and the `Overlap`. `LEGAL` lists their joint states; any other is a bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from antiphon.engine.commands import Command
from antiphon.engine.health import Health
from antiphon.engine.history import History
from antiphon.engine.language import language_of
from antiphon.engine.overlap import Overlap
from antiphon.engine.policy import Digits, Setup, TurnPolicy
from antiphon.engine.response import Response, ResponseState, Then
from antiphon.engine.user_turn import Phase, UserTurn
from antiphon.errors import IllegalEvent


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the conversation wants a DeadlineReached, and why."""

    at_ms: int
    reason: str


class Collecting:
    """A number that the caller is typing."""

    __slots__ = ("count", "key_ms", "spec", "tool_call_id", "tries")

    def __init__(self, tool_call_id: str, spec: Digits) -> None:
        self.tool_call_id, self.spec = tool_call_id, spec
        self.count = self.tries = 0
        self.key_ms = 0


class Floor:
    """Who has it."""

    __slots__ = (
        "answered_end_ms",
        "answered_text",
        "consent",
        "digits",
        "disclosing",
        "echo",
        "ended",
        "ending",
        "health",
        "held",
        "history",
        "idle_from_ms",
        "language",
        "last_joint",
        "last_sound_ms",
        "last_words",
        "level_db",
        "now_ms",
        "out",
        "overlap",
        "own_level_db",
        "policy",
        "prepared",
        "response",
        "setup",
        "spent_ms",
        "started",
        "started_ms",
        "then",
        "transfer",
        "user",
    )

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.policy: TurnPolicy = setup.policy
        self.out: list[Command] = []
        self.now_ms = 0
        self.started_ms = 0
        self.started = False
        self.ending = ""  # why EndCall was said, once it was
        self.ended = False
        self.spent_ms: int | None = None  # when the budget was spent, once it is
        self.language = language_of(setup.language)
        self.user = UserTurn(
            setup.policy.endpointing,
            self.language,
            self.out,
            predicts=setup.detects_turns,
            stts=setup.stts,
        )
        self.response: Response | None = None
        self.prepared: Response | None = None  # for a turn that may be over; never heard as such
        self.overlap = Overlap.NONE
        self.last_joint: tuple[Phase, ResponseState | None, Overlap] | None = None
        self.health = Health()
        self.history = History()
        self.answered_text = ""  # words of the turn that was committed last
        self.answered_end_ms = 0  # its last sound
        self.last_words = ""  # the agent's, of the response that was heard last
        self.last_sound_ms = 0  # its end
        # The caller's newest sound while the agent sounded; and the caller's own level.
        self.level_db: float | None = None
        self.own_level_db: float | None = None
        self.echo = 0.0
        self.idle_from_ms = 0  # since when nobody has done anything
        # The opening: what has to be heard first, and whether a yes to the recording is awaited.
        self.disclosing = ""
        self.consent = False
        # The line.
        self.held = False
        self.then: Then | None = None  # of the response that was heard last
        self.transfer: str | None = None  # the tool call for which a person is being reached
        self.digits: Collecting | None = None

    @property
    def away(self) -> bool:
        """Whether the caller cannot hear the agent, and is neither spoken to nor answered."""
        return self.held or self.transfer is not None


_TURN = (Phase.SPEAKING, Phase.QUIET)
_AUDIBLE = (ResponseState.SPEAKING, ResponseState.WAITING)

LEGAL: frozenset[tuple[Phase, ResponseState | None, Overlap]] = frozenset(
    [
        # Nobody's answer is under way, or it is being taken back: the caller does as they like.
        *product(Phase, (None, ResponseState.FLUSHING), (Overlap.NONE,)),
        # The agent has the floor.
        *product((Phase.IDLE,), (ResponseState.PENDING, *_AUDIBLE), (Overlap.NONE,)),
        # Both: an answer not yet audible is held, or ducked once its audio was let go.
        *product(_TURN, (ResponseState.PENDING,), tuple(set(Overlap) - {Overlap.NONE})),
        *product(_TURN, _AUDIBLE, (Overlap.DUCKED, Overlap.PAUSED, Overlap.PATIENT)),
    ]
)


def check_legal(floor: Floor) -> bool:
    """Raise IllegalEvent when the joint state is not one of LEGAL; return whether it has changed
    since it was checked last."""
    phase, overlap, last = floor.user.phase, floor.overlap, floor.last_joint
    state = None if floor.response is None else floor.response.state
    if last is not None and last[0] is phase and last[1] is state and last[2] is overlap:
        return False
    joint = (phase, state, overlap)
    if joint not in LEGAL:
        raise IllegalEvent(
            f"joint state {floor.user.phase.value}, {state and state.value}, {floor.overlap.value}"
        )
    floor.last_joint = joint
    return True
