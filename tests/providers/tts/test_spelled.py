from __future__ import annotations

from antiphon.providers.base import TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone, TtsWords
from antiphon.providers.tts.spelled import Spelled
from antiphon.types import Word

RATE_HZ = 16_000


def pcm(ms: int) -> bytes:
    return bytes(ms * RATE_HZ // 1000 * 2)


def lengths(events: list[TtsEvent]) -> dict[int, int]:
    """Milliseconds of sound of each segment."""
    found: dict[int, int] = {}
    for event in events:
        if isinstance(event, TtsAudio):
            ms = len(event.pcm) * 1000 // 2 // RATE_HZ
            found[event.segment_id] = found.get(event.segment_id, 0) + ms
    return found


def told(events: list[TtsEvent]) -> list[Word]:
    return [word for event in events if isinstance(event, TtsWords) for word in event.words]


def done(events: list[TtsEvent]) -> list[int]:
    return [event.segment_id for event in events if isinstance(event, TtsSegmentDone)]


def two(*texts: str) -> Spelled:
    spelled = Spelled(RATE_HZ)
    for number, text in enumerate(texts):
        spelled.write(TtsSegment(number, text))
    return spelled


def test_one_piece_of_sound_with_the_end_of_one_and_the_beginning_of_another() -> None:
    spelled = two("Ab c.", "De")
    spelled.finish()
    starts = [0, 100, 200, 300, 400, 500, 650, 700]
    events = spelled.take(pcm(800), "Ab c. De", starts, [100, 100, 0, 100, 100, 0, 50, 100])
    assert lengths(events) == {0: 650, 1: 150}
    assert told(events)[:2] == [Word("Ab", 0, 200), Word("c.", 300, 500)]
    assert done(events) == [0]
    # The last one has all sound until the vendor says that it is over.
    more = spelled.take(pcm(100), [], [], [])
    assert lengths(more) == {1: 100}
    assert told(events + more)[2:] == [Word("De", 0, 150)]
    assert done(spelled.end()) == [1]


def test_times_begin_anew_with_each_piece() -> None:
    spelled = two("abcd")
    first = spelled.take(pcm(200), "ab", [0, 100], [100, 100])
    second = spelled.take(pcm(200), "cd", [0, 100], [100, 100])
    assert told(first) == []
    assert told(second) == [Word("abcd", 0, 400)]
    assert done(second) == [0]


def test_a_segment_is_not_done_before_its_sound_is_there() -> None:
    spelled = two("ab")
    assert done(spelled.take(pcm(100), "ab", [0, 200], [200, 200])) == []
    events = spelled.take(pcm(300), [], [], [])
    assert told(events) == [Word("ab", 0, 400)]
    assert done(events) == [0]
    # What comes when all is spoken is silence.
    assert spelled.take(pcm(100), [], [], []) == []


def test_characters_that_are_missing_or_new_do_not_lose_the_place() -> None:
    spelled = two("It's 5 o'clock.", "Now.")
    chars = "Its 5% oclock Now."
    starts = list(range(0, 100 * len(chars), 100))
    events = spelled.take(pcm(100 * len(chars)), chars, starts, [100] * len(chars))
    assert [word.text for word in told(events)] == ["It's", "5", "o'clock.", "Now."]
    assert lengths(events) == {0: 1400, 1: 400}
    assert told(events)[2] == Word("o'clock.", 700, 1400)


def test_without_characters_everything_is_done_at_the_end() -> None:
    spelled = two("One.", "Two.")
    assert lengths(spelled.take(pcm(500), [], [], [])) == {0: 500}
    assert done(spelled.end()) == [0, 1]


def test_half_a_sample_waits_for_its_other_half() -> None:
    spelled = two("ab")
    events = spelled.take(b"\x01" * 33, [], [], []) + spelled.take(b"\x01" * 31, [], [], [])
    assert [len(event.pcm) for event in events if isinstance(event, TtsAudio)] == [32, 32]
