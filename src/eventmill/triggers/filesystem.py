"""The source `filesystem`: a folder to watch."""

import hashlib
import posixpath
from typing import Final

from eventmill.model import Json, encode_json
from eventmill.record import record
from eventmill.triggers.fields import Fields

MOVE: Final = "move"
DELETE: Final = "delete"


@record
class Disposal:
    """What is done with a file: it is moved into the folder `to`, or deleted when that is None.

    `to` is absolute, or relative to the project.
    """

    to: str | None


@record
class FilesystemSource:
    """A folder to watch. Equal sources are served by one sensor.

    `path` is absolute, or relative to the project. `include` and `exclude` are globs on the path
    relative to the folder; no `include` means all files. `polling` is for network file systems,
    which neither report changes nor keep inode numbers. `after_success` and `after_failure` say
    what is done with a file when all executions that it started have ended; None leaves it there.
    """

    path: str
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    stable_seconds: float = 2.0
    scan_seconds: float = 5.0
    polling: bool = False
    deletion_events: bool = False
    after_success: Disposal | None = None
    after_failure: Disposal | None = None

    @property
    def name(self) -> str:
        """Under which the sensor remembers files: what it watches, whatever the timing.

        A change of the selection is another name, so that no two selections share a memory.
        """
        selection: Json = [
            self.recursive, list(self.include), list(self.exclude), self.polling
        ]  # fmt: skip
        digest = hashlib.sha256(encode_json(selection)).hexdigest()[:8]
        return f"filesystem:{posixpath.normpath(self.path)}#{digest}"

    @property
    def folders_to(self) -> tuple[str, ...]:
        """The folders that files are moved into."""
        disposals = (self.after_success, self.after_failure)
        return tuple(each.to for each in disposals if each is not None and each.to is not None)

    @property
    def disposes(self) -> bool:
        """Whether anything is done with files after what they started."""
        return self.after_success is not None or self.after_failure is not None

    @property
    def shown(self) -> str:
        """Which files count, for people."""
        files = " ".join(self.include) or "all files"
        return files + "".join(f", not {glob}" for glob in self.exclude)

    @property
    def document(self) -> dict[str, Json]:
        """The same for programs."""
        return {"include": [*self.include], "exclude": [*self.exclude]}

    @property
    def at_odds(self) -> tuple[str, str]:
        """What two sources of one name do alike, and what they must agree on."""
        fields = (
            "StableSeconds, ScanSeconds, DeletionEvents, AfterSuccess or AfterFailure; "
            "give both the same"
        )
        return "watches the same files as", fields


def parse_filesystem(fields: Fields) -> FilesystemSource:
    """Read the fields of the source; mistakes are noted in them."""
    path = fields.text("Path", required=True)
    if "\0" in path:
        fields.note("no path has a NUL character", "Path")
    return FilesystemSource(
        path=path,
        recursive=fields.flag("Recursive", default=True),
        include=_parse_globs(fields, "Include"),
        exclude=_parse_globs(fields, "Exclude"),
        stable_seconds=fields.seconds("StableSeconds", default=2.0, least=0.0),
        scan_seconds=fields.seconds("ScanSeconds", default=5.0, least=0.1),
        polling=fields.flag("Polling", default=False),
        deletion_events=fields.flag("DeletionEvents", default=False),
        after_success=_parse_disposal(fields, "AfterSuccess", path),
        after_failure=_parse_disposal(fields, "AfterFailure", path),
    )


def _parse_disposal(fields: Fields, name: str, path: str) -> Disposal | None:
    if not fields.has(name):
        return None
    own = fields.object(name)
    action = own.text("Action", required=True)
    if action not in ("", MOVE, DELETE):
        own.note(f"must be {MOVE!r} or {DELETE!r}, not {action!r}", "Action")
    to = own.text("To", required=action == MOVE)
    if action == DELETE and own.has("To"):
        own.note("stands only with the action 'move'", "To")
    if "\0" in to:
        own.note("no path has a NUL character", "To")
    elif to and posixpath.normpath(to) == posixpath.normpath(path):
        own.note("must not be the watched folder", "To")
    own.refuse_others()
    return Disposal(to=to if action == MOVE else None)


def _parse_globs(fields: Fields, name: str) -> tuple[str, ...]:
    globs = fields.texts(name)
    for index, glob in enumerate(globs):
        if glob == "" or glob.startswith("/") or ".." in glob.split("/"):
            fields.note(f"{glob!r} can match nothing: globs are relative to Path", name, index)
    return globs
