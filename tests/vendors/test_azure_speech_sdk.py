"""Microsoft's own library against the fake that our Azure adapters are tested with.

It is native and works in threads of its own, so that it is used from one, with deadlines. Its
voices speak USP only: the fake's REST is from Microsoft's pages.
"""

from __future__ import annotations

import asyncio
import queue
from typing import Any

import azure.cognitiveservices.speech as speechsdk
from tests.fakes.azure_speech import AzureSpeech
from tests.support.stt_talk import until

WAIT_S = 10


def config(fake: AzureSpeech) -> Any:
    made = speechsdk.SpeechConfig(host=fake.ws_url, subscription="k-1")
    made.speech_recognition_language = "en-US"
    made.request_word_level_timestamps()
    made.set_speech_synthesis_output_format(
        speechsdk.SpeechSynthesisOutputFormat.Raw24Khz16BitMonoPcm
    )
    return made


def recognise(fake: AzureSpeech) -> tuple[list[str], list[Any]]:
    """Texts while somebody speaks, and results."""
    source = speechsdk.audio.PushAudioInputStream()
    recogniser = speechsdk.SpeechRecognizer(
        config(fake), speechsdk.audio.AudioConfig(stream=source)
    )
    speechsdk.PhraseListGrammar.from_recognizer(recogniser).addPhrase("Antiphon")
    partials: list[str] = []
    results: queue.Queue[Any] = queue.Queue()
    recogniser.recognizing.connect(lambda event: partials.append(event.result.text))
    recogniser.recognized.connect(lambda event: results.put(event.result))
    recogniser.session_stopped.connect(lambda event: results.put(None))
    recogniser.start_continuous_recognition_async().get()
    for _ in range(10):
        source.write(bytes(3200))
    source.close()
    found = []
    while (result := results.get(timeout=WAIT_S)) is not None:
        found.append(result)
    recogniser.stop_continuous_recognition_async().get()
    return partials, found


async def test_recognition() -> None:
    async with AzureSpeech("Yes please") as fake:
        partials, results = await asyncio.to_thread(recognise, fake)
        assert partials == ["yes", "yes please"]
        assert results[0].reason == speechsdk.ResultReason.RecognizedSpeech
        assert results[0].text == "Yes please"
        assert '"Word": "please"' in results[0].json or '"Word":"please"' in results[0].json
        assert fake.heard_ms == [1000]
        assert fake.contexts[0]["dgi"]["Groups"][0]["Items"] == [{"Text": "Antiphon"}]


async def test_voices() -> None:
    document = (
        '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">'
        '<voice name="en-US-JennyNeural">Hello.</voice></speak>'
    )

    words: list[tuple[str, int]] = []

    def say(fake: AzureSpeech) -> tuple[Any, Any]:
        voice = speechsdk.SpeechSynthesizer(config(fake), audio_config=None)
        voice.synthesis_word_boundary.connect(
            lambda event: words.append((event.text, event.audio_offset // 10_000))
        )
        return voice, voice.speak_ssml_async(document).get()

    async with AzureSpeech() as fake:
        async with asyncio.timeout(WAIT_S):
            voice, result = await asyncio.to_thread(say, fake)
        assert result.reason == speechsdk.ResultReason.SynthesizingAudioCompleted
        assert len(result.audio_data) == 6 * 2400
        assert fake.documents == [document]
        await until(lambda: words)
        assert words[0] == ("Hello", 0)
        del voice  # which tells them in a thread of its own
