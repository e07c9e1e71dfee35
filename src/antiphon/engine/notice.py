"""What the caller has to be told before anything else, and what may be recorded because of it."""

from __future__ import annotations

from antiphon.engine.commands import ReportDisclosure, StartRecording
from antiphon.engine.floor import Floor


def begin(floor: Floor) -> str:
    """The call begins: the sentence that comes first, heard to its end; empty: there is none."""
    setup = floor.setup
    floor.disclosing = setup.disclosure
    floor.consent = setup.records and bool(setup.consent_question)
    if not setup.disclosure:
        _may_record(floor)
    question = setup.consent_question if floor.consent else ""
    return " ".join(part for part in (setup.disclosure, question) if part)


def disclosed(floor: Floor) -> None:
    """It was heard to its end."""
    floor.out.append(ReportDisclosure(floor.disclosing, True))
    floor.disclosing = ""
    _may_record(floor)


def missed(floor: Floor) -> None:
    """The call ends; if that was before the end of the notice, the record says so."""
    if floor.disclosing:
        floor.out.append(ReportDisclosure(floor.disclosing, False))
        floor.disclosing = ""


def _may_record(floor: Floor) -> None:
    if floor.setup.records and not floor.consent:
        floor.out.append(StartRecording())
