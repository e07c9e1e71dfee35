"""`antiphon cost AGENT`: what a call will probably cost, before there was one."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antiphon.agent.config import ProviderChoice
from antiphon.agent.default import data_folder, default_agent
from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.agent.prompt import system_message
from antiphon.cost.book import CHARACTERS, SECONDS, Price, PriceBook
from antiphon.cost.estimate import Estimate, Talk, estimate
from antiphon.cost.ledger import Ledger
from antiphon.cost.meter import Line, text
from antiphon.errors import UserFacingError
from antiphon.providers import registry
from antiphon.session.accounts import LEDGER_NAME, agent_book

TOKEN_CHARS = 4
TURNS_A_MINUTE = 4
TOKENS = ("input_tokens", "cached_tokens", "output_tokens")
WASTED = 0.25
"""Answers that are prepared and dropped for each that is given, where answers are prepared."""


_File = Annotated[Path | None, typer.Argument(help="The agent's file; the cafe if absent.")]
_Minutes = Annotated[float, typer.Option(min=0.1, help="Length of the call.")]
_Turns = Annotated[int | None, typer.Option(min=1, help="Of the caller; four a minute if absent.")]
_Channel = Annotated[str, typer.Option(help="The line, such as `twilio`; a browser costs nothing.")]
_Minute = Annotated[float | None, typer.Option(min=0, help="Price of a minute, in dollars.")]
_Tokens = Annotated[float | None, typer.Option(min=0, help="Price of a thousand tokens.")]
_Letters = Annotated[float | None, typer.Option(min=0, help="Price of a thousand characters.")]
_Heard = Annotated[float | None, typer.Option(min=0, help="Minutes that are recognised.")]
_Used = Annotated[int | None, typer.Option(min=0, help="Tokens read and written.")]
_Spoken = Annotated[int | None, typer.Option(min=0, help="Characters given to the voice.")]
_Share = Annotated[float, typer.Option(min=0, max=1, help="Of the call they speak.")]
_Words = Annotated[int | None, typer.Option(min=1, help="Words a minute, of both.")]
_Long = Annotated[float, typer.Option(min=1, help="Characters of a word and a space.")]
_Pieces = Annotated[float, typer.Option(min=0.1, help="Tokens of a word.")]
_Prompt = Annotated[int | None, typer.Option(min=0, help="Tokens of instructions, every turn.")]
_Cached = Annotated[float, typer.Option(min=0, max=1, help="Share read from a cache.")]
_Wasted = Annotated[float | None, typer.Option(min=0, help="Answers in vain, for each given.")]
_Book = Annotated[bool, typer.Option("--prices", help="List the price book instead.")]
_Days = Annotated[bool, typer.Option("--spent", help="List what was spent on which day.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def cost(
    agent: _File = None,
    minutes: _Minutes = 3.0,
    turns: _Turns = None,
    channel: _Channel = "webrtc",
    telephony: _Minute = None,
    stt: _Minute = None,
    llm: _Tokens = None,
    tts: _Letters = None,
    stt_minutes: _Heard = None,
    llm_tokens: _Used = None,
    characters: _Spoken = None,
    caller_share: _Share = 0.4,
    agent_share: _Share = 0.45,
    words: _Words = None,
    word_characters: _Long = 6.0,
    word_tokens: _Pieces = 1.35,
    prompt_tokens: _Prompt = None,
    cached: _Cached = 0.0,
    wasted: _Wasted = None,
    prices: _Book = False,
    spent: _Days = False,
    json_: _Json = False,
) -> None:
    """Estimate what a call will cost, by part, with every assumption; each can be changed."""
    if spent:
        _print_days(json_)
        return
    loaded = load_agent(agent or default_agent())
    book = agent_book(loaded)
    if prices:
        _print_book(book, json_)
        return
    talk = Talk(
        minutes=_exact(minutes),
        turns=turns or max(1, round(minutes * TURNS_A_MINUTE)),
        caller_share=_exact(caller_share),
        agent_share=_exact(agent_share),
        words_a_minute=words or loaded.config.speech.rate,
        characters_a_word=_exact(word_characters),
        tokens_a_word=_exact(word_tokens),
        prompt_tokens=_prompt_tokens(loaded) if prompt_tokens is None else prompt_tokens,
        cached_share=_exact(cached),
        wasted_share=_exact(_wasted(loaded) if wasted is None else wasted),
        stt_minutes=None if stt_minutes is None else _exact(stt_minutes),
        llm_tokens=llm_tokens,
        characters=characters,
    )
    given = _given({"telephony": telephony, "stt": stt, "llm": llm, "tts": tts})
    made = estimate(book, _services(loaded, channel), talk, given)
    if json_:
        print(json.dumps(made.values(), indent=1))
    else:
        _print(loaded, made)


def _given(dollars: dict[str, float | None]) -> dict[str, Price]:
    """Prices from the command line: of a minute, or of a thousand."""
    units = {"llm": (TOKENS, 1000), "tts": ((CHARACTERS,), 1000)}
    found = {}
    for part, price in dollars.items():
        if price is not None:
            named, count = units.get(part, ((SECONDS,), 60))
            rates = {unit: (_exact(price), count) for unit in named}
            found[part] = Price(part, "", "*", rates, source="as given")
    return found


def _wasted(agent: LoadedAgent) -> float:
    prepares = agent.config.turn.speculation.prepare != "nothing"
    return WASTED if prepares else 0.0


def _exact(number: float) -> Decimal:
    return Decimal(repr(number))


def _prompt_tokens(agent: LoadedAgent) -> int:
    characters = len(system_message(agent.config).content)
    for tool in agent.tools:
        characters += len(tool.spec.description) + len(json.dumps(tool.spec.parameters))
    return -(-characters // TOKEN_CHARS)


# ---- what is used --------------------------------------------------------------------------


def _services(agent: LoadedAgent, channel: str) -> list[tuple[str, str, str]]:
    """Part, provider and model of the agent's own; fallbacks are not expected to be needed."""
    config = agent.config
    found = [("telephony", channel, "")]
    if (one := config.realtime) is not None:
        return [*found, ("realtime", one.provider, _model(agent, "realtime", one))]
    kinds: tuple[tuple[registry.Kind, ProviderChoice], ...] = (
        ("stt", config.stt),
        ("llm", config.llm),
        ("tts", config.tts),
    )
    return found + [(kind, one.provider, _model(agent, kind, one)) for kind, one in kinds]


