"""Providers that follow a script: for tests, load and rehearsals.

They answer what they are told to, when they are told to, and fail on command. With their default
delays they never sleep, so what is left is the cost of the server itself. Every random draw comes
from `seed` and the number of the stream, so a run can be repeated.
"""

from antiphon.providers.scripted.llm import (
    ScriptedLlm,
    ScriptedLlmOptions,
    ScriptedReply,
    ScriptedToolCall,
)
from antiphon.providers.scripted.stt import (
    ScriptedStt,
    ScriptedSttOptions,
    ScriptedSttStream,
    ScriptedTranscript,
)
from antiphon.providers.scripted.tts import ScriptedTts, ScriptedTtsOptions

__all__ = [
    "ScriptedLlm",
    "ScriptedLlmOptions",
    "ScriptedReply",
    "ScriptedStt",
    "ScriptedSttOptions",
    "ScriptedSttStream",
    "ScriptedToolCall",
    "ScriptedTranscript",
    "ScriptedTts",
    "ScriptedTtsOptions",
]
