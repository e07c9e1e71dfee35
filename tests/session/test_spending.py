"""What a call costs while it goes on."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage import agent, providers

from antiphon.agent.config import Limits
from antiphon.cost.book import PriceBook, read_prices
from antiphon.cost.meter import Meter
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import Usage
from antiphon.session.spending import CHECK_MS, Budget, Service, Services, Spending

PRICES = """
prices:
  - {kind: stt, provider: ears, per_minute: 0.6}
  - {kind: stt, provider: spare, per_minute: 6, whole_call: true}
  - {kind: llm, provider: brain, model: big, per_1k_tokens: 1}
  - {kind: llm, provider: other, model: small, per_1k_tokens: 0.1}
  - {kind: tts, provider: voice, per_1k_characters: 10}
  - {kind: tts, provider: minutes, per_minute: 60}
  - {kind: telephony, provider: line, per_minute: 0.06}
  - {kind: realtime, provider: minutes, per_minute: 0.6, whole_call: true}
  - kind: realtime
    provider: seer
    per_1m_input: 100
    per_1m_output: 1000
    per_1m_audio_input: 500
    per_1m_audio_cached: 100
    per_1m_audio_output: 1250
"""


class Made:
    def __init__(self, model: str = "", number: int = 0) -> None:
        self.model, self.number = model, number


SERVICES = Services(
    "line",
    (Service("stt", "ears"), Service("stt", "spare")),
    (Service("llm", "brain", Made("big")), Service("llm", "other", Made("small"))),
    (Service("tts", "voice"), Service("tts", "minutes")),
)


@pytest.fixture
def meter(tmp_path: Path) -> Meter:
    (tmp_path / "prices.yaml").write_text(PRICES, encoding="utf-8")
    return Meter(PriceBook(read_prices(tmp_path / "prices.yaml")))


def spending(meter: Meter, **more: Any) -> Spending:
    return Spending("cafe", SERVICES, meter, more.pop("metrics", Metrics()), **more)


def by_part(one: Spending) -> dict[str, str]:
    one.settle()
    return {part: str(dollars.normalize()) for part, dollars in one.meter.by_part().items()}


def test_the_recogniser_is_paid_while_an_utterance_is_open(meter: Meter) -> None:
    call = spending(meter)
    call.at(10_000)
    call.utterance_begun(1, 9_900)  # from 9,600 on
    call.at(11_000)
    call.utterance_begun(2, 10_900)  # a long one is passed on; both are open, and heard once
    call.at(11_600)
    call.utterance_ended(1)
    call.utterance_ended(2)
    call.at(20_000)
    assert by_part(call)["stt"] == "0.02"
    call.utterance_begun(3, 19_000)
    call.at(22_000)
    assert by_part(call)["stt"] == "0.053"


def test_another_recogniser_is_paid_by_its_own_price(meter: Meter) -> None:
    call = spending(meter)
    call.recogniser = stream = Made()
    call.utterance_begun(1, 300)
    call.at(1_300)
    stream.number = 1
    call.at(2_000)
    call.utterance_ended(1)
    call.at(60_000)
    bill = call.bill()
    assert [(one["provider"], one["dollars"]) for one in bill["parts"] if one["part"] == "stt"] == [
        ("ears", "0.013"),
        ("spare", "6"),
    ]


def test_tokens_are_paid_to_whoever_made_them(meter: Meter) -> None:
    call = spending(meter)
    call.generated(0, 1, Usage(1000, 100, 400), False)
    call.generated(1, 2, Usage(1000, 0), False)
    # A hedged request was answered by the other one, and one by a model that nobody knows.
    call.generated(0, 3, Usage(0, 1000, 0, "small"), True)
    call.generated(0, 4, Usage(10, 0, 0, "strange"), False)
    bill = call.bill()
    assert [(one["provider"], one["model"], one["dollars"]) for one in bill["parts"]] == [
        ("brain", "big", "1.1"),
        ("other", "small", "0.2"),
        ("brain", "strange", None),
    ]
    assert bill["parts"][0]["cached_tokens"] == 400
    assert bill["parts"][1]["estimated"] is True
    assert bill["unknown"] == ["llm brain strange"]


def test_a_voice_is_paid_by_characters_or_by_minutes(meter: Meter) -> None:
    call = spending(meter)
    call.voiced(1, 0, 50)
    call.sounded(1, 0, 1000, 0)
    call.voiced(2, 1, 50)
    for segment, ms in ((0, 400), (0, 1000), (1, 500), (1, 500)):
        call.sounded(2, segment, ms, 1)
    call.voiced(3, 2, 50)  # what was recorded costs nothing
    call.sounded(3, 0, 900, 2)
    assert [(one["provider"], one["dollars"]) for one in call.bill()["parts"]] == [
        ("voice", "0.5"),
        ("minutes", "1.5"),
    ]


def test_sound_read_and_written_by_a_model_has_prices_of_its_own(meter: Meter) -> None:
    model = Service("realtime", "seer", Made("all"))
    services = Services("line", (model, SERVICES.stts[0]), (model,), (model, SERVICES.voices[0]))
    call = Spending("cafe", services, meter, Metrics())
    usage = Usage(
        1000, 100, 300, audio_input_tokens=600, audio_output_tokens=80, audio_cached_tokens=200
    )
    call.generated(0, 1, usage, False)
    call.voiced(1, 0, 50)  # is in the price of the model
    call.sounded(1, 0, 900, 0)
    (line,) = meter.lines
    assert line.quantities == {
        "input_tokens": 300,
        "cached_tokens": 100,
        "output_tokens": 20,
        "audio_input_tokens": 400,
        "audio_cached_tokens": 200,
        "audio_output_tokens": 80,
    }
    assert line.dollars == Decimal("0.38")


def test_a_model_by_the_minute_is_paid_while_it_is_connected(meter: Meter) -> None:
    model = Service("realtime", "minutes")
    services = Services("webrtc", (model, SERVICES.stts[0]), (model,), (model,))
    call = Spending("cafe", services, meter, Metrics())
    call.at(30_000)
    assert "realtime" not in by_part(call)
    call.recogniser = Made()
    call.at(60_000)
    assert by_part(call)["realtime"] == "0.6"


def test_metrics_and_accounts_are_told_only_what_is_new(meter: Meter) -> None:
    metrics = Metrics()
    told: list[Decimal] = []
    call = spending(meter, metrics=metrics, account=told.append)
    call.voiced(1, 0, 100)
    call.settle()
    call.settle()
    call.at(60_000)
    call.settle()
    assert told == [Decimal(1), Decimal("0.06")]
    rendered = metrics.render().decode()
    assert 'antiphon_cost_dollars_total{agent="cafe",part="tts"} 1.0' in rendered
    assert 'antiphon_cost_dollars_total{agent="cafe",part="telephony"} 0.06' in rendered


def test_levels_are_reached_once_each_and_in_order(meter: Meter) -> None:
    call = spending(meter, limits=Limits(warn=1, cheaper=2, end=3))
    call.voiced(1, 0, 200)
    assert call.reached() == []  # looked at once a second
    call.at(CHECK_MS)
    assert call.reached() == [("warn", "call"), ("cheaper", "call")]
    call.at(2 * CHECK_MS)
    assert call.reached() == []
    call.voiced(2, 0, 200)
    call.at(2 * CHECK_MS + 1)
    call.at(3 * CHECK_MS)
    assert call.reached() == [("end", "call")]


def test_days_have_limits_of_their_own(meter: Meter) -> None:
    spent = [Decimal(5), Decimal(50)]
    call = spending(
        meter,
        budgets=(
            Budget("day", Limits(warn=4, end=6), lambda: spent[0]),
            Budget("server", Limits(end=50), lambda: spent[1]),
        ),
    )
    call.at(CHECK_MS)
    assert call.reached() == [("warn", "day"), ("end", "server")]


def test_nothing_is_looked_at_where_there_is_no_budget(meter: Meter) -> None:
    call = spending(meter)
    call.voiced(1, 0, 10**6)
    call.at(10 * CHECK_MS)
    assert call.reached() == []
    assert meter.lines[0].part == "tts"


def test_the_record_is_whole(meter: Meter, tmp_path: Path) -> None:
    record = tmp_path / "call.cost.json"
    call = spending(meter, record=record, limits=Limits(warn=0.01))
    call.voiced(1, 0, 100)
    call.at(60_000)
    call.reached()
    bill = call.close("call_1", "hung up")
    kept = json.loads(record.read_text())
    assert kept["total"] == bill["total"] == "1.06"
    assert kept["call_id"] == "call_1"
    assert kept["budgets"] == [{"level": "warn", "scope": "call", "at_ms": 60_000}]
    assert (kept["duration_ms"], kept["reason"], kept["channel"]) == (60_000, "hung up", "line")


def test_a_record_that_cannot_be_written_is_no_disaster(
    meter: Meter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spending(meter, record=tmp_path / "no" / "x.json").close("call_1", "hung up")
    assert "costs were not kept" in caplog.text


def test_the_services_are_those_of_the_agent() -> None:
    config = agent(
        llm="scripted",
        fallback={"llm": "flow", "tts": "espeak-ng", "stt": "vosk"},
        budget={"cheaper_llm": "ollama"},
    ).config
    found = Services.of(config, providers(), "webrtc")
    assert [one.provider for one in found.llms] == ["scripted", "flow", "ollama"]
    assert [one.provider for one in found.stts] == ["pocketsphinx", "vosk"]
    assert [one.provider for one in found.voices] == ["flite", "espeak-ng"]
    assert found.llms[0].model == ""


def test_a_speech_to_speech_model_comes_first_where_there_is_sound() -> None:
    config = agent(llm="scripted", realtime="openai").config
    spoken = Services.of(config, providers(), "webrtc")
    for kind in (spoken.stts, spoken.llms, spoken.voices):
        assert kind[0].part == "realtime"
        assert len(kind) == 2
    typed = Services.of(config, providers(), "text", has_audio=False)
    assert [one.provider for one in typed.llms] == ["scripted", "scripted"]
    assert typed.stts == ()
