"""JSON Schema as Gemini takes it: the subset of OpenAPI's that its `Schema` describes. Pure.

https://ai.google.dev/api/caching#Schema. Any other key, such as `$schema` or
`additionalProperties`, makes it refuse the whole request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEPT = frozenset(
    {
        *("description", "title", "format", "nullable", "default", "pattern", "required"),
        *("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"),
        *("minimum", "maximum"),
    }
)
_FORMATS = frozenset({"date-time", "enum", "float", "double", "int32", "int64"})
_DEEPEST = 16


def to_gemini(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with references resolved and everything that Gemini does not know left out or said
    by what it knows. A schema that refers to itself ends after 16 levels in any object."""
    return _clean(schema, schema, 0)


def _clean(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return {"type": "object"} if depth > _DEEPEST else {}
    schema = _resolved(schema, root)
    out = {key: value for key, value in schema.items() if key in _KEPT}
    if out.get("format") not in _FORMATS:
        out.pop("format", None)
    _types(schema.get("type"), out)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list):
        # It knows enumerations of strings only.
        out |= {"type": "string", "enum": [str(one) for one in values if one is not None]}
        if None in values:
            out["nullable"] = True
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        inner = {str(name): _clean(one, root, depth + 1) for name, one in properties.items()}
        out |= {"type": "object", "properties": inner}
        out["required"] = [one for one in out.get("required", ()) if one in inner]
    if not out.get("required"):
        out.pop("required", None)
    if out.get("type") == "array" or "items" in schema:
        items = _clean(schema.get("items", {}), root, depth + 1)
        out |= {"type": "array", "items": items or {"type": "string"}}
    _alternatives(schema, root, depth, out)
    return out


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with its `$ref` and `allOf` put into it."""
    for _ in range(_DEEPEST):
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        target: Any = root
        for step in reference[2:].split("/"):
            target = target.get(step, {}) if isinstance(target, Mapping) else {}
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**(target if isinstance(target, Mapping) else {}), **rest}
    for part in schema.get("allOf") or ():
        if isinstance(part, Mapping):
            part = _resolved(part, root)
            both = {**schema.get("properties", {}), **part.get("properties", {})}
            required = [*schema.get("required", ()), *part.get("required", ())]
            schema = {**part, **schema, **({"properties": both} if both else {})}
            schema = {**schema, **({"required": required} if required else {})}
    return schema


def _types(kind: Any, out: dict[str, Any]) -> None:
    """A list of types is one type, perhaps nullable, or alternatives."""
    kinds = [kind] if isinstance(kind, str) else list(kind or ())
    if "null" in kinds:
        out["nullable"] = True
        kinds.remove("null")
    if len(kinds) == 1:
        out["type"] = kinds[0]
    elif kinds:
        out["anyOf"] = [{"type": one} for one in kinds]


def _alternatives(
    schema: Mapping[str, Any], root: Mapping[str, Any], depth: int, out: dict[str, Any]
) -> None:
    given = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(given, list):
        return
    rest = [one for one in given if one != {"type": "null"}]
    if len(rest) < len(given):
        out["nullable"] = True
    cleaned = [_clean(one, root, depth + 1) for one in rest]
    if len(cleaned) == 1:
        out |= {key: one for key, one in cleaned[0].items() if key not in out}
    elif cleaned:
        out["anyOf"] = cleaned