def _model(agent: LoadedAgent, kind: Any, choice: ProviderChoice) -> str:
    """What it is called; where it cannot be made here, what the file says."""
    try:
        made = registry.make(kind, choice.provider, choice.options, agent.hints)
    except UserFacingError:
        return str(choice.options.get("model", ""))
    return str(getattr(made, "model", "") or "")


# ---- what is shown -------------------------------------------------------------------------


def _print(agent: LoadedAgent, made: Estimate) -> None:
    console = Console(highlight=False, soft_wrap=True)
    minutes = text(made.talk.minutes)
    table = Table(title=f"{escape(agent.config.name)}, a call of {minutes} minutes, in dollars")
    for name in ("part", "provider", "used", "price", "as of"):
        table.add_column(name)
    table.add_column("dollars", justify="right")
    for line in made.lines:
        table.add_row(*(escape(one) for one in _row(line)))
    table.add_section()
    table.add_row("total", "", "", "", "", f"{made.total:.2f}", style="bold")
    console.print(table)
    if made.unknown:
        names = ", ".join(f"{x.part} {x.provider} {x.model}".strip() for x in made.unknown)
        console.print(
            f"No price is known for {escape(names)}; it is not in the total. "
            "Write one into a file of prices (docs/costs.md).",
            style="yellow",
        )
    console.print("Assumed (each is an option):")
    for key, value, meaning in made.talk.assumptions():
        console.print(f"  {key:18} {value:>6}  {meaning}")


