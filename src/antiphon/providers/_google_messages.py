"""The messages of Google's speech services that are used here, without Google's packages.

Field numbers are those of https://github.com/googleapis/googleapis/tree/master/google/cloud:
speech/v2/cloud_speech.proto and texttospeech/v1/cloud_tts.proto. Fields that are not used are left
out: a reader skips what it does not know. Enums are numbers, which is what they are on the wire.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

LINEAR16, PCM = 1, 7
"""ExplicitDecodingConfig.AudioEncoding; texttospeech.v1.AudioEncoding (no header)."""
IPA = 1

_SPEECH = """
Duration: 1 seconds int64, 2 nanos int32
StreamingRecognizeRequest: 3 recognizer string, 6 streaming_config StreamingRecognitionConfig,
  5 audio bytes
StreamingRecognitionConfig: 1 config RecognitionConfig,
  2 streaming_features StreamingRecognitionFeatures
RecognitionConfig: 8 explicit_decoding_config ExplicitDecodingConfig, 9 model string,
  10 language_codes *string, 2 features RecognitionFeatures, 6 adaptation SpeechAdaptation
ExplicitDecodingConfig: 1 encoding int32, 2 sample_rate_hertz int32, 3 audio_channel_count int32
RecognitionFeatures: 1 profanity_filter bool, 2 enable_word_time_offsets bool,
  3 enable_word_confidence bool, 4 enable_automatic_punctuation bool
StreamingRecognitionFeatures: 2 interim_results bool
SpeechAdaptation: 1 phrase_sets *AdaptationPhraseSet
AdaptationPhraseSet: 2 inline_phrase_set PhraseSet
PhraseSet: 3 phrases *Phrase, 4 boost float
Phrase: 1 value string
StreamingRecognizeResponse: 6 results *StreamingRecognitionResult
StreamingRecognitionResult: 1 alternatives *SpeechRecognitionAlternative, 2 is_final bool,
  3 stability float, 4 result_end_offset Duration, 6 language_code string
SpeechRecognitionAlternative: 1 transcript string, 2 confidence float, 3 words *WordInfo
WordInfo: 1 start_offset Duration, 2 end_offset Duration, 3 word string, 4 confidence float
"""
_VOICES = """
StreamingSynthesizeRequest: 1 streaming_config StreamingSynthesizeConfig,
  2 input StreamingSynthesisInput
StreamingSynthesizeConfig: 1 voice VoiceSelectionParams,
  4 streaming_audio_config StreamingAudioConfig, 5 custom_pronunciations CustomPronunciations
VoiceSelectionParams: 1 language_code string, 2 name string, 5 voice_clone VoiceCloneParams,
  6 model_name string
VoiceCloneParams: 1 voice_cloning_key string
StreamingAudioConfig: 1 audio_encoding int32, 2 sample_rate_hertz int32, 3 speaking_rate double
CustomPronunciations: 1 pronunciations *CustomPronunciationParams
CustomPronunciationParams: 1 phrase string, 2 phonetic_encoding int32, 3 pronunciation string
StreamingSynthesisInput: 1 text string, 6 prompt string
StreamingSynthesizeResponse: 1 audio_content bytes
"""
_KIND = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _KIND.TYPE_STRING,
    "bytes": _KIND.TYPE_BYTES,
    "bool": _KIND.TYPE_BOOL,
    "int32": _KIND.TYPE_INT32,
    "int64": _KIND.TYPE_INT64,
    "float": _KIND.TYPE_FLOAT,
    "double": _KIND.TYPE_DOUBLE,
}


def _classes(package: str, text: str) -> dict[str, Any]:
    """Message classes of a description, by name. `*` marks a repeated field."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for line in text.replace("\n  ", " ").strip().splitlines():
        name, _, fields = line.partition(": ")
        message = file.message_type.add(name=name)
        for field in fields.split(","):
            number, key, kind = field.split()
            plain = kind.removeprefix("*")
            label = _KIND.LABEL_OPTIONAL if kind == plain else _KIND.LABEL_REPEATED
            added = message.field.add(name=key, number=int(number), label=label)
            if plain in _SCALARS:
                added.type = _SCALARS[plain]
            else:
                added.type, added.type_name = _KIND.TYPE_MESSAGE, f".{package}.{plain}"
    # A pool of its own: Google's packages may register the same names in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{package}.{message.name}")
        )
        for message in file.message_type
    }


speech: dict[str, Any] = _classes("antiphon.google.speech", _SPEECH)
voices: dict[str, Any] = _classes("antiphon.google.texttospeech", _VOICES)
