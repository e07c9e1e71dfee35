"""TwiML, the documents by which Twilio and its like are told what to do with a call.

https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from antiphon.channels.phone.vendor import Document, Stream, TransferOrder


def say(text: str) -> str:
    """A sentence; nothing for none."""
    return f"<Say>{escape(text)}</Say>" if text else ""


def whisper(message: str, accept_url: str) -> Document:
    """Tell a person who is there, and ask for a key."""
    return document(
        f'<Gather numDigits="1" timeout="10" method="POST" action={quoteattr(accept_url)}>'
        f"{say(message)}{say('Press any key to take the call.')}</Gather><Hangup/>"
    )


def document(inner: str) -> Document:
    """A whole document of verbs."""
    return Document(f'<?xml version="1.0" encoding="UTF-8"?><Response>{inner}</Response>')


def answer(stream: Stream) -> str:
    """Connect the call to our stream."""
    told = (
        f' statusCallback={quoteattr(stream.status_url)} statusCallbackMethod="POST"'
        if stream.status_url
        else ""
    )
    given = {"token": stream.token, **stream.parameters}
    parameters = "".join(
        f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>"
        for name, value in given.items()
    )
    return document(
        f"<Connect><Stream url={quoteattr(stream.url)}{told}>{parameters}</Stream></Connect>"
    ).body


def dial(order: TransferOrder) -> str:
    """Ring a person."""
    noun = "Sip" if order.to.startswith(("sip:", "sips:")) else "Number"
    whisper = f' method="POST" url={quoteattr(order.whisper_url)}' if order.whisper_url else ""
    told = (
        f" statusCallback={quoteattr(order.answered_url)}"
        ' statusCallbackMethod="POST" statusCallbackEvent="answered"'
        if order.answered_url
        else ""
    )
    caller = f" callerId={quoteattr(order.sender)}" if order.sender else ""
    return document(
        f'<Dial timeout="{order.ring_s}" method="POST"'
        f" action={quoteattr(order.result_url)}{caller}>"
        f"<{noun}{whisper}{told}>{escape(order.to)}</{noun}></Dial>"
    ).body
