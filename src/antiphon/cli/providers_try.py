"""`antiphon providers try NAME`: one thing is asked of one provider, and timed."""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from antiphon.agent.default import default_agent
from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import registry

DEADLINE_S = 60.0

_Name = Annotated[str, typer.Argument(help="The provider's name.")]
_Kind = Annotated[
    str | None, typer.Option(help="vad, turn, stt, llm, tts or realtime, where the name is of two.")
]
_Text = Annotated[
    str | None, typer.Option(help="What is said to it, or what it is to say; else an example.")
]
_File = Annotated[
    Path | None,
    typer.Option(help="A recording for it to hear; else the built-in voice says the text."),
]
_Out = Annotated[Path | None, typer.Option(help="Write the sound that it makes to this WAV file.")]
_Set = Annotated[
    list[str] | None, typer.Option("--set", help="An option of the provider, as KEY=VALUE.")
]
_Agent = Annotated[
    Path | None,
    typer.Option(
        help="An agent's file: its words, flow and options of the provider; the cafe if absent."
    ),
]
_Fast = Annotated[
    bool, typer.Option("--fast", help="Play the recording ten times as fast as it was spoken.")
]


@dataclass(frozen=True, slots=True)
class Trial:
    """What was asked for on the command line."""

    kind: registry.Kind
    name: str
    agent: LoadedAgent
    options: dict[str, Any]
    text: str | None = None
    file: Path | None = None
    out: Path | None = None
    fast: bool = False


