"""An example of whatever a JSON Schema of ours describes, made of the examples that the types themselves give."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


class NoExample(LookupError):
    """A schema cannot be shown by example: a free text or number, or a free map, whose type must give one itself."""


def example(schema: Schema, components: Mapping[str, Schema]) -> Any:
    """A value that the schema takes; of an object every member that it names. Raises `NoExample`."""
    if schema.get("default") is not None:
        return schema["default"]
    while "$ref" in schema:
        schema = components[str(schema["$ref"]).rpartition("/")[2]]
    for given in ("examples", "enum", "anyOf"):
        if given in schema:
            first = schema[given][0]
            return example(first, components) if given == "anyOf" else first
    return _of_type(schema, components)


def _of_type(schema: Schema, components: Mapping[str, Schema]) -> Any:
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {name: example(member, components) for name, member in schema["properties"].items()}
        case "array":
            return [example(schema["items"], components)]
        case "boolean":
            return True
        case "integer" if "minimum" in schema:
            return schema["minimum"]
        case "string" if schema.get("format") == "uuid":
            return "019a0f2e-7c4b-7d10-9f3a-5b2c1d4e6f70"
        case "string" if schema.get("format") == "date-time":
            return "2026-01-02T03:04:05Z"
    raise NoExample(f"no example of {dict(schema)}: give its type one")
