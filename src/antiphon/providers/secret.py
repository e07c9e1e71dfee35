"""A secret in a provider's options: written `${VARIABLE}`, taken from the environment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from antiphon.errors import UserFacingError

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A key or password. `variable` is the environment variable that it came from."""

    value: str = field(repr=False)
    variable: str = ""

    def __str__(self) -> str:
        return f"${{{self.variable}}}" if self.variable else "(secret)"

    @classmethod
    def from_env(cls, variable: str) -> Secret | None:
        """The secret in an environment variable, None when it is unset or empty."""
        value = os.environ.get(variable, "").strip()
        return cls(value, variable) if value else None

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "password", "writeOnly": True}

    @classmethod
    def _validate(cls, value: Any) -> Secret:
        if isinstance(value, Secret):
            return value
        reference = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if reference is None:
            # The message must not repeat the value: it may be the secret itself.
            raise PydanticCustomError(
                "secret_in_file",
                "a secret does not belong in the file; write ${VARIABLE} and set that variable",
            )
        found = cls.from_env(reference[1])
        if found is None:
            raise PydanticCustomError(
                "secret_unset",
                "the environment variable {variable} is not set",
                {"variable": reference[1]},
            )
        return found


def vendor_key(
    given: Secret | None, variable: str, provider: str, *, url: str, vendor_url: str
) -> Secret | None:
    """The key to send to a vendor: the one in the file, else the environment's. The environment's
    is never sent to a host that is not the vendor's; there none may be needed.

    Args:
        given: `api_key` of the options.
        variable: where the vendor's users keep their key, such as `DEEPGRAM_API_KEY`.
        url: what is talked to.
        vendor_url: what would be talked to if the file named nothing.

    Raises:
        UserFacingError: there is none, and the vendor wants one.
    """
    if given is not None:
        return given
    if urlsplit(url).hostname != urlsplit(vendor_url).hostname:
        return None
    found = Secret.from_env(variable)
    if found is None:
        raise UserFacingError(
            f"{provider} needs a key: set the environment variable {variable}, "
            "or write api_key: ${YOUR_VARIABLE} beside the provider"
        )
    return found
