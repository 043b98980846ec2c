"""Avro messages: schemas, and values as JSON.

Bytes become base64, times ISO 8601, decimals texts; NaN and infinities, which JSON does not have,
become null.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, Final, cast

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import SchemaParseException

from eventmill.errors import SensorError
from eventmill.model import Json, decode_json, encode_json
from eventmill.record import record

# What reading bytes at random by a schema raises: too short, a length or an index that is wrong,
# text that is not UTF-8, a time before or after all that Python can express, a value of no use.
_WRONG: Final = (
    *(EOFError, LookupError, TypeError, ValueError),
    *(ArithmeticError, RecursionError, MemoryError),
)


class InvalidSchema(ValueError):
    """A text is no Avro schema."""


class UnreadableValue(ValueError):
    """Bytes are not what the schema says."""


@record
class AvroSchema:
    """A schema that is ready for use."""

    parsed: Any

    @staticmethod
    def parse(schema: Any, named: dict[str, Any] | None = None) -> "AvroSchema":
        """Parse a schema; the types that it defines are added to `named`, which it may use.

        Raises:
            InvalidSchema: It is none.
        """
        named = {} if named is None else named
        try:
            return AvroSchema(parsed=parse_schema(schema, named_schemas=named))
        except (SchemaParseException, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidSchema(f"{type(error).__name__}: {error}") from None

    @staticmethod
    def load(name: str, project: Path) -> "AvroSchema":
        """The schema in the file `name` of the project's folder `schemas/`.

        Raises:
            SensorError: It cannot be read, or is no schema.
        """
        path = project / "schemas" / name
        try:
            return AvroSchema.parse(json.loads(path.read_bytes()))
        except OSError as error:
            raise SensorError(f"the schema {path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise SensorError(f"{path} is no Avro schema: {error}") from error

    def read(self, body: bytes, reader: "AvroSchema | None" = None) -> Json:
        """The value that was written by this schema, seen through the schema of a reader.

        Raises:
            UnreadableValue: There is none, or there is more than one.
        """
        stream = BytesIO(body)
        try:
            value = schemaless_reader(
                stream, self.parsed, None if reader is None else reader.parsed
            )
            left = len(body) - stream.tell()
            # Through its JSON, so that times, decimals and bytes have one form.
            plain = decode_json(encode_json(cast(Json, value)))
        except _WRONG as error:
            raise UnreadableValue(
                f"it does not fit its Avro schema: {type(error).__name__}: {error}"
            ) from None
        if left:
            raise UnreadableValue(f"{left} bytes are left behind the value of its Avro schema")
        return plain
