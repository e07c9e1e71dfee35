"""What clients are told of the patience of a call."""

from antiphon.channels.voice.base import PATIENT, Patience


def test_seconds_under_the_names_of_the_settings() -> None:
    assert Patience(30.0, 15.0).told() == {"resume_s": 30.0, "leave_s": 15.0}
    assert PATIENT.told() == {"resume_s": 60.0, "leave_s": 60.0}
