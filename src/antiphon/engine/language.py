"""What turn-taking has to know of a language: words that acknowledge, that stop, that go on.

The tables are closed classes of words (articles, prepositions, numerals ...) and everyday phrases,
not a vocabulary of anybody's business. All are lower case; `phrase.py` says how they are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, without punctuation."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """Word lists of one language, lower case; compared by identity, for there is one of each.

    Words: `fillers` ("um"), `never_last` do not end a phrase ("the", "because"), `seldom_last` do
    in some questions and answers ("for", "is"), `wants_noun` are adjectives and the like before a
    noun ("large"), `predicates` come before an adjective that ends a phrase ("too large"), `units`
    are attributes after a number ("a two hour"), `question_words` ("who", "than") let a phrase end
    in what else seldom is last.

    Phrases of one to four words: `backchannels` acknowledge ("got it"), `hold` asks for a moment
    ("hold on"), `yes`, `no` and `answers` are whole answers, `openings` want an object ("i'd
    like").

    Dictation: `digits` are words for one digit, `tens` for two, `repeats` says how often the next
    digit counts ("double"); `number_ends` how likely a number of so many digits is whole;
    `letters` are names of letters and signs, `signs` those within an e-mail address, `streets`
    ends of a street's name.

    What the agent asks: `asks_digits`, `asks_code` (a short number), `asks_spelling` are in such a
    question; one that begins with `asks_yes_no` or ends in `tags` ("is that right") wants yes or
    no, one that begins with `asks_politely` ("can you tell me") whatever it asks for.
    """

    backchannels: frozenset[str]
    stop_words: frozenset[str]
    hold: frozenset[str]
    fillers: frozenset[str] = frozenset()
    never_last: frozenset[str] = frozenset()
    seldom_last: frozenset[str] = frozenset()
    wants_noun: frozenset[str] = frozenset()
    predicates: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    question_words: frozenset[str] = frozenset()
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    openings: frozenset[str] = frozenset()
    digits: frozenset[str] = frozenset()
    tens: frozenset[str] = frozenset()
    repeats: Mapping[str, int] = field(default_factory=dict)
    number_ends: Mapping[int, float] = field(default_factory=dict)
    letters: frozenset[str] = frozenset()
    signs: frozenset[str] = frozenset()
    streets: frozenset[str] = frozenset()
    asks_digits: frozenset[str] = frozenset()
    asks_code: frozenset[str] = frozenset()
    asks_spelling: frozenset[str] = frozenset()
    asks_yes_no: frozenset[str] = frozenset()
    asks_politely: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


def language_of(tag: str) -> Language:
    """The lists of a language by its BCP 47 tag; English where there are none."""
    primary = tag.replace("_", "-").partition("-")[0].lower()
    return _LANGUAGES.get(primary, _ENGLISH)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in text.split(","))


# Lengths of telephone numbers in national notation, of PINs, and of payment cards.
_NORTH_AMERICA = {4: 0.42, 5: 0.45, 7: 0.4, 10: 0.9, 11: 0.9, 15: 0.6, 16: 0.95}

_ENGLISH = Language(
    backchannels=_phrases(
        """mm, hm, mhm, hmm, mm-hm, mmhm, uh, huh, uh-huh, ah, oh, aha, yeah, yep, yup, yes, right,
        okay, ok, sure, i see, got it, good, great, wow, really, alright, all right, fine, cool,
        exactly, of course, makes sense, interesting, nice, perfect"""
    ),
    stop_words=_words("stop wait no hold cancel sorry actually"),
    hold=_phrases(
        """hold on, hang on, hold on a second, hang on a second, one moment, one second, one sec,
        one minute, just a moment,
        just a second, just a sec, just a minute, give me a moment, give me a second,
        give me a minute, wait a minute, wait a second, wait a moment, let me check, let me see,
        let me look, let me think, let me get it, let me find it, bear with me, i'm looking"""
    ),
    fillers=_words("um umm uhm uh uhh er erm eh hm hmm mm"),
    never_last=_words(
        """a an the my your his her its our their every
        and or but because cause if unless although though while whereas whether until since as than
        i i'm i'd i'll i've we we're we'd we'll we've he he's he'd she she's she'd they they're
        they'd they'll it's it'd it'll you're you'd you'll there's that's what's who's let's
        whose which very really quite wanna gonna gotta"""
    ),
    seldom_last=_words(
        """of from with without by to at for into onto about between among during through toward
        towards against per via is are was were am be been being do does did can could will would
        shall should might must have has had don't doesn't didn't can't won't some any no what how
        where when why who lots just like"""
    ),
    wants_noun=_words(
        """large small big little medium single double triple half whole full new old young good
        bad best nice dark light hot cold iced warm fresh white black brown red blue green long
        short high low next last first second third other another extra regular
        main front free online public private local national international
        most more several few many much each certain such own early late"""
    ),
    predicates=_words(
        """is are was were be been am it's that's i'm you're they're too very so more quite really
        pretty not how get got feel feels seems looks sounds less"""
    ),
    units=_words(
        """ounce inch foot pound dollar cent minute hour day week month year night person bedroom
        room star door seat piece page mile metre meter kilo gallon liter litre gram way
        course storey story"""
    ),
    question_words=_words(
        "what who whom where which how why when whose than whatever whoever wherever whenever"
    ),
    yes=_phrases(
        """yes, yeah, yep, yup, sure, ok, okay, right, correct, absolutely, definitely, of course,
        that's right, that's correct, yes please, i do, i am, i would, i did, it is, please do"""
    ),
    no=_phrases(
        "no, nope, nah, not really, no thanks, no thank you, not yet, i don't, i'm not, it isn't"
    ),
    answers=_phrases(
        """stop, off, on, go, up, down, left, back, next, cancel, continue, repeat, help, hello, hi,
        bye, goodbye, thanks, thank you, please, done, nothing, never mind, that's all, that's it,
        i don't know, i'm not sure, maybe, today, tomorrow, none, both, either, neither, exactly"""
    ),
    openings=_phrases(
        """i'd like, i would like, i'd like to, i want, i want to, i need, i need to, i'll have,
        i'll take, can i have, can i get, could i have, could i get, may i have, can you, could you,
        would you, do you have, do you know, give me, get me, make me, bring me, send me, tell me,
        show me, i'm looking for, i was wondering, i think, i guess, i mean, you know, is there,
        are there, my name is, my number is, it's about, i'm calling, kind of, sort of, a bit of,
        as well as, such as, in order to, so that, and then, and so"""
    ),
    digits=_words("zero oh one two three four five six seven eight nine nought naught"),
    tens=_words(
        """ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
        thirty forty fifty sixty seventy eighty ninety"""
    ),
    repeats={"double": 2, "triple": 3, "treble": 3},
    number_ends=_NORTH_AMERICA,
    letters=_words(
        """alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike
        november oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu
        double-u zed zee capital"""
    ),
    signs=_words("at dot dash underscore hyphen point slash plus minus"),
    streets=_words(
        "street road avenue lane drive boulevard court square place way close terrace highway"
    ),
    asks_digits=_phrases(
        """phone number, telephone number, mobile number, cell number, number can, card number,
        account number, order number, reference number, booking number, confirmation number,
        customer number, policy number, tracking number, security number, your number,
        the number, digits, date of birth, expiry date, expiration date"""
    ),
    asks_code=_phrases("pin, code, last four, four digits, three digits, six digits"),
    asks_spelling=_phrases(
        """spell, spelling, email, e-mail, email address, mail address, your address, the address,
        street address, home address, delivery address, postal address, your name, full name,
        last name, first name, the name, surname, postcode, license plate, whom am i speaking"""
    ),
    asks_yes_no=_words("is are was were am did does will shall should has had isn't aren't didn't"),
    asks_politely=_words("can could may would do have don't can't"),
    tags=_phrases(
        """is that right, is that correct, is that okay, is that ok, is that all, correct, right,
        okay, ok, yes or no, isn't it, does that work, sound good, sounds good"""
    ),
)

