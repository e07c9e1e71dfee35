"""The system message: who the agent is, and how one speaks rather than writes."""

from __future__ import annotations

from antiphon.agent.config import AgentConfig
from antiphon.providers.llm.chat import CALL_BEGINS, INTERRUPTED
from antiphon.types import Message

_SPOKEN = (
    "You are talking with the caller by voice. Everything you write is spoken aloud.",
    "Answer in one or two short sentences, then let the caller speak. Ask one question at a time.",
    "Write plain spoken text: no markdown, lists, headings, tables, emoji, links or code.",
    "Say numbers, dates, times, amounts and abbreviations the way a person says them.",
    "The caller's words come from speech recognition and may contain mistakes. When something "
    "important is unclear, ask; never guess a name, a number or a date.",
    f"One of your messages that ends with {INTERRUPTED} was cut short: the caller heard only the "
    "words before it. Do not repeat them unless you are asked, and never write that mark yourself.",
    f"{CALL_BEGINS} stands for the moment at which the caller was connected.",
)

_TOOLS = (
    "Use a tool when it is needed to answer or to act, with values that the caller has given. "
    "Before a tool that orders, books, changes or cancels something, say what you are going to do "
    "and wait for a yes.",
    "After a tool, say its result in a short sentence. When it fails, say so honestly. Never claim "
    "that something was done unless a tool has said so.",
)


def system_prompt(config: AgentConfig) -> str:
    """The text of an agent's system message."""
    parts = [config.persona.strip(), f"Your name is {config.name}.", _language(config.language)]
    acts = config.tools or config.digits or config.transfer or config.press_keys
    rules = [*_SPOKEN, *(_TOOLS if acts else ())]
    parts.append("\n".join(f"- {rule}" for rule in rules))
    if config.vocabulary:
        parts.append(f"Words that callers may use: {', '.join(config.vocabulary)}.")
    return "\n\n".join(part for part in parts if part)


def system_message(config: AgentConfig) -> Message:
    """The first message of every request to the agent's LLM."""
    return Message("system", system_prompt(config))


def _language(tag: str) -> str:
    # Names of the languages most used; a model knows the tags of the others.
    names = {
        "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French",
        "hi": "Hindi", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch",
        "pl": "Polish", "pt": "Portuguese", "tr": "Turkish", "zh": "Chinese",
    }  # fmt: skip
    name = names.get(tag.partition("-")[0])
    return f"Speak {name} ({tag})." if name else f"Speak the language `{tag}`."
