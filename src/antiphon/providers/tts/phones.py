"""Pronunciations in the alphabet that vendors want."""

from __future__ import annotations

_TABLE = """
AA ɑ  AE æ  AH ʌ  AO ɔ  AW aʊ AY aɪ B b   CH tʃ D d   DH ð  EH ɛ  ER ɝ  EY eɪ
F f   G ɡ   HH h  IH ɪ  IY i  JH dʒ K k   L l   M m   N n   NG ŋ  OW oʊ OY ɔɪ
P p   R ɹ   S s   SH ʃ  T t   TH θ  UH ʊ  UW u  V v   W w   Y j   Z z   ZH ʒ
"""
_IPA = dict(zip(_TABLE.split()[::2], _TABLE.split()[1::2], strict=True))


def ipa(phones: str) -> str:
    """ARPAbet phones, separated by spaces, in the International Phonetic Alphabet. Stress is not
    told: without it voices put it where English would."""
    return "".join(_IPA.get(phone.rstrip("012").upper(), "") for phone in phones.split())