_GERMAN = Language(
    backchannels=_phrases(
        """mm, hm, mhm, hmm, mm-hm, aha, ah, oh, ach so, achso, ja, jo, okay, ok, genau, gut, klar,
        richtig, stimmt, verstehe, alles klar, sicher, super, prima, ach, wirklich, echt, schön"""
    ),
    stop_words=_words("stopp stop halt warte warten moment nein nee abbrechen entschuldigung"),
    hold=_phrases(
        """moment, einen moment, einen augenblick, augenblick, warten sie, warte mal,
        kleinen moment,
        moment mal, sekunde, eine sekunde, eine minute, ich schaue mal, ich schau mal,
        lassen sie mich nachsehen, ich muss nachsehen, bleiben sie dran"""
    ),
    fillers=_words("äh ähm öh öhm hm hmm mm ehm naja also halt"),
    never_last=_words(
        """der die das dem den des ein eine einen einem einer eines mein meine meinen meinem meiner
        dein deine deinen ihr ihre ihren ihrem ihrer sein seine seinen unser unsere unseren kein
        keine keinen keiner dieser diese diesen jeder jede jeden und oder aber denn weil dass ob
        wenn obwohl während sondern sowie als ich wir er man sehr zum zur beim vom ins im am"""
    ),
    seldom_last=_words(
        """mit von zu bei für aus nach in auf an über unter vor hinter neben zwischen ohne gegen
        durch um bis seit wegen ist sind war waren bin habe hat haben hatte wird werden würde kann
        können könnte möchte will soll muss müssen darf was wie wo wann warum wer noch etwas ganz"""
    ),
    wants_noun=_words(
        """große großen großer großes kleine kleinen kleiner kleines neue neuen neuer neues alte
        alten gute guten guter gutes andere anderen anderer anderes nächste nächsten nächster letzte
        letzten erste ersten zweite zweiten halbe halben ganze ganzen viele einige mehr kalte kalten
        heiße heißen"""
    ),
    predicates=_words("ist sind war zu sehr so nicht der die das"),
    question_words=_words("was wer wem wen wo wie wann warum welche welcher welches woher wohin"),
    yes=_phrases(
        "ja, jawohl, genau, richtig, stimmt, gerne, gern, klar, okay, ok, ja bitte, ja gerne"
    ),
    no=_phrases("nein, nee, nö, nein danke, noch nicht, leider nicht"),
    answers=_phrases(
        """stopp, halt, aus, an, weiter, zurück, hilfe, hallo, tschüss, danke, vielen dank, bitte,
        fertig, nichts, das ist alles, das war's, weiß nicht, ich weiß nicht, vielleicht, heute,
        morgen, beides, keins"""
    ),
    openings=_phrases(
        """ich möchte, ich hätte gern, ich hätte gerne, ich brauche, ich will, ich suche, ich nehme,
        kann ich, könnte ich, können sie, könnten sie, haben sie, geben sie mir, gib mir,
        sagen sie mir, ich wollte, ich würde gerne, ich rufe an, mein name ist, ich heiße,
        meine nummer ist, es geht um, ich glaube, gibt es"""
    ),
    digits=_words("null eins zwei zwo drei vier fünf sechs sieben acht neun"),
    tens=_words(
        """zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig
        dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"""
    ),
    repeats={"doppel": 2, "zweimal": 2, "dreimal": 3},
    number_ends={4: 0.42, 5: 0.45, 10: 0.6, 11: 0.75, 12: 0.6, 16: 0.95},
    letters=_words(
        "anton berta cäsar dora emil friedrich ida julius ludwig nordpol otto paula eszett"
    ),
    signs=_words("at ät punkt minus bindestrich unterstrich klammeraffe"),
    streets=_words("straße weg platz allee gasse ring ufer damm"),
    asks_digits=_phrases(
        """telefonnummer, handynummer, rufnummer, kartennummer, kontonummer, kundennummer,
        bestellnummer, auftragsnummer, rechnungsnummer, ihre nummer, die nummer, geburtsdatum,
        ziffern, iban"""
    ),
    asks_code=_phrases("pin, code, postleitzahl, letzten vier, vier ziffern, prüfziffer"),
    asks_spelling=_phrases(
        """buchstabieren, e-mail, email, e-mail-adresse, mailadresse, adresse, anschrift, ihr name,
        ihren namen, der name, den namen, nachname, nachnamen, vorname, vornamen, heißen sie,
        kennzeichen"""
    ),
    asks_yes_no=_words("ist sind war hat möchten wollen soll sollen wäre passt stimmt brauchen"),
    asks_politely=_words("können kann könnten haben darf dürfen würden"),
    tags=_phrases("richtig, korrekt, stimmt das, ist das richtig, in ordnung, ja oder nein, oder"),
)

