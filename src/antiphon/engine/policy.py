"""Every number that decides timing, and the agent's own sentences, in one place.

The YAML sections `turn:` and `phrases:` are made from these dataclasses: a field's default, its
documentation and its range are written here once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def _number(default: float, low: float, high: float, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc, "min": low, "max": high})


def _choice(default: str, allowed: tuple[str, ...], doc: str) -> Any:
    return field(default=default, metadata={"doc": doc, "choices": allowed})


def _words(default: tuple[str, ...], doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, slots=True)
class Endpointing:
    """When the caller's turn is over. The wait shrinks continuously as the words, the sound and the
    recogniser's own signal say that the caller is done."""

    mode: str = _choice(
        "automatic",
        ("automatic", "stt", "manual"),
        "Who ends a turn: all that is known together; the recogniser's own signal; or the caller, "
        "who holds a key while speaking.",
    )
    min_ms: int = _number(
        380, 50, 2000, "Wait after the end of speech when the caller is surely done."
    )
    unknown_ms: int = _number(400, 50, 4000, "Wait when nothing speaks for either.")
    max_ms: int = _number(2000, 100, 8000, "Wait when the caller is surely not done.")
    habit: float = _number(
        1.0,
        0.0,
        3.0,
        "How much the caller's own pauses in this call lengthen a wait that is not surely over; "
        "0: not at all.",
    )
    stt_deadline_ms: int = _number(
        1000, 200, 10000, "Longest wait for the final transcript after the end of speech."
    )
    stt_fallback_ms: int = _number(
        1500,
        0,
        10000,
        "Wait beyond that, where nothing was understood yet and another recogniser may step in.",
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
    keys_ms: int = _number(
        2000, 200, 20000, "Wait after a telephone key for the next one; `#` ends it at once."
    )


@dataclass(frozen=True, slots=True)
class Speculation:
    """Preparing the answer before the turn is over (preemptive generation). It is heard only if the
    turn ends with the same words."""

    prepare: str = _choice(
        "voice",
        ("nothing", "text", "voice"),
        "What is prepared: nothing, the text, or the text and its voice. What is dropped has cost "
        "tokens and characters.",
    )
    stable_ms: int = _number(
        120, 0, 3000, "A partial transcript that stays the same for so long in a pause is enough."
    )
    limit: int = _number(3, 1, 20, "Most answers begun for one turn.")


@dataclass(frozen=True, slots=True)
class Interruption:
    """What happens when the caller speaks while the agent speaks."""

    speech: str = _choice(
        "interruptible",
        ("interruptible", "patient", "protected"),
        "The agent's manner: stops for words and gives way to sound; stops for words only, with "
        "its voice unchanged; is heard to its end, and answers afterwards what was said meanwhile.",
    )
    duck_db: float = _number(
        -18.0, -60.0, 0.0, "Gain of the agent's voice from the caller's onset on."
    )
    pause_ms: int = _number(
        1200,
        0,
        5000,
        "Caller's near speech without a word understood after which the agent pauses.",
    )
    min_words_ms: int = _number(
        120, 0, 2000, "Caller's speech before recognised words may stop the agent."
    )
    resume_ms: int = _number(
        600,
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
    far_db: float = _number(
        -33.0,
        -90.0,
        0.0,
        "Speech whose loudest 300 ms are quieter than this (dBFS) is somebody in the background, "
        "until the caller's own level is known.",
    )
    backchannels: tuple[str, ...] = _words(
        (), "Acknowledgements, besides those of the language: they do not stop the agent."
    )
    stop_words: tuple[str, ...] = _words(
        (), "Words that stop the agent at once, besides those of the language."
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
    llm_first_ms: int = _number(
        1500, 200, 60000, "Longest wait for the LLM's first piece of text, where it has a fallback."
    )
    tts_deadline_ms: int = _number(
        1500, 300, 30000, "Longest wait for the voice's next piece of audio."
    )
    tts_first_ms: int = _number(
        800, 200, 30000, "Longest wait for the first sound of an answer, where there is a fallback."
    )
    llm_failures: int = _number(
        2, 1, 20, "Answers in a row that failed before the agent says goodbye."
    )
    tool_deadline_ms: int = _number(
        20000, 500, 600000, "Longest run of a tool that sets no time of its own."
    )
    playback_deadline_ms: int = _number(
        5000, 1000, 60000, "Audio that does not move for this long means that the line is dead."
    )
    transfer_deadline_ms: int = _number(
        60000, 5000, 600000, "Longest wait for a person to whom the caller is passed."
    )
    tool_rounds: int = _number(8, 1, 50, "Most generations in one answer; ends endless tool loops.")


@dataclass(frozen=True, slots=True)
class Silence:
    """When nobody speaks."""

    check_in_ms: int = _number(
        12000, 1000, 600000, "Silence before the agent asks whether the caller is there."
    )
    check_ins: int = _number(2, 0, 10, "Check-ins before the agent says goodbye and ends the call.")
    hold_ms: int = _number(
        60000, 1000, 600000, "Silence that is granted to a caller who asked for a moment."
    )
    line_hold_ms: int = _number(
        600_000, 1000, 3_600_000, "Longest time that a caller may leave the line on hold."
    )
    first_key_ms: int = _number(
        10000, 1000, 60000, "Wait for the first key of a number that the caller is to type."
    )
    next_key_ms: int = _number(4000, 500, 30000, "Wait for its next key.")
    max_call_ms: int = _number(3_600_000, 10_000, 86_400_000, "Longest call.")


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """All timing of a conversation, in groups."""

    endpointing: Endpointing = field(default_factory=Endpointing)
    speculation: Speculation = field(default_factory=Speculation)
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
                choices = item.metadata.get("choices")
                if choices is not None and value not in choices:
                    raise ValueError(
                        f"{group.name}.{item.name} is {value!r}; allowed is {', '.join(choices)}"
                    )
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
    llm_gone: str = field(
        default="I'm sorry, I can't help you any further right now. Goodbye.",
        metadata={"doc": "The language model failed again and again; before the call ends."},
    )
    llm_failed: str = field(
        default="Sorry, I have a technical problem and can't answer that. Please try again.",
        metadata={"doc": "The language model failed."},
    )
    voice_gone: str = field(
        default="I'm sorry, I have lost my voice for the moment. Please try again later. Goodbye.",
        metadata={"doc": "Every voice failed; recorded when the server starts, and then the end."},
    )
    stt_failed: str = field(
        default="Sorry, I can't hear you right now. Please type, or try again later.",
        metadata={"doc": "Speech recognition failed for good."},
    )
    budget_end: str = field(
        default="I'm sorry, I have to end our call now. Thank you, and goodbye.",
        metadata={"doc": "The call's budget is spent; before the call ends."},
    )
    consent_granted: str = field(
        default="Thank you.", metadata={"doc": "The caller agrees to be recorded."}
    )
    consent_refused: str = field(
        default="All right, this call is not recorded.",
        metadata={"doc": "The caller does not want to be recorded, and the call goes on."},
    )
    consent_end: str = field(
        default="I can't go on without that. Goodbye.",
        metadata={"doc": "The caller does not want to be recorded, and the call ends for it."},
    )
    transferring: str = field(
        default="One moment, I'll connect you.",
        metadata={"doc": "Before the caller is passed to a person, where the brain said nothing."},
    )
    transfer_failed: str = field(
        default="I'm sorry, nobody could take your call. Is there anything that I can do for you?",
        metadata={"doc": "The caller was to be passed to a person, and that came to nothing."},
    )
    digits_again: str = field(
        default="That was not the right number of digits.",
        metadata={"doc": "Too few keys were pressed; the question follows once more."},
    )


@dataclass(frozen=True, slots=True)
class Digits:
    """A number that the caller types: asked for with `ask`, over with `#`, with key `most`, or
    when no further one comes. `secret`: nobody but the tools is told it."""

    name: str
    ask: str
    least: int = 1
    most: int = 32
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """What a conversation is told about its agent at the start; part of the trace's header.

    `greeting` may be empty: then the caller speaks first. `tool_deadlines` are pairs of tool name
    and milliseconds, for tools that set a time of their own. `llms` and `voices` count the agent's
    own and its fallbacks, `stts` likewise (which of them listens is not the engine's business).
    `detects_turns`: there is a detector that answers PredictTurn. `recorded`: there is one voice
    more, the last, that says `phrases.voice_gone` whatever it is given. `cheaper_llm`: which of the
    LLMs is asked once money gets short. `disclosure` is heard to its end before anything else.
    `records`: the call is to be recorded; with a `consent_question` only after a yes, and with
    `consent_required` a no ends the call. `digits` are the numbers that may be collected.
    `transfer_on_failure` names who gets the caller when the agent can do nothing more.
    """

    greeting: str = ""
    greeting_protected: bool = False
    language: str = "en"
    policy: TurnPolicy = field(default_factory=TurnPolicy)
    phrases: Phrases = field(default_factory=Phrases)
    tool_deadlines: tuple[tuple[str, int], ...] = ()
    llms: int = 1
    voices: int = 1
    stts: int = 1
    detects_turns: bool = False
    recorded: bool = False
    cheaper_llm: int | None = None
    disclosure: str = ""
    records: bool = False
    consent_question: str = ""
    consent_required: bool = False
    digits: tuple[Digits, ...] = ()
    transfer_on_failure: str = ""