def _row(line: Line) -> tuple[str, str, str, str, str, str]:
    provider = " ".join(filter(None, (line.provider, line.model)))
    if line.price is None:
        return line.part, provider, _used(line), "unknown", "", "?"
    if line.price.local:
        return line.part, provider, "", "runs here", "", "0"
    assert line.dollars is not None
    dollars = f"{line.dollars:.4f}".rstrip("0").rstrip(".")
    return line.part, provider, _used(line), price_text(line.price), line.price.as_of, dollars


def _used(line: Line) -> str:
    told = []
    for unit, count in line.quantities.items():
        if unit == SECONDS:
            told.append(f"{text(round(count / 60, 2))} minutes")
        else:
            told.append(f"{int(count):,} {unit.replace('_', ' ')}")
    return ", ".join(told)


_COUNTS = {1000: "1k", 10**6: "1M", 60: "minute", 3600: "hour"}


def price_text(price: Price) -> str:
    """What an entry of the book says, in short."""
    told = []
    rates = dict(price.rates)
    if len(rates) > 1 and set(rates) == set(TOKENS) and len(set(rates.values())) == 1:
        rates = {"tokens": rates[TOKENS[0]]}
    for unit, (dollars, count) in rates.items():
        name = "" if unit == SECONDS else " " + unit.removesuffix("_tokens").replace("_", " ")
        told.append(f"{text(dollars)}/{_COUNTS[count]}{name}")
    return ", ".join(told)


def money(event: dict[str, Any]) -> str:
    """What an event of a call says about money, in words; empty for what need not be said."""
    if event["type"] == "antiphon.budget":
        return f"the {event['scope']}'s budget: {event['level']}"
    if not event["final"] or (event["total"] == "0" and not event["unknown"]):
        return ""
    unknown = "".join(f", and {one}, whose price is unknown" for one in event["unknown"])
    return f"cost {event['total']} dollars{unknown}"


def unpriced(agent: LoadedAgent) -> list[str]:
    """What the agent names that has no known price.

    Raises:
        ConfigError: its file of prices is wrong.
    """
    config, book = agent.config, agent_book(agent)
    kinds: tuple[tuple[registry.Kind, tuple[ProviderChoice, ...]], ...] = (
        ("realtime", config.realtimes),
        ("stt", config.recognisers),
        ("llm", config.brains),
        ("tts", config.voices),
    )
    named = [
        (kind, one.provider, _model(agent, kind, one)) for kind, chosen in kinds for one in chosen
    ]
    return [" ".join(filter(None, one)) for one in named if book.find(*one) is None]


def _print_book(book: PriceBook, as_json: bool) -> None:
    entries = sorted(book.all(), key=lambda one: (one.kind, one.local, one.provider, one.model))
    if as_json:
        listed = [
            {
                "kind": one.kind,
                "provider": one.provider,
                "model": one.model,
                "price": price_text(one),
                "local": one.local,
                "as_of": one.as_of,
                "source": one.source,
            }
            for one in entries
        ]
        print(json.dumps(listed, indent=1))
        return
    table = Table(title="Prices in dollars; check with the vendor")
    for name in ("kind", "provider", "model", "price", "as of", "source"):
        table.add_column(name, overflow="fold")
    for one in entries:
        price = "runs here" if one.local else price_text(one)
        cells = (one.kind, one.provider, one.model, price, one.as_of, one.source)
        table.add_row(*(escape(cell) for cell in cells))
    Console(highlight=False).print(table)


def _print_days(as_json: bool) -> None:
    days = Ledger(data_folder() / LEDGER_NAME).days()
    if as_json:
        listed = [{"day": day, "scope": scope, "dollars": text(x)} for day, scope, x in days]
        print(json.dumps(listed, indent=1))
        return
    table = Table(title="Spent, in dollars")
    table.add_column("day")
    table.add_column("by")
    table.add_column("dollars", justify="right")
    for day, scope, dollars in days:
        table.add_row(day, escape(scope.removeprefix("agent:")), f"{dollars:.4f}")
    Console(highlight=False).print(table)
