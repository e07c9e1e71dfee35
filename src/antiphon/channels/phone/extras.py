"""What some telephone companies need besides `Vendor`; ask with `isinstance`.

A `Dialect` may besides have `most_ms` and `least_ms`: how much sound a message may carry at most
(Vonage: 20 ms and no more), and should carry at least, but at the end of a run (Exotel: 100 ms).
A `Vendor` may have `token_chars`: how long a token may be that its streams bring back.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from antiphon.channels.phone.vendor import Document, Webhook


@runtime_checkable
class AdmitsBySecret(Protocol):
    """A company whose streams may come without a token, admitted by a secret in their handshake.
    Who calls whom is then said by `Started`."""

    admits_by_secret: ClassVar[bool]

    def admits(self, request: Webhook) -> bool:
        """Whether this handshake carries the secret."""
        ...


@runtime_checkable
class Orders(Protocol):
    """A company that fetches the document of a call that we make from the voice webhook."""

    def ordered(self, request: Webhook) -> Document | None:
        """The answer to a voice webhook that belongs to an order of ours; None: somebody calls."""
        ...


@runtime_checkable
class Meanwhile(Protocol):
    """A company that asks `TransferOrder.result_url` before a transfer has come to anything."""

    def meanwhile(self, request: Webhook) -> Document | None:
        """What to answer while it is under way; None: this is the result. Asked first."""
        ...

    def answered(self, request: Webhook) -> bool:
        """Whether a request, to `result_url` or `answered_url`, says that the person is there."""
        ...
