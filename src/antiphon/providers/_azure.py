"""What Azure's recogniser and voices share: where they are, and the key.

https://learn.microsoft.com/azure/ai-services/speech-service/regions
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from antiphon.errors import UserFacingError
from antiphon.providers.secret import Secret, vendor_key

KEY_VARIABLE, REGION_VARIABLE = "AZURE_SPEECH_KEY", "AZURE_SPEECH_REGION"
KEY_HEADER = "Ocp-Apim-Subscription-Key"


def endpoint(service: str, base_url: str | None, region: str | None) -> str:
    """The address of `stt`, `tts` or `voice` (https), without a slash at the end; empty when
    neither an address nor a region is known."""
    if base_url is not None:
        return base_url.rstrip("/")
    region = region or os.environ.get(REGION_VARIABLE, "").strip()
    return f"https://{region}.{service}.speech.microsoft.com" if region else ""


def headers(provider: str, url: str, given: Secret | None) -> dict[str, str]:
    """What says who asks. The environment's key is sent to Microsoft's own hosts only.

    Raises:
        UserFacingError: no key, or no region.
    """
    if not url:
        raise UserFacingError(
            f"{provider} needs to know where your Speech resource is: write `region:` (westeurope, "
            f"eastus, ...) beside the provider, or set {REGION_VARIABLE}"
        )
    host = urlsplit(url).hostname or ""
    own = url if host.endswith(".speech.microsoft.com") else "https://speech.microsoft.com"
    key = vendor_key(given, KEY_VARIABLE, provider, url=url, vendor_url=own)
    return {KEY_HEADER: key.value} if key else {}
