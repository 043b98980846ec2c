"""The text that an ItemReader would have read, as items."""

import csv
import io

from eventmill.errors import ValidationException
from eventmill.machine.map_run import Reading
from eventmill.model import Json, decode_json, pointer_steps


def read_items(text: str, reading: Reading) -> list[Json]:
    """The items in `text`, which is what the object of the ItemReader holds.

    Raises:
        ValidationException: It does not hold what the ItemReader says.
    """
    match reading.input_type:
        case "CSV":
            items = _csv(text, reading)
        case "JSONL":
            items = [_json(line) for line in text.splitlines() if line.strip()]
        case _:
            items = _array(_json(text), reading.items_pointer)
    return items[: reading.max_items] if reading.max_items else items


def _csv(text: str, reading: Reading) -> list[Json]:
    rows = csv.reader(io.StringIO(text), delimiter=reading.csv_delimiter)
    headers = reading.csv_headers or next(rows, [])
    return [dict(zip(headers, row, strict=False)) for row in rows if row]


def _array(value: Json, pointer: str | None) -> list[Json]:
    for name in pointer_steps(pointer or ""):
        if not isinstance(value, dict) or name not in value:
            raise ValidationException(
                f"mapItemReaderData has nothing at the ItemsPointer {pointer}"
            )
        value = value[name]
    if not isinstance(value, list):
        raise ValidationException("mapItemReaderData must hold a JSON array of items")
    return value


def _json(text: str) -> Json:
    try:
        return decode_json(text)
    except ValueError as error:
        raise ValidationException(f"mapItemReaderData is not valid JSON: {error}") from None
