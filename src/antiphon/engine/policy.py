"""Every number that decides timing, and the agent's own sentences, in one place.

The YAML sections `turn:` and `phrases:` are made from these dataclasses: a field's default, its
documentation and its range are written here once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def _number(default: float, low: float, high: float, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc, "min": low, "max": high})


def _words(default: tuple[str, ...], doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, slots=True)
class Endpointing:
    """When the caller's turn is over. The wait shrinks continuously as the words look complete."""

    min_ms: int = _number(
        200, 50, 2000, "Wait after the end of speech when the phrase is surely complete."
    )
    unknown_ms: int = _number(480, 50, 4000, "Wait when nothing is known about the phrase.")
    max_ms: int = _number(1000, 100, 8000, "Wait when the phrase is surely unfinished.")
    stt_deadline_ms: int = _number(
        1000, 200, 10000, "Longest wait for the final transcript after the end of speech."
    )
    max_utterance_ms: int = _number(
        30000, 5000, 120000, "An utterance is passed on in pieces of at most this length."
    )
    blip_ms: int = _number(
        100, 0, 500, "Sound shorter than this within a pause does not prolong the pause."
    )
    min_confidence: float = _number(
        0.4, 0.0, 1.0, "A transcript below this is not believed; the caller is asked to repeat."
    )
    min_speech_ms: int = _number(
        350, 0, 3000, "Speech shorter than this that gives no words is taken for a noise."
    )


@dataclass(frozen=True, slots=True)
class Interruption:
    """What happens when the caller speaks while the agent speaks."""

    duck_db: float = _number(
        -18.0, -60.0, 0.0, "Gain of the agent's voice from the caller's onset on."
    )
    pause_ms: int = _number(300, 0, 3000, "Caller's speech after which the agent falls silent.")
    min_words_ms: int = _number(
        120, 0, 2000, "Caller's speech before recognised words may stop the agent."
    )
    resume_ms: int = _number(
        700,
        100,
        5000,
        "Longest wait for words after the caller's last sound; then the agent goes on.",
    )
    backchannel_max_ms: int = _number(
        1200, 200, 5000, "Acknowledgements that last longer than this are an interruption."
    )
    unclear_ms: int = _number(
        1500,
        300,
        20000,
        "Speech this long without a word understood: the caller is asked to repeat.",
    )
    backchannels: tuple[str, ...] = _words(
        (
            "mm", "hm", "mhm", "hmm", "mm-hm", "mmhm", "uh", "huh", "uh-huh", "ah", "oh", "yeah",
            "yep", "yes", "right", "okay", "ok", "sure", "i", "see", "got", "it", "good", "great",
            "wow", "really", "alright", "all", "fine", "cool",
        ),
        "Words that acknowledge: speech made only of these does not stop the agent.",
    )  # fmt: skip
    stop_words: tuple[str, ...] = _words(
        ("stop", "wait", "no", "hold", "cancel", "sorry", "actually"),
        "Words that stop the agent at once.",
    )


@dataclass(frozen=True, slots=True)
class DeadAir:
    """Longest silences while the agent works, and what is given up when."""

    filler_ms: int = _number(
        1600,
        200,
        10000,
        "Silence after the caller's last word before the agent says it is working.",
    )
    progress_ms: int = _number(6000, 1000, 60000, "Silence between further signs of life.")
    llm_deadline_ms: int = _number(
        8000, 500, 120000, "Longest wait for the LLM's next piece of text."
    )
    tts_deadline_ms: int = _number(
        2500, 300, 30000, "Longest wait for the voice's next piece of audio."
    )
    tool_deadline_ms: int = _number(
        20000, 500, 600000, "Longest run of a tool that sets no time of its own."
    )
    playback_deadline_ms: int = _number(
        5000, 1000, 60000, "Audio that does not move for this long means that the line is dead."
    )
    tool_rounds: int = _number(8, 1, 50, "Most generations in one answer; ends endless tool loops.")


@dataclass(frozen=True, slots=True)
class Silence:
    """When nobody speaks."""

    check_in_ms: int = _number(
        12000, 1000, 600000, "Silence before the agent asks whether the caller is there."
    )
    check_ins: int = _number(2, 0, 10, "Check-ins before the agent says goodbye and ends the call.")
    max_call_ms: int = _number(3_600_000, 10_000, 86_400_000, "Longest call.")


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """All timing of a conversation, in groups."""

    endpointing: Endpointing = field(default_factory=Endpointing)
    interruption: Interruption = field(default_factory=Interruption)
    dead_air: DeadAir = field(default_factory=DeadAir)
    silence: Silence = field(default_factory=Silence)

    def __post_init__(self) -> None:
        """Refuse numbers out of range or contradictory ones.

        Raises:
            ValueError: names the key, the value and what is allowed.
        """
        for group in fields(self):
            part = getattr(self, group.name)
            for item in fields(part):
                value, low = getattr(part, item.name), item.metadata.get("min")
                if low is not None and not low <= value <= item.metadata["max"]:
                    raise ValueError(
                        f"{group.name}.{item.name} is {value}; "
                        f"allowed is {low} to {item.metadata['max']}"
                    )
        ends = self.endpointing
        if not ends.min_ms <= ends.unknown_ms <= ends.max_ms:
            raise ValueError(
                f"endpointing.min_ms <= unknown_ms <= max_ms must hold; they are "
                f"{ends.min_ms}, {ends.unknown_ms}, {ends.max_ms}"
            )


@dataclass(frozen=True, slots=True)
class Phrases:
    """What the agent says on its own account. Lists are used in turn, never twice running."""

    filler: tuple[str, ...] = _words(
        ("One moment.", "Just a second.", "Let me see."), "While an answer takes long."
    )
    progress: tuple[str, ...] = _words(
        ("I'm still working on it.", "It is taking a little longer."), "While a tool takes long."
    )
    repeat: tuple[str, ...] = _words(
        ("Sorry, could you repeat that?", "I didn't catch that. Could you say it again?"),
        "Speech was heard but not understood.",
    )
    offer_text: str = field(
        default="I'm having trouble hearing you. You can also type your answer.",
        metadata={"doc": "After three failures to understand in a row."},
    )
    check_in: tuple[str, ...] = _words(
        ("Are you still there?", "Hello, can you hear me?"), "Nobody has spoken for a while."
    )
    goodbye: str = field(
        default="I'll end the call now. Goodbye.",
        metadata={"doc": "Before the agent ends the call."},
    )
    llm_failed: str = field(
        default="Sorry, I have a technical problem and can't answer that. Please try again.",
        metadata={"doc": "The language model failed."},
    )
    stt_failed: str = field(
        default="Sorry, I can't hear you right now. Please type, or try again later.",
        metadata={"doc": "Speech recognition failed for good."},
    )


@dataclass(frozen=True, slots=True)
class Setup:
    """What a conversation is told about its agent at the start; part of the trace's header.

    `greeting` may be empty: then the caller speaks first. `tool_deadlines` are pairs of tool name
    and milliseconds, for tools that set a time of their own.
    """

    greeting: str = ""
    greeting_protected: bool = False
    policy: TurnPolicy = field(default_factory=TurnPolicy)
    phrases: Phrases = field(default_factory=Phrases)
    tool_deadlines: tuple[tuple[str, int], ...] = ()
