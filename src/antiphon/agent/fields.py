"""Pydantic pieces that the agent's file is made of.

A section whose values live in a frozen dataclass of another room (`turn:`, `phrases:`) is written
there once: `FromDataclass` makes the model from the dataclass's fields and their metadata.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic import create_model as _create_model
from pydantic_core import CoreSchema, core_schema


class Group(BaseModel):
    """Base of the sections. Strict: a number in quotes is not a number, `5` is not a text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _one_is_a_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


StrictText = Annotated[str, Field(strict=True)]
Texts = Annotated[tuple[StrictText, ...], BeforeValidator(_one_is_a_list)]
"""A list of texts; a single one may be written without the list."""


class FromDataclass:
    """Annotation that validates a mapping into the annotated dataclass.

    A field's metadata gives its documentation (`doc`) and range (`min`, `max`). What the
    dataclass's `__post_init__` refuses with ValueError is an error of the whole section.
    """

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def build(model: BaseModel) -> Any:
            return source(**{name: getattr(model, name) for name in type(model).model_fields})

        return core_schema.no_info_after_validator_function(
            build,
            handler(dataclass_model(source)),
            serialization=core_schema.plain_serializer_function_ser_schema(dataclasses.asdict),
        )


def dataclass_model(cls: type[Any]) -> type[BaseModel]:
    """A model with the fields, defaults, ranges and documentation of a dataclass."""
    hints = get_type_hints(cls)
    made = {one.name: _field(one, hints[one.name]) for one in dataclasses.fields(cls)}
    model: type[BaseModel] = _create_model(cls.__name__, __base__=Group, **made)  # type: ignore[call-overload]
    model.__doc__ = cls.__doc__
    return model


def _field(field: dataclasses.Field[Any], kind: Any) -> tuple[Any, Any]:
    about = field.metadata
    described: dict[str, Any] = {"description": about.get("doc")}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        nested = Annotated[kind, FromDataclass()]
        return nested, Field(default_factory=kind, **described)
    if get_origin(kind) is tuple and get_args(kind) == (str, ...):
        return Texts, Field(default=field.default, **described)
    if (choices := about.get("choices")) is not None:
        return Literal[choices], Field(default=field.default, **described)
    described |= {"strict": True, "ge": about.get("min"), "le": about.get("max")}
    return kind, Field(
        default=field.default, **{k: v for k, v in described.items() if v is not None}
    )
