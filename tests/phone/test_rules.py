"""Who may be called, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import ConfigError
from antiphon.phone.config import OutboundConfig
from antiphon.phone.numbers import DoNotCall, Number
from antiphon.phone.rules import Counts, Refusal, Rules

NOBODY = DoNotCall()
# A Monday, 11:00 in Berlin.
NOON = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
BERLIN = "+49 30 123456"


def rules(**settings: Any) -> Rules:
    base = {"vendor": "twilio", "sender": "+4930999999", "countries": ("DE", "US")}
    return Rules(OutboundConfig.model_validate(base | settings))


def number(of: Rules, text: str = BERLIN) -> Number:
    found = of.check_number(text, NOBODY)
    assert isinstance(found, Number)
    return found


def refused(found: Number | Refusal | None) -> Refusal:
    assert isinstance(found, Refusal)
    return found


@pytest.mark.parametrize(
    ("to", "rule"),
    [
        ("112", "emergency"),
        ("+49110", "emergency"),
        ("030 1234", "bad_number"),
        ("+499001123456", "premium"),
        ("+33142685300", "country"),
        ("+14165550123", "country"),
        ("+882123456789", "country"),
    ],
)
def test_numbers_that_are_refused_for_good(to: str, rule: str) -> None:
    refusal = refused(rules().check_number(to, NOBODY))
    assert refusal.rule == rule
    assert refusal.again_at is None
    assert str(refusal).startswith(f"{rule}: ")
    assert to not in str(refusal)


def test_by_default_no_country_may_be_called() -> None:
    refusal = refused(rules(countries=()).check_number(BERLIN, NOBODY))
    assert refusal.rule == "country"
    assert "outbound.countries" in refusal.message


def test_prefixes_open_and_close() -> None:
    opened = rules(countries=(), prefixes=("+49 30",))
    assert number(opened).e164 == "+4930123456"
    assert refused(opened.check_number("+4989123456", NOBODY)).rule == "country"
    both = rules(blocked_prefixes=("+4930",))
    assert refused(both.check_number(BERLIN, NOBODY)).rule == "blocked_prefix"


def test_a_number_that_is_not_given_out_needs_a_prefix() -> None:
    refusal = refused(rules().check_number("+15551234567", NOBODY))
    assert "outbound.prefixes" in refusal.message
    assert number(rules(prefixes=("+1555",)), "+15551234567").country == "US"
    refusal = refused(rules(prefixes=("+1900",)).check_number("+19005550123", NOBODY))
    assert refusal.rule == "premium", "whatever the prefixes say"


def test_the_list_comes_before_countries_and_closes_all_when_unknown() -> None:
    never = DoNotCall(frozenset({"+33142685300"}))
    assert refused(rules().check_number("+33 1 42 68 53 00", never)).rule == "do_not_call"
    unknown = refused(rules().check_number(BERLIN, DoNotCall(problem="line 3: x")))
    assert unknown.rule == "do_not_call"
    assert unknown.everybody
    assert "line 3" in unknown.message


def test_quiet_hours_by_the_clock_of_the_number() -> None:
    of = rules(hours="Mon-Fri 09:00-20:00")
    assert of.check_moment(number(of), NOON, Counts()) is None
    late = datetime(2026, 3, 2, 21, 10, tzinfo=UTC)
    refusal = refused(of.check_moment(number(of), late, Counts()))
    assert str(refusal) == "quiet_hours: it is 22:10 in Berlin; from Tue 09:00 on."
    assert refusal.again_at == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
    early = refused(of.check_moment(number(of), NOON.replace(hour=5), Counts()))
    assert early.message == "it is 06:00 in Berlin; from 09:00 on."


def test_a_country_with_several_zones_must_be_open_in_all_of_them() -> None:
    of = rules()
    new_york = number(of, "+12125550123")
    morning = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
    refusal = refused(of.check_moment(new_york, morning, Counts()))
    assert "several time zones" in refusal.message
    # 09:00 in Hawaii and in the Aleutians is 19:00 UTC.
    assert refusal.again_at == datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
    assert of.check_moment(new_york, refusal.again_at, Counts()) is None
    told = rules(time_zone="America/New_York")
    assert told.check_moment(new_york, morning, Counts()) is None
    never = rules(hours="Mon 09:00-10:00")
    refusal = refused(never.check_moment(new_york, morning, Counts()))
    assert refusal.again_at is None
    assert "outbound.time_zone" in refusal.message


def test_numbers_of_no_country_need_a_zone() -> None:
    of = rules(prefixes=("+882",))
    satellite = number(of, "+88212345678")
    assert "time_zone" in refused(of.check_moment(satellite, NOON, Counts())).message
    of = rules(prefixes=("+882",), time_zone="Europe/Berlin")
    assert of.check_moment(satellite, NOON, Counts()) is None


def test_how_often() -> None:
    of = rules(per_number_per_day=2, per_hour=5, at_once=3)
    now_s = NOON.timestamp()
    twice = Counts(number_calls=2, number_first_s=now_s - 3600)
    refusal = refused(of.check_moment(number(of), NOON, twice))
    assert refusal.rule == "per_number"
    assert "twice" in refusal.message
    assert refusal.again_at == NOON + timedelta(hours=23)
    assert not refusal.everybody
    hour = refused(of.check_moment(number(of), NOON, Counts(0, 0, 5, now_s - 600)))
    assert (hour.rule, hour.everybody) == ("per_hour", True)
    assert hour.again_at == NOON + timedelta(minutes=50)
    full = refused(of.check_moment(number(of), NOON, Counts(active=3)))
    assert full.rule == "at_once"
    assert of.check_moment(number(of), NOON, Counts(1, now_s, 4, now_s, 2)) is None


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"hours": "Mo 9-17"}, "hours"),
        ({"time_zone": "Berlin"}, "time_zone"),
        ({"countries": ("Germany",)}, "countries"),
        ({"prefixes": ("4930",)}, "prefixes"),
        ({"blocked_prefixes": ("+",)}, "blocked_prefixes"),
        ({"sender": "Cafe"}, "sender"),
    ],
)
def test_settings_without_meaning_name_their_key(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"phone.yaml: outbound.{key}: "):
        rules(**settings)


@given(
    st.text(max_size=20) | st.from_regex(r"\+[0-9]{3,15}", fullmatch=True),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_whoever_is_called_is_in_an_allowed_place_at_an_allowed_time(to: str, at: datetime) -> None:
    of = rules(countries=("DE", "GB"))
    found = of.check_number(to, NOBODY)
    if isinstance(found, Refusal):
        return
    assert found.country in ("DE", "GB")
    assert not found.premium
    now = at.replace(tzinfo=UTC)
    refusal = of.check_moment(found, now, Counts())
    if refusal is None:
        assert now.weekday() < 6
        assert 7 <= now.hour < 20, "09:00 to 20:00 in Berlin or London is within this in UTC"
    else:
        assert refusal.again_at is not None
        assert now < refusal.again_at <= now + timedelta(days=3)
        assert of.check_moment(found, refusal.again_at, Counts()) is None
