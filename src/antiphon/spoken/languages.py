"""Words that numbers, dates and signs are read with, for each language that we read ourselves.

Numbers themselves come from num2words; names of months, currencies and units from babel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Language:
    """How one language reads what is not a word."""

    code: str
    territory: str
    """Where it is spoken when its tag does not say: for telephone numbers and dates."""
    group: str
    decimal: str
    point: str
    minus: str
    to: str
    """Between the ends of a range."""
    per: str
    number: str
    """`#` before a number."""
    one: tuple[str, str]
    """1 before a noun, masculine and feminine."""
    signs: Mapping[str, str]
    """Signs that stand between white space, or before a number."""
    address: Mapping[str, str]
    """Signs inside an e-mail or web address."""
    money: Mapping[str, tuple[str, str, str, str]]
    """Currency -> one, many, a hundredth, hundredths."""
    cents: str
    """Between the whole and the hundredths, which are named only when `name_cents`."""
    name_cents: bool
    magnitudes: Mapping[str, str]
    abbreviations: Mapping[str, str]
    """Abbreviation without its last full stop, in lower case -> how it is read."""
    codes: frozenset[str]
    """Words after which a number is a code, read digit by digit."""
    feminine: frozenset[str] = field(default_factory=frozenset)
    """Units that are feminine."""


def _pairs(text: str) -> dict[str, str]:
    return dict(line.strip().split(" = ", 1) for line in text.strip().splitlines())


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


EN = Language(
    "en", "US", ",", ".", "point", "minus", "to", "per", "number", ("one", "one"),
    signs=_pairs(
        """& = and
        + = plus
        = = equals
        @ = at
        # = number
        % = percent
        ~ = about
        ≈ = about
        < = less than
        > = more than
        ≤ = at most
        ≥ = at least
        × = times
        ÷ = divided by
        ± = plus or minus
        ° = degrees
        § = section
        ½ = one half
        ¼ = one quarter
        ¾ = three quarters"""
    ),
    address=_pairs("@ = at\n. = dot\n/ = slash\n- = dash\n_ = underscore\n+ = plus\n: = colon"),
    money={
        "USD": ("dollar", "dollars", "cent", "cents"),
        "EUR": ("euro", "euros", "cent", "cents"),
        "GBP": ("pound", "pounds", "penny", "pence"),
    },
    cents="and",
    name_cents=True,
    magnitudes=_pairs(
        "k = thousand\nthousand = thousand\nm = million\nmillion = million\nbn = billion\n"
        "b = billion\nbillion = billion\ntrillion = trillion"
    ),
    abbreviations=_pairs(
        """e.g = for example
        i.e = that is
        etc = et cetera
        vs = versus
        approx = approximately
        dr = Doctor
        mr = Mister
        mrs = Missus
        ms = Miz
        prof = Professor
        jr = Junior
        sr = Senior
        dept = department
        apt = apartment
        ave = Avenue
        blvd = Boulevard
        inc = Incorporated
        ltd = Limited
        est = established
        tel = telephone
        no = number
        w/o = without
        w/ = with"""
    ),
    codes=_set(
        "code pin number no order reference ref account booking reservation confirmation ticket"
        " flight room gate invoice call dial serial zip postcode extension ext model tracking case"
        " id"
    ),
)  # fmt: skip

DE = Language(
    "de", "DE", ".", ",", "Komma", "minus", "bis", "pro", "Nummer", ("ein", "eine"),
    signs=_pairs(
        """& = und
        + = plus
        = = gleich
        @ = ät
        # = Nummer
        % = Prozent
        ~ = ungefähr
        ≈ = ungefähr
        < = kleiner als
        > = größer als
        ≤ = höchstens
        ≥ = mindestens
        × = mal
        ÷ = geteilt durch
        ± = plus minus
        ° = Grad
        § = Paragraf
        ½ = ein halb
        ¼ = ein Viertel
        ¾ = drei Viertel"""
    ),
    address=_pairs(
        "@ = ät\n. = Punkt\n/ = Schrägstrich\n- = Bindestrich\n_ = Unterstrich\n+ = plus\n"
        ": = Doppelpunkt"
    ),
    money={
        "USD": ("Dollar", "Dollar", "Cent", "Cent"),
        "EUR": ("Euro", "Euro", "Cent", "Cent"),
        "GBP": ("Pfund", "Pfund", "Penny", "Pence"),
    },
    cents="",
    name_cents=False,
    magnitudes=_pairs(
        "tsd = tausend\nmio = Millionen\nmillion = Million\nmillionen = Millionen\n"
        "mrd = Milliarden\nmilliarde = Milliarde\nmilliarden = Milliarden"
    ),
    abbreviations=_pairs(
        """z.b = zum Beispiel
        z. b = zum Beispiel
        d.h = das heißt
        d. h = das heißt
        u.a = unter anderem
        u. a = unter anderem
        usw = und so weiter
        bzw = beziehungsweise
        ca = circa
        evtl = eventuell
        ggf = gegebenenfalls
        inkl = inklusive
        zzgl = zuzüglich
        vgl = vergleiche
        nr = Nummer
        str = Straße
        dr = Doktor
        prof = Professor
        hr = Herr
        fr = Frau
        tel = Telefon
        min = Minuten
        std = Stunden"""
    ),
    codes=_set(
        "code pin nummer nr bestellung bestellnummer kundennummer konto buchung ticket flug zimmer"
        " gate rechnung plz postleitzahl durchwahl"
    ),
    feminine=_set("hour minute second ton ounce mile week month day"),
)  # fmt: skip

ES = Language(
    "es", "ES", ".", ",", "coma", "menos", "a", "por", "número", ("un", "una"),
    signs=_pairs(
        """& = y
        + = más
        = = igual a
        @ = arroba
        # = número
        % = por ciento
        ~ = unos
        ≈ = unos
        < = menor que
        > = mayor que
        ≤ = como máximo
        ≥ = al menos
        × = por
        ÷ = entre
        ± = más o menos
        ° = grados
        § = sección
        ½ = un medio
        ¼ = un cuarto
        ¾ = tres cuartos"""
    ),
    address=_pairs(
        "@ = arroba\n. = punto\n/ = barra\n- = guion\n_ = guion bajo\n+ = más\n: = dos puntos"
    ),
    money={
        "USD": ("dólar", "dólares", "centavo", "centavos"),
        "EUR": ("euro", "euros", "céntimo", "céntimos"),
        "GBP": ("libra", "libras", "penique", "peniques"),
    },
    cents="con",
    name_cents=False,
    magnitudes=_pairs("mil = mil\nmillón = millón de\nmillones = millones de"),
    abbreviations=_pairs(
        """sr = señor
        sra = señora
        srta = señorita
        dr = doctor
        dra = doctora
        d = don
        ud = usted
        uds = ustedes
        etc = etcétera
        p.ej = por ejemplo
        p. ej = por ejemplo
        aprox = aproximadamente
        núm = número
        tel = teléfono
        av = avenida"""
    ),
    codes=_set(
        "código pin número núm pedido cuenta reserva billete vuelo habitación puerta factura"
        " extensión"
    ),
    feminine=_set("hour ton ounce mile pound week"),
)  # fmt: skip

FR = Language(
    "fr", "FR", " ", ",", "virgule", "moins", "à", "par", "numéro", ("un", "une"),
    signs=_pairs(
        """& = et
        + = plus
        = = égale
        @ = arobase
        # = numéro
        % = pour cent
        ~ = environ
        ≈ = environ
        < = inférieur à
        > = supérieur à
        ≤ = au plus
        ≥ = au moins
        × = fois
        ÷ = divisé par
        ± = plus ou moins
        ° = degrés
        § = paragraphe
        ½ = un demi
        ¼ = un quart
        ¾ = trois quarts"""
    ),
    address=_pairs(
        "@ = arobase\n. = point\n/ = barre oblique\n- = tiret\n_ = tiret bas\n+ = plus\n"
        ": = deux points"
    ),
    money={
        "USD": ("dollar", "dollars", "cent", "cents"),
        "EUR": ("euro", "euros", "centime", "centimes"),
        "GBP": ("livre", "livres", "penny", "pence"),
    },
    cents="",
    name_cents=False,
    magnitudes=_pairs(
        "k = mille\nmillion = million de\nmillions = millions de\nmilliard = milliard de\n"
        "milliards = milliards de"
    ),
    abbreviations=_pairs(
        """m = Monsieur
        mm = Messieurs
        mme = Madame
        mlle = Mademoiselle
        dr = docteur
        pr = professeur
        etc = et cetera
        p.ex = par exemple
        p. ex = par exemple
        env = environ
        av = avenue
        bd = boulevard
        tél = téléphone
        n° = numéro"""
    ),
    codes=_set(
        "code pin numéro commande référence compte réservation billet vol chambre porte facture"
        " poste"
    ),
    feminine=_set("hour minute second ton ounce pound week"),
)  # fmt: skip

LANGUAGES: dict[str, Language] = {one.code: one for one in (EN, DE, ES, FR)}

UNITS: dict[str, str] = {
    "km": "length-kilometer", "m": "length-meter", "cm": "length-centimeter",
    "mm": "length-millimeter", "mi": "length-mile", "ft": "length-foot", "yd": "length-yard",
    "kg": "mass-kilogram", "g": "mass-gram", "mg": "mass-milligram", "t": "mass-tonne",
    "lb": "mass-pound", "lbs": "mass-pound", "oz": "mass-ounce",
    "l": "volume-liter", "L": "volume-liter", "ml": "volume-milliliter", "mL": "volume-milliliter",
    "cl": "volume-centiliter", "dl": "volume-deciliter", "gal": "volume-gallon",
    "km/h": "speed-kilometer-per-hour", "kmh": "speed-kilometer-per-hour",
    "kph": "speed-kilometer-per-hour",
    "mph": "speed-mile-per-hour",
    "m/s": "speed-meter-per-second",
    "°C": "temperature-celsius", "℃": "temperature-celsius", "°F": "temperature-fahrenheit",
    "℉": "temperature-fahrenheit", "°": "temperature-generic",
    "h": "duration-hour", "hr": "duration-hour", "hrs": "duration-hour", "min": "duration-minute",
    "mins": "duration-minute", "s": "duration-second", "sec": "duration-second",
    "secs": "duration-second", "ms": "duration-millisecond",
    "kB": "digital-kilobyte", "KB": "digital-kilobyte", "MB": "digital-megabyte",
    "GB": "digital-gigabyte", "TB": "digital-terabyte",
    "W": "power-watt", "kW": "power-kilowatt", "kWh": "energy-kilowatt-hour",
    "V": "electric-volt", "Hz": "frequency-hertz", "kHz": "frequency-kilohertz",
    "MHz": "frequency-megahertz", "GHz": "frequency-gigahertz",
    "m²": "area-square-meter", "m2": "area-square-meter", "km²": "area-square-kilometer",
    "sqm": "area-square-meter", "ha": "area-hectare", "%": "concentr-percent",
    "kcal": "energy-kilocalorie", "px": "graphics-pixel",
}  # fmt: skip
"""Sign of a unit -> babel's name for it."""

CURRENCIES: dict[str, str] = {
    "$": "USD", "US$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW",
    **{code: code for code in _set(
        "USD EUR GBP JPY CHF CAD AUD NZD SEK NOK DKK PLN CZK HUF INR CNY BRL MXN"
    )},
}  # fmt: skip
"""Sign or code of a currency -> its code."""

SPELLED = _set(
    "USA EU AI API ATM FAQ ID IT TV PC CEO CTO CFO UPS URL USB DIY GPS SMS IBAN BIC UFO APR ETA"
    " AM EUR USD UK UN UI UX IP OS QR HR VIP IOU IPA AED UAE SUV EV FBI CIA EKG IRS IQ OCR EOD AOB"
    " ASAP LED"
)
"""Initialisms that have a vowel and are spelled all the same."""
WORDS_IN_CAPITALS = _set("OK PIN SIM NASA NATO MHZ GHZ KHZ HZ AND NOT BUT YES THE ALL")
"""Words that are not spelled although they look it."""
