"""The body of a request."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

BODY_TIMEOUT_S = 10.0


async def read_body(request: Request) -> bytes:
    """The body, within the time that even a slow telephone needs for it.

    Raises:
        HTTPException: it did not come.
    """
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.body()
    except TimeoutError:
        raise HTTPException(408, "The request took too long to arrive.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The request was not sent to its end.") from None