_SPANISH = Language(
    backchannels=_phrases(
        """mm, mhm, ajá, aja, ah, oh, sí, si, vale, ok, okay, ya, ya veo, claro, bien, muy bien,
        bueno, entiendo, de acuerdo, perfecto, exacto, cierto, en serio"""
    ),
    stop_words=_words("para pare espera espere no cancela cancele alto perdón"),
    hold=_phrases(
        """un momento, un momentito, un segundo, un minuto, espera, espere, espere un momento,
        espera un momento, déjame ver, déjeme ver, déjame pensar, déjeme mirar, a ver"""
    ),
    fillers=_words("eh em este mm hm pues o-sea"),
    never_last=_words(
        """el la los las un una unos unas mi mis tu tus su sus nuestro nuestra cada y e o u pero
        porque si aunque mientras que como cuando donde yo me se le les lo del al muy"""
    ),
    seldom_last=_words(
        """de a en con sin por para sobre entre hasta desde hacia según contra es son era está están
        soy estoy he ha han tengo tiene quiero puedo puede hay más qué cuál quién este esta ese esa
        algún alguna"""
    ),
    wants_noun=_words("gran buen mal primer tercer próximo próxima último última otro otra mucho"),
    predicates=_words("es son era está muy tan más demasiado el la"),
    question_words=_words("qué quién quiénes cuál cuáles dónde cómo cuándo cuánto por"),
    yes=_phrases("sí, si, claro, vale, correcto, exacto, por supuesto, sí por favor, de acuerdo"),
    no=_phrases("no, no gracias, todavía no, para nada"),
    answers=_phrases(
        """para, sigue, siguiente, atrás, ayuda, hola, adiós, gracias, muchas gracias, por favor,
        listo, nada, eso es todo, no sé, no lo sé, quizás, hoy, mañana, ninguno, ambos"""
    ),
    openings=_phrases(
        """quiero, quisiera, me gustaría, necesito, busco, deme, dame, póngame, puede, podría,
        me puede, me da, tiene, tienen, mi nombre es, me llamo, mi número es, es sobre, creo que,
        hay, llamo para, llamo por"""
    ),
    digits=_words("cero uno dos tres cuatro cinco seis siete ocho nueve"),
    tens=_words(
        """diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve veinte
        treinta cuarenta cincuenta sesenta setenta ochenta noventa"""
    ),
    repeats={"doble": 2, "triple": 3},
    number_ends={4: 0.42, 5: 0.45, 9: 0.85, 10: 0.7, 11: 0.6, 16: 0.95},
    letters=_words("hache jota ka ele elle eme ene eñe erre ese efe ge equis zeta uve griega"),
    signs=_words("arroba punto guion guión"),
    streets=_words("calle avenida plaza paseo"),
    asks_digits=_phrases(
        """número de teléfono, teléfono, número de tarjeta, número de cuenta, número de pedido,
        número de cliente, número de referencia, su número, el número, dígitos,
        fecha de nacimiento"""
    ),
    asks_code=_phrases("pin, código, últimos cuatro, cuatro dígitos"),
    asks_spelling=_phrases(
        """deletrear, deletrearlo, deletrea, correo, correo electrónico, email, dirección,
        su nombre, el nombre, apellido, apellidos, se llama, matrícula"""
    ),
    asks_yes_no=_words("es son está están quiere desea le ha hay prefiere"),
    asks_politely=_words("tiene puede podría puedo me"),
    tags=_phrases("correcto, verdad, es correcto, está bien, de acuerdo, sí o no"),
)

