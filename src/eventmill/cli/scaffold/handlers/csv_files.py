"""The work behind the states of workflows/count-rows.asl.json."""

import csv
import json
import os
from pathlib import Path
from typing import Any

from eventmill import HandlerContext, HandlerError, handler

RESULTS = Path(__file__).resolve().parent.parent / "results"


@handler
def count_rows(event: dict[str, Any], context: HandlerContext) -> dict[str, Any]:
    """Count the rows below the header of the CSV file at `path`."""
    try:
        with open(event["path"], newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            columns = next(rows, [])
            return {"columns": columns, "rows": sum(1 for _ in rows)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        # The error's name is what Retry and Catch in the workflow can match.
        raise HandlerError("UnreadableFile", str(error)) from error


@handler
def write_summary(event: dict[str, Any], context: HandlerContext) -> dict[str, Any]:
    """Write the summary of a file to results/, and return it.

    A handler runs at least once. Replacing the file as a whole makes a second run harmless.
    """
    summary = {"file": event["name"], **event["counted"]}
    target = RESULTS / f"{event['name']}.json"
    draft = RESULTS / f".{event['name']}.draft"
    RESULTS.mkdir(exist_ok=True)
    draft.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, target)
    return summary