def try_provider(
    name: _Name,
    kind: _Kind = None,
    text: _Text = None,
    file: _File = None,
    out: _Out = None,
    set_: _Set = None,
    agent: _Agent = None,
    fast: _Fast = False,
) -> None:
    """Have a provider say a sentence, transcribe a recording or answer a question, and time it.

    Exit code 1 when it failed, 2 when something is missing for it here.
    """
    chosen = kind_of(name, kind)
    loaded = load_agent(agent or default_agent())
    written = _written(loaded, chosen, name) if agent is not None else {}
    options = written | read_options(chosen, name, set_ or [])
    trial = Trial(chosen, name, loaded, options, text, file, out, fast)
    # Importing what measures takes half a second, which a wrong option need not wait for.
    made = registry.make(chosen, name, options, loaded.hints)
    if lacks := registry.info(chosen, name, options).missing:
        raise UserFacingError(f"{chosen} `{name}` cannot run here: {lacks}")
    try:
        asyncio.run(_within(made, trial))
    except ProviderError as error:
        print(f"it failed: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except TimeoutError:
        print(f"it failed: not done within {DEADLINE_S:.0f} seconds", file=sys.stderr)
        raise typer.Exit(1) from None


def kind_of(name: str, wanted: str | None) -> registry.Kind:
    """The kind of provider that is meant.

    Raises:
        UserFacingError: there is no such kind or provider, or several of the name.
    """
    if wanted is not None and wanted not in registry.KINDS:
        raise UserFacingError(f"there is no kind `{wanted}`; it is {_either(registry.KINDS)}")
    known = {kind: registry.available(kind) for kind in registry.KINDS}
    if wanted is not None:
        kind = next(one for one in registry.KINDS if one == wanted)
        if name not in known[kind]:
            registry.info(kind, name)  # says which was probably meant
        return kind
    having = [kind for kind, names in known.items() if name in names]
    if len(having) == 1:
        return having[0]
    if having:
        flags = tuple(f"--kind {kind}" for kind in having)
        raise UserFacingError(f"`{name}` is more than one thing; say which with {_either(flags)}")
    every = tuple(sorted({one for names in known.values() for one in names}))
    guess = registry.nearest(name, every)
    meant = f"did you mean `{guess}`?" if guess else "see: antiphon providers"
    raise UserFacingError(f"there is no provider called `{name}`; {meant}")


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def read_options(kind: registry.Kind, name: str, pairs: list[str]) -> dict[str, Any]:
    """Options as they are written on the command line; values are YAML, `a.b=1` is nested.

    Raises:
        UserFacingError: there is no such option, or it is not KEY=VALUE.
    """
    fields = tuple(registry.options_class(kind, name).model_fields)
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        path = key.strip().split(".")
        if not equals:
            raise UserFacingError(f"--set {pair}: write KEY=VALUE, such as --set model=small")
        if path[0] not in fields:
            guess = registry.nearest(path[0], fields)
            meant = f"did you mean `{guess}`?" if guess else f"it has {', '.join(fields) or 'none'}"
            raise UserFacingError(f"{kind} `{name}` has no option `{path[0]}`; {meant}")
        place = found
        for step in path[:-1]:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise UserFacingError(f"--set {pair}: `{step}` is a value already")
        place[path[-1]] = _value(text, pair)
    return found


def _value(text: str, pair: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserFacingError(f"--set {pair}: the value is not YAML; put it in quotes") from None


def _written(agent: LoadedAgent, kind: registry.Kind, name: str) -> dict[str, Any]:
    """Options of the provider in the agent's file."""
    config = agent.config
    every = {
        "vad": (config.vad,),
        "turn": (config.turn_detector,) if config.turn_detector else (),
        "stt": config.recognisers,
        "llm": config.brains,
        "tts": config.voices,
        "realtime": config.realtimes,
    }
    return next((dict(one.options) for one in every[kind] if one.provider == name), {})


# ---- trying --------------------------------------------------------------------------------


async def _within(made: Any, trial: Trial) -> None:
    async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
        stack.push_async_callback(made.aclose)
        begun = asyncio.get_running_loop().time()
        await made.start()
        took_ms = (asyncio.get_running_loop().time() - begun) * 1000
        print(f"{trial.kind} {trial.name}: ready after {took_ms:.0f} ms")
        await _TRIES[trial.kind](made, trial)


async def _speak(made: Any, trial: Trial) -> None:
    from antiphon.bench import ask

    text = trial.text or "Hello! This is what I sound like when I take an order."
    print(f"says: {text}")
    _tell_sound(await ask.speak(made, text, name=trial.name), trial)


def _tell_sound(spoken: Any, trial: Trial) -> None:
    factor = spoken.total_ms / max(1.0, spoken.audio_ms)
    print(
        f"first sound after {spoken.first_ms:.0f} ms, all of it after {spoken.total_ms:.0f} ms: "
        f"{spoken.audio_ms / 1000:.2f} s at {spoken.rate_hz} Hz, "
        f"{factor:.3f} times as long as it lasts"
    )
    if trial.out is None:
        return
    try:
        with trial.out.open("wb") as out, wave.open(out) as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(spoken.rate_hz)
            file.writeframes(spoken.pcm)
    except OSError as error:
        raise UserFacingError(f"{trial.out}: cannot be written ({error.strerror})") from None
    print(f"written to {trial.out}")


async def _think(made: Any, trial: Trial) -> None:
    from antiphon.bench import ask
    from antiphon.bench.providers import request_of

    if chosen := getattr(made, "chosen", ""):
        print(f"chosen: {chosen}")
    said = trial.text or _example(trial)
    request = request_of(trial.agent, said)
    print(f"asked: {said}")
    begun = False

    def tell(text: str) -> None:
        nonlocal begun
        print(text if begun else f"says: {text}", end="", flush=True)
        begun = True

    try:
        answered = await ask.answer(made, request, name=trial.name, tell=tell)
    finally:
        if begun:
            print()
    for one in answered.tools:
        print(f"wants the tool {one.name}({one.arguments})")
    first = "first text" if answered.text else "first tool"
    sentence = answered.sentence_ms
    print(
        f"{first} after {answered.first_ms:.0f} ms"
        + ("" if sentence is None else f", first sentence after {sentence:.0f} ms")
        + f", all of it after {answered.total_ms:.0f} ms"
    )
    if (usage := answered.usage) is not None:
        print(
            f"tokens: {usage.input_tokens} read ({usage.cached_tokens} of them cached), "
            f"{usage.output_tokens} written"
        )


def _example(trial: Trial) -> str:
    from antiphon.bench.recordings import examples

    return examples(trial.agent, 1)[0]


async def _transcribe(made: Any, trial: Trial) -> None:
    from antiphon.bench import ask

    speech = await _speech(trial)
    stream = await made.open()
    try:
        heard = await ask.understand(
            stream, speech, name=trial.name, fast=trial.fast, tell=_tell_partial
        )
    finally:
        await stream.aclose()
    _tell_text(heard)


def _tell_partial(at_ms: float, text: str) -> None:
    print(f"  {at_ms / 1000:6.2f} s  {text}")


def _tell_text(heard: Any) -> None:
    print(f"final: {heard.text or '(nothing was understood)'}")
    first = "no text before that" if heard.first_ms is None else f"first text {heard.first_ms:.0f}"
    after = "" if heard.first_ms is None else " ms after the first sound of speech"
    print(
        f"final text {heard.final_ms:.0f} ms after the last sound of speech "
        f"(the detector took {heard.told_ms:.0f} of them); {first}{after}"
    )
    more = [f"confidence {heard.confidence:.2f}"]
    more += [f"language {heard.language}"] if heard.language else []
    if heard.words:
        words = " ".join(f"{one.text}@{one.start_ms / 1000:.2f}" for one in heard.words)
        more.append(f"words {words}")
    print(", ".join(more))


async def _converse(made: Any, trial: Trial) -> None:
    from antiphon.bench.converse import converse
    from antiphon.bench.providers import request_of

    speech = await _speech(trial)
    done = await converse(made, request_of(trial.agent, ""), speech, name=trial.name)
    _tell_text(done.heard)
    print(f"says: {done.text}")
    print(
        f"first text {done.text_ms:.0f} ms, first sound {done.sound_ms:.0f} ms after the last "
        "sound of speech"
    )
    _tell_sound(done.sound, trial)


async def _detect(made: Any, trial: Trial) -> None:
    from antiphon.bench import ask

    speech = ask.hear(made, "", (await _speech(trial)).pcm)
    for begin, end in zip(speech.edges[::2], [*speech.edges[1::2], None], strict=False):
        told = f"told {begin.told_ms - begin.position_ms} ms later"
        if end is None:
            print(f"  speech from {begin.position_ms / 1000:.2f} s ({told}) on")
            continue
        later = f"told {end.told_ms - end.position_ms} ms later"
        print(
            f"  speech from {begin.position_ms / 1000:.2f} s ({told}) "
            f"to {end.position_ms / 1000:.2f} s ({later})"
        )
    if not speech.edges:
        print("  no speech")


async def _judge(made: Any, trial: Trial) -> None:
    from antiphon.bench import ask

    speech = await _speech(trial)
    stream, done = made.open(), 0
    ends = [one for one in speech.edges if not one.speaking]
    for number, frame in enumerate(ask.frames(speech.pcm, ask.PADDING_MS), 1):
        stream.feed(frame)
        while done < len(ends) and ends[done].told_ms <= number * 20:
            begun = asyncio.get_running_loop().time()
            share = await stream.predict()
            took_ms = (asyncio.get_running_loop().time() - begun) * 1000
            at_s = ends[done].position_ms / 1000
            print(
                f"  pause at {at_s:.2f} s: the caller is done with {share:.2f} ({took_ms:.0f} ms)"
            )
            done += 1
    if not ends:
        print("  no pause in it")


async def _speech(trial: Trial) -> Any:
    """The recording, with what the agent's detector hears in it."""
    from antiphon.bench import recordings

    if trial.file is not None:
        print(f"hears: {trial.file}")
        return (await recordings.recorded(trial.agent, [trial.file]))[0]
    text = trial.text or _example(trial)
    print(f"hears: {text} (said by {recordings.voice_of(trial.agent).provider})")
    return (await recordings.spoken(trial.agent, [text]))[0]


_TRIES: dict[registry.Kind, Callable[[Any, Trial], Awaitable[None]]] = {
    "tts": _speak,
    "llm": _think,
    "stt": _transcribe,
    "realtime": _converse,
    "vad": _detect,
    "turn": _judge,
}