_FRENCH = Language(
    backchannels=_phrases(
        """mm, mhm, hm, ah, oh, oui, ouais, d'accord, ok, okay, bien, très bien, je vois, entendu,
        c'est ça, exactement, voilà, bon, ah bon, super, parfait, compris, vraiment"""
    ),
    stop_words=_words("stop arrêtez arrête attends attendez non annulez pardon"),
    hold=_phrases(
        """un instant, un moment, une seconde, une minute, attendez, attends, ne quittez pas,
        laissez-moi regarder, laissez-moi vérifier, je regarde, je vérifie, deux secondes"""
    ),
    fillers=_words("euh heu hum hm mm ben bah"),
    never_last=_words(
        """le la les l un une des du mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs
        ce cet cette ces chaque et ou mais car parce que qu si comme lorsque quand je j j'ai il elle
        on ils elles ne n très aux au c'est d qui dont"""
    ),
    seldom_last=_words(
        """de à en dans avec sans pour par sur sous entre chez vers jusqu contre depuis est sont
        était suis ai a ont avez peux peut voudrais veux quel quelle quels où plus quelques
        y nous vous"""
    ),
    wants_noun=_words(
        """grand grande petit petite gros grosse bon bonne nouveau nouvelle autre autres premier
        première deuxième dernier dernière prochain prochaine même plusieurs beaucoup demi"""
    ),
    predicates=_words("est sont était trop très plus si la le pas"),
    question_words=_words("que quoi qui où comment quand pourquoi combien quel quelle lequel"),
    yes=_phrases("oui, ouais, si, bien sûr, d'accord, exact, c'est ça, oui merci, volontiers"),
    no=_phrases("non, non merci, pas encore, pas du tout"),
    answers=_phrases(
        """stop, suivant, retour, aide, bonjour, allô, au revoir, merci, merci beaucoup,
        s'il vous plaît, rien, c'est tout, je ne sais pas, je sais pas, peut-être, aujourd'hui,
        demain, aucun, les deux"""
    ),
    openings=_phrases(
        """je voudrais, j'aimerais, je veux, j'ai besoin de, je cherche, je prends, je vais prendre,
        est-ce que je peux, est-ce que, pouvez-vous, pourriez-vous, je peux avoir, donnez-moi,
        avez-vous, vous avez, je m'appelle, mon nom est, mon numéro est, c'est pour, je crois que,
        il y a, j'appelle pour"""
    ),
    digits=_words("zéro un deux trois quatre cinq six sept huit neuf"),
    tens=_words(
        """dix onze douze treize quatorze quinze seize vingt trente quarante cinquante soixante
        septante huitante octante nonante"""
    ),
    repeats={"double": 2, "triple": 3},
    number_ends={4: 0.3, 5: 0.45, 10: 0.92, 16: 0.95},
    letters=_words("hache ji ka elle emme enne erre esse ix zède accent cédille"),
    signs=_words("arobase point tiret underscore"),
    streets=_words("rue avenue boulevard place allée chemin"),
    asks_digits=_phrases(
        """numéro de téléphone, téléphone, numéro de carte, numéro de compte, numéro de commande,
        numéro de client, numéro de dossier, votre numéro, le numéro, chiffres, date de naissance"""
    ),
    asks_code=_phrases("code, quatre derniers, quatre chiffres"),
    asks_spelling=_phrases(
        """épeler, épelez, e-mail, email, adresse, mail, courriel, votre nom, le nom, prénom,
        nom de famille, vous appelez-vous, plaque"""
    ),
    asks_yes_no=_phrases("est-ce, voulez-vous, souhaitez-vous, êtes-vous, désirez-vous"),
    asks_politely=_phrases("pouvez-vous, pourriez-vous, avez-vous, puis-je"),
    tags=_phrases("c'est ça, c'est correct, c'est bien ça, d'accord, oui ou non, n'est-ce pas"),
)

_LANGUAGES = {"en": _ENGLISH, "de": _GERMAN, "es": _SPANISH, "fr": _FRENCH}
