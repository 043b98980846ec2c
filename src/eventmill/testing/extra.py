"""The packages of the extra `eventmill[testing]`, which are there only where it is installed."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eventmill.errors import SettingsError


def require(module: str) -> Any:
    """The module of a package of the extra.

    Raises:
        SettingsError: It is not installed.
    """
    folder_of(module.partition(".")[0])
    return import_module(module)


def folder_of(package: str) -> Path:
    """Where a package of the extra lies; it is not imported.

    Raises:
        SettingsError: It is not installed.
    """
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SettingsError(
            f"{package} is not installed, and local testing needs it: "
            "pip install 'eventmill[testing]'"
        )
    return Path(found.origin).parent
