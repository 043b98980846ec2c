"""What a trigger does about an event while an execution that it started before still runs."""

from typing import Final

from eventmill.triggers.fields import Fields, hint

ALLOW: Final = "allow"
SKIP: Final = "skip"
BUFFER_ONE: Final = "buffer-one"
CANCEL_OTHER: Final = "cancel-other"
OVERLAPS: Final = (ALLOW, SKIP, BUFFER_ONE, CANCEL_OTHER)


def parse_overlap(target: Fields) -> str:
    """Read the policy of a target; mistakes are noted in it."""
    given = target.text("Overlap") or ALLOW
    if given not in OVERLAPS:
        target.note(
            f"is one of {', '.join(OVERLAPS)}, not {given!r}{hint(given, OVERLAPS)}", "Overlap"
        )
        return ALLOW
    return given
