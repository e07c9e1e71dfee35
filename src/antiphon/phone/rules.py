"""May this number be called, now?

Pure: the number, the moment, what was called before and the list of numbers not to call come in.
The first rule that forbids it is named, in this order:

1. `bad_number`: it is no number, or has no country code.
2. `emergency`: it is one that is dialled in need. Always refused.
3. `premium`: it costs more than a call. Always refused.
4. `do_not_call`: it is in the list, or the list cannot be read.
5. `blocked_prefix`: it begins as one of `blocked_prefixes`.
6. `country`: it is neither of one of `countries` nor begins as one of `prefixes`.
7. `quiet_hours`: it is not within `hours` by the clock where the number is. In a country with
   several zones it must be so in all of them, unless `time_zone` says which one counts.
8. `per_number`: it was called `per_number_per_day` times in 24 hours.
9. `per_hour`: `per_hour` calls were made in the last hour.
10. `at_once`: as many calls go on at this moment as may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from antiphon.agent.hours import Hours, parse_hours, zone_named
from antiphon.errors import ConfigError
from antiphon.phone.config import OutboundConfig
from antiphon.phone.numbers import (
    BadNumber,
    DoNotCall,
    Number,
    is_bare_emergency,
    parse_number,
    zones_of,
)

Rule = Literal[
    "bad_number",
    "emergency",
    "premium",
    "do_not_call",
    "blocked_prefix",
    "country",
    "quiet_hours",
    "per_number",
    "per_hour",
    "at_once",
]
_T = TypeVar("_T")
DAY_S, HOUR_S = 86_400.0, 3_600.0
SOON = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a number may not be called now."""

    rule: Rule
    message: str
    """What is so and what to do. It does not name the number."""
    again_at: datetime | None = None
    """When it may be allowed; None: never, with these settings."""
    everybody: bool = False
    """It holds for every number, not for this one."""

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What was called before, and what is going on. Unix seconds."""

    number_calls: int = 0
    """Calls to this number in the last 24 hours."""
    number_first_s: float = 0.0
    """When the oldest of them that counts was made."""
    hour_calls: int = 0
    """Calls in the last hour, to anybody."""
    hour_first_s: float = 0.0
    active: int = 0


class Rules:
    """The rules of `phone.yaml`, section `outbound`.

    Raises:
        ConfigError: a setting has no meaning.
    """

    def __init__(self, config: OutboundConfig) -> None:
        self._config = config
        self._hours: Hours = _checked("hours", lambda: parse_hours(config.hours))
        zone = config.time_zone
        if zone is not None:
            _checked("time_zone", lambda: zone_named(zone))
        self.sender = _checked("sender", lambda: parse_number(config.sender)).e164
        self._countries = frozenset(
            _checked("countries", lambda: [_country(code) for code in config.countries])
        )
        self._prefixes = tuple(_checked("prefixes", lambda: [_prefix(p) for p in config.prefixes]))
        self._blocked = tuple(
            _checked("blocked_prefixes", lambda: [_prefix(p) for p in config.blocked_prefixes])
        )

    def check_number(self, text: str, never: DoNotCall) -> Number | Refusal:
        """The rules that do not depend on the moment, 1 to 6."""
        if is_bare_emergency(text):
            return Refusal("emergency", _EMERGENCY)
        try:
            number = parse_number(text)
        except BadNumber as error:
            return Refusal("bad_number", f"{error}.")
        if number.emergency:
            return Refusal("emergency", _EMERGENCY)
        if number.premium:
            return Refusal("premium", "this number costs more than a call; such are never called.")
        if never.problem:
            return Refusal(
                "do_not_call",
                f"the file `outbound.do_not_call` cannot be used ({never.problem}); nobody is "
                "called until it can be.",
                everybody=True,
            )
        if number.e164 in never.numbers:
            return Refusal("do_not_call", "this number is on the list of those never called.")
        if number.e164.startswith(self._blocked):
            return Refusal("blocked_prefix", "`outbound.blocked_prefixes` has its beginning.")
        allowed = number.in_use and number.country in self._countries
        if not allowed and not number.e164.startswith(self._prefixes):
            return Refusal("country", self._why_not(number))
        return number

    def check_moment(self, number: Number, now: datetime, counts: Counts) -> Refusal | None:
        """The rules that depend on the moment, 7 to 10. `now` has a time zone."""
        config = self._config
        if refusal := self._quiet(number, now):
            return refusal
        if counts.number_calls >= config.per_number_per_day:
            again = _moment(counts.number_first_s + DAY_S)
            many = _times(config.per_number_per_day)
            return Refusal(
                "per_number",
                f"this number was called {many} in 24 hours; from {again:%Y-%m-%d %H:%M} UTC on.",
                max(again, now + SOON),
            )
        if counts.hour_calls >= config.per_hour:
            again = max(_moment(counts.hour_first_s + HOUR_S), now + SOON)
            return Refusal(
                "per_hour",
                f"{config.per_hour} calls were made in the last hour; from {again:%H:%M} UTC on, "
                "or raise `outbound.per_hour`.",
                again,
                everybody=True,
            )
        if counts.active >= config.at_once:
            return Refusal(
                "at_once",
                f"{counts.active} calls go on at this moment; when one is over, or raise "
                "`outbound.at_once`.",
                now + SOON,
                everybody=True,
            )
        return None

    def _why_not(self, number: Number) -> str:
        if number.country in self._countries:
            return (
                f"{number.country} gives out no such number; if it exists all the same, put its "
                "beginning into `outbound.prefixes`."
            )
        named = "no country" if number.country == "001" else number.country
        return (
            f"the number is of {named}; allow it with `outbound.countries` or `outbound.prefixes`."
        )

    def _quiet(self, number: Number, now: datetime) -> Refusal | None:
        # Zones whose clocks agree at this moment count once.
        clocks: dict[timedelta | None, str] = {}
        for zone in self._zones(number.country):
            clocks.setdefault(now.astimezone(zone_named(zone)).utcoffset(), zone)
        zones = tuple(clocks.values())
        if not zones:
            return Refusal(
                "quiet_hours",
                "it is not known what time it is where the number is; set `outbound.time_zone`.",
            )
        closed = [zone for zone in zones if not self._hours.open(now, zone)]
        if not closed:
            return None
        again = self._all_open(zones, now)
        where = closed[0]
        here = now.astimezone(zone_named(where))
        if again is None:
            return Refusal(
                "quiet_hours",
                f"`outbound.hours` is at no time so in all {len(zones)} time zones of "
                f"{number.country}; set `outbound.time_zone`.",
            )
        opens = again.astimezone(zone_named(where))
        when = f"{opens:%H:%M}" if opens.date() == here.date() else f"{opens:%a %H:%M}"
        place = where.rpartition("/")[2].replace("_", " ")
        several = f" ({number.country} has several time zones)" if len(zones) > 1 else ""
        return Refusal(
            "quiet_hours", f"it is {here:%H:%M} in {place}; from {when} on{several}.", again
        )

    def _zones(self, country: str) -> tuple[str, ...]:
        zones = zones_of(country)
        if len(zones) != 1 and self._config.time_zone is not None:
            return (self._config.time_zone,)
        return zones

    def _all_open(self, zones: tuple[str, ...], now: datetime) -> datetime | None:
        """The first moment from `now` on that is within the hours in all zones."""
        at = now
        # Each round goes on to where some zone opens, and a week has few openings.
        for _ in range(60):
            opens = [self._hours.opens(at, zone) for zone in zones]
            latest = max((one for one in opens if one is not None), default=None)
            if latest is None or latest - now > timedelta(days=8):
                return None
            if latest <= at:
                return at.astimezone(UTC)
            at = latest
        return None


_EMERGENCY = "this is an emergency number; such are never called."


def _checked(key: str, make: Callable[[], _T]) -> _T:
    try:
        return make()
    except ValueError as error:
        raise ConfigError(str(error), path="phone.yaml", key=f"outbound.{key}") from None


def _country(text: str) -> str:
    import phonenumbers

    code = text.upper()
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"`{text[:20]}` is not a country; write two letters, such as `DE`")
    return code


def _prefix(text: str) -> str:
    plain = text.replace(" ", "")
    if not (plain.startswith("+") and plain[1:].isascii() and plain[1:].isdigit()):
        raise ValueError(f"`{text[:20]}` is not the beginning of a number; write one like `+4930`")
    return plain


def _moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
