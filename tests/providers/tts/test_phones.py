from __future__ import annotations

from antiphon.providers.tts.phones import ipa


def test_phones() -> None:
    assert ipa("K AA1 F IY0") == "kɑfi"
    assert ipa("CH OY S") == "tʃɔɪs"
    assert ipa("q q") == ""
