"""English phrases that every flow understands, whatever its intents.

They serve twice: to understand, and as sample sentences for the recogniser's language model. All
are in the recogniser's spelling: lower case, no punctuation, numbers as words.
"""

from __future__ import annotations

YES = (
    "yes", "yeah", "yep", "yup", "yes please", "yeah please", "yes thanks", "yes thank you",
    "yes it is", "yes that is right", "yes that's right", "yeah that's right",
    "yes that's correct", "that's right", "that is right", "that's correct", "that is correct",
    "that's it", "that's fine", "that's good", "that's great", "that's perfect", "correct",
    "right", "exactly", "sure", "of course", "okay", "ok", "perfect", "great", "fine", "good",
    "sounds good", "sounds great", "that sounds good", "looks good", "all good", "go ahead",
    "please do", "do it", "yes do it", "yes go ahead", "you got it", "absolutely", "definitely",
    "certainly", "indeed", "yes sir", "yes ma'am", "uh huh", "mm hmm", "place the order",
    "yes place the order", "confirm", "confirmed", "i do", "yes i do", "yes of course",
    "yes that's it", "yes perfect", "yes correct", "yes right", "okay great", "okay thanks",
    "okay thank you", "okay good", "all right", "alright", "very good", "that's all",
    "that is all", "that will be all", "that'll be all", "yes that's all", "it is",
    "yes it's right", "book it", "yes book it", "please", "yes sure", "sure thing",
)  # fmt: skip
NO = (
    "no", "nope", "nah", "no no", "no thanks", "no thank you", "no it isn't", "no it's not",
    "no that's wrong", "no that is wrong", "that's wrong", "that is wrong", "that's not right",
    "that is not right", "that's not it", "no that's not right", "not right", "wrong",
    "incorrect", "not quite", "not really", "no that's not what i said",
    "that's not what i said", "negative", "not yet", "don't", "no don't", "i don't think so",
    "that's incorrect", "that's not correct", "i don't want that", "no way", "not at all",
    "no wait", "i want to change something", "change something", "change it",
    "i'd like to change something", "change my order",
)  # fmt: skip
NOTHING_MORE = (
    "no thanks", "no thank you", "that's all", "that is all", "that will be all",
    "that'll be all", "nothing else", "no that's all", "no that's it", "nothing", "that's it",
    "no nothing else", "i'm good", "no i'm good", "i'm fine", "that's everything",
    "no that's everything", "all set", "i'm done", "no that will be all", "that's all thanks",
    "that's all thank you", "no that's all thank you", "no that's all thanks",
)  # fmt: skip
REPEAT = (
    "what", "what was that", "sorry", "sorry what", "pardon", "pardon me", "excuse me", "huh",
    "say that again", "say it again", "can you say that again", "could you say that again",
    "please say that again", "repeat", "repeat that", "please repeat", "please repeat that",
    "can you repeat that", "could you repeat that", "can you repeat that please",
    "could you repeat that please", "again", "again please", "once more", "one more time",
    "come again", "what did you say", "sorry what did you say", "i didn't hear you",
    "i didn't hear that", "i did not hear that", "i didn't catch that",
    "sorry i didn't catch that", "i couldn't hear you", "i can't hear you",
    "what was the number", "what's my number", "what is my order", "what's my order",
    "what was my order", "read it back", "read that back",
)  # fmt: skip
CANCEL = (
    "cancel", "cancel that", "cancel it", "cancel the order", "cancel my order",
    "cancel everything", "please cancel", "please cancel that", "please cancel my order",
    "never mind", "nevermind", "forget it", "forget about it", "forget that", "stop", "quit",
    "i changed my mind", "i've changed my mind", "i don't want anything", "i don't want it",
    "i don't want it anymore", "actually never mind", "actually cancel that", "no cancel that",
    "no cancel it", "no never mind", "no forget it", "i want to cancel", "i'd like to cancel",
    "abort", "cancel the appointment", "i don't want anything anymore",
)  # fmt: skip
START_OVER = (
    "start over", "start again", "let's start over", "let's start again", "restart", "reset",
    "begin again", "from the beginning", "from the start", "can we start over",
    "can i start over", "i want to start over", "let me start over", "no start over",
    "scratch that", "start from scratch",
)  # fmt: skip
HELP = (
    "help", "help me", "help please", "please help", "i need help", "can you help me",
    "what can i say", "what can you do", "what can i do", "what do you have",
    "what have you got", "what are my options", "what are the options", "what can i order",
    "what can i have", "what is there", "i don't know", "i don't know what to say",
    "how does this work", "options", "what do you mean", "what drinks do you have",
    "what do you offer", "menu", "the menu please", "what's on the menu", "what is on the menu",
)  # fmt: skip
THANKS = (
    "thanks", "thank you", "thank you very much", "thanks a lot", "thank you so much", "cheers",
    "many thanks", "great thanks", "great thank you", "perfect thank you", "okay thank you",
    "okay thanks", "thank you bye", "thanks bye", "thank you goodbye",
)  # fmt: skip
GOODBYE = (
    "bye", "goodbye", "good bye", "bye bye", "see you", "see you later", "have a nice day",
    "have a good day", "good night", "that's all bye", "okay bye", "thank you bye",
    "thanks bye", "thank you goodbye", "talk to you later",
)  # fmt: skip
HELLO = (
    "hello", "hi", "hey", "hello there", "hi there", "good morning", "good afternoon",
    "good evening", "is anybody there", "are you there", "hello are you there",
    "can you hear me",
)  # fmt: skip
WAIT = (
    "wait", "wait a second", "wait a moment", "wait a minute", "hold on", "one moment",
    "one second", "just a moment", "just a second", "just a minute", "hang on", "let me think",
    "give me a second", "um", "uh", "hmm",
)  # fmt: skip

COMMANDS: dict[str, tuple[str, ...]] = {
    "start_over": START_OVER,
    "cancel": CANCEL,
    "repeat": REPEAT,
    "help": HELP,
    "goodbye": GOODBYE,
    "thanks": THANKS,
    "hello": HELLO,
    "wait": WAIT,
}
"""What can be said at any time, the more consequential first."""

AMOUNTS = (
    "a little bit of", "a tiny bit of", "just a little bit of", "just a bit of", "a little",
    "a bit of", "a lot of", "lots of", "loads of", "plenty of", "some", "extra", "a splash of",
    "a dash of", "a drop of", "a touch of", "a pinch of", "a spoon of", "one spoon of",
    "two spoons of", "three spoons of", "a teaspoon of", "two teaspoons of", "double", "half",
    "light", "less", "more", "a bit more", "a little more", "a little less", "just a little",
    "just a splash of", "a ton of", "a whole lot of", "a couple of", "one", "two", "three",
)  # fmt: skip
COMMON_AMOUNTS = (
    "a little bit of", "a bit of", "a lot of", "lots of", "some", "extra", "a little",
    "a splash of",
)  # fmt: skip
WITHOUT = (
    "without any", "without", "no more", "hold the", "skip the", "leave out the", "leave out",
    "leave off the", "remove the", "take out the", "take off the", "drop the", "not any",
    "minus the", "don't want any", "don't want the", "don't want", "do not want any",
    "do not want", "don't put any", "don't add any", "forget the",
)  # fmt: skip
NOT = ("not", "no", "instead of", "rather than", "not a", "not an", "no a", "instead of a", "isn't")

# Openings of a correction; they are filler for understanding, and phrases for the recogniser.
CORRECTIONS = (
    "no {}", "no {} please", "no a {}", "no a {} please", "no i said {}", "i said {}",
    "i said a {}", "actually {}", "actually a {}", "actually make it {}",
    "actually make that a {}", "make it {}", "make it a {}", "make that {}", "make that a {}",
    "no make it {}", "no make it a {}", "can you make it {}", "can you make it a {}",
    "could you make it {}", "can you make that {}", "change it to {}", "change that to {}",
    "change it to a {}", "please make it {}", "i meant {}", "i want {}", "i want a {}",
    "i wanted {}", "i'd rather have {}", "i'd rather have a {}", "{} instead", "a {} instead",
    "{} not {}", "not {} {}", "no not {} {}", "it should be {}", "it's {}", "sorry {}",
    "sorry i meant {}", "wait make it {}", "yes but {}", "yes but make it {}", "yes but a {}",
    "no i want {}", "no i want a {}", "no i wanted {}", "rather {}", "or rather {}",
)  # fmt: skip
ADDITIONS = (
    "with {}", "and {}", "add {}", "also {}", "and add {}", "with {} please", "can you add {}",
    "could you add {}", "please add {}", "yes with {}", "yes and {}", "and with {}",
    "yes but with {}", "no with {}", "i'd like {}", "can i have {}", "can i get {}",
    "add {} please", "put {} in it", "can i also have {}", "actually with {}",
    "make it with {}",
)  # fmt: skip
REMOVALS = (
    "without {}", "no {}", "no {} please", "without {} please", "hold the {}", "skip the {}",
    "leave out the {}", "remove the {}", "take out the {}", "i don't want {}",
    "i don't want any {}", "yes but without {}", "yes but no {}", "no without {}",
    "actually no {}", "make it without {}", "and no {}",
)  # fmt: skip
ANSWERS = (
    "{}", "{} please", "a {}", "a {} please", "the {}", "um {}", "uh {}",
    "i'd like {}", "i'd like a {}", "i'll have a {}", "i'll take a {}", "i want {}",
    "i want a {}", "{} thanks", "just {}", "just a {}", "make it {}", "let me have a {}",
    "can i have a {}", "can i get a {}", "maybe {}", "i think {}", "{} will do", "{} is fine",
    "{} would be great", "{} would be good",
)  # fmt: skip
BARE_ANSWERS = ("{}", "{}", "{}", "{} please", "a {}", "a {} please", "um {}", "the {}")
"""The usual ones. Longer phrases are rare: most that begin like them go on to a whole request."""
COMMON_YES = ("yes", "yes", "yes", "yes please", "yeah", "yep", "that's right", "correct")
COMMON_NO = ("no", "no", "no", "no thanks", "no thank you", "nope")
FILLERS = frozenset(
    (
        "a", "an", "the", "um", "uh", "hmm", "er", "please", "thanks", "thank", "you", "just",
        "maybe", "i", "think", "like", "to", "of", "for", "me", "with", "and", "it", "is", "be",
        "would", "will", "do", "fine", "good", "great", "in", "on", "at", "that's", "this", "that",
        "my", "so", "well", "oh", "okay",
    )
)  # fmt: skip
"""Words that carry nothing once the values around them are understood."""
