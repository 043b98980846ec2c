"""Imports handlers when they are first called, so that a broken module costs only its own.

A handler module is imported as `<folder>.<module>`, such as `handlers.weather`: the folder's
parent goes on `sys.path` first, so that `from handlers.units import …` and `from .units import …`
work, and the folder itself last, so that Lambda's `import units` does too.
"""

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from eventmill.arn import Home, function_name
from eventmill.errors import SettingsError
from eventmill.executors.answers import NotFound, Unavailable
from eventmill.executors.calls import Handler, HandlerFunction
from eventmill.executors.scan import scan
from eventmill.handler import mark_of


def handler_of(function: HandlerFunction) -> Handler:
    """The handler that a function is, with what its `@handler` says."""
    mark = mark_of(function)
    return Handler(
        function=function,
        is_async=inspect.iscoroutinefunction(function),
        timeout_seconds=None if mark is None else mark.timeout_seconds,
    )


class Loader:
    """The handlers of a folder, as it is when the loader is made."""

    def __init__(self, folder: Path, home: Home) -> None:
        """Scan `folder`; nothing is imported yet.

        Raises:
            SettingsError: The folder has a name that Python needs for a module of its own.
        """
        self._folder = folder.resolve()
        if self._folder.name in sys.stdlib_module_names or "." in self._folder.name:
            raise SettingsError(f"handlers cannot be imported from a folder named {folder.name!r}")
        self._home = home
        self._scan = scan(self._folder)
        self._loaded: dict[str, Handler | Unavailable] = {}

    def __call__(self, reference: str) -> Handler:
        """The handler that a function name, ARN or `module.function` means.

        Raises:
            Unavailable: There is none, its module cannot be imported, or several claim the name.
        """
        loaded = self._loaded.get(reference)
        if loaded is None:
            try:
                loaded = self._load(function_name(reference))
            except NotFound:
                raise  # kept out of the cache: any text may be asked for
            except Unavailable as error:
                loaded = error
            self._loaded[reference] = loaded
        if isinstance(loaded, Unavailable):
            raise loaded
        return loaded

    def is_loaded(self, reference: str) -> bool:
        """Whether calling with this reference imports nothing."""
        return reference in self._loaded

    def preload(self) -> None:
        """Import every handler now; what fails is reported to those who call it."""
        for name in self._scan.handlers:
            try:
                self(name)
            except Unavailable:
                continue

    def _load(self, name: str) -> Handler:
        if name in self._scan.clashes:
            raise Unavailable("Runtime.HandlerNotFound", self._scan.clashes[name])
        found = self._scan.handlers.get(name)
        if found is not None:
            return handler_of(_attribute(self._import(found.module), found.module, found.function))
        module, _, function = name.rpartition(".")
        if module not in self._scan.modules or function.startswith("_"):
            raise NotFound(name, self._home)
        return handler_of(_attribute(self._import(module), module, function))

    def _import(self, name: str) -> ModuleType:
        try:
            self._claim_package()
            return importlib.import_module(f"{self._folder.name}.{name}")
        except BaseException as error:  # a module may raise anything, even SystemExit
            raise _import_error(name, error) from None

    def _claim_package(self) -> None:
        """Make `handlers` mean this folder, whatever else of that name was imported before."""
        package, path = self._folder.name, [str(self._folder)]
        known = sys.modules.get(package)
        if known is not None and list(getattr(known, "__path__", ())) == path:
            return
        _forget_package(package, known)
        root = str(self._folder.parent)
        sys.path[:] = [root, *(each for each in sys.path if each != root), *path]
        importlib.invalidate_caches()
        start = self._folder / "__init__.py"
        if start.exists():
            spec = spec_from_file_location(package, start, submodule_search_locations=path)
        else:
            spec = ModuleSpec(package, None, is_package=True)
            spec.submodule_search_locations = path
        assert spec is not None, "a path that ends in .py has a loader"
        module = module_from_spec(spec)
        sys.modules[package] = module
        if start.exists():
            assert spec.loader is not None, "a path that ends in .py has a loader"
            spec.loader.exec_module(module)


def _forget_package(package: str, known: ModuleType | None) -> None:
    """Drop what another folder of this name has left in the interpreter."""
    folders = list(getattr(known, "__path__", ()))
    sys.path[:] = [path for path in sys.path if path not in folders]
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None) or ""
        is_inside = any(place.startswith(f"{folder}{os.sep}") for folder in folders)
        if is_inside or name.split(".")[0] == package:
            del sys.modules[name]


def _attribute(module: ModuleType, name: str, function: str) -> Callable[[Any, Any], Any]:
    found = getattr(module, function, None)
    if not callable(found):
        raise Unavailable(
            "Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{name}'"
        )
    return found  # type: ignore[no-any-return]  # any callable may be called


def _import_error(name: str, error: BaseException) -> Unavailable:
    # Lambda has its own names for what cannot be imported and what cannot be parsed.
    if isinstance(error, SyntaxError):
        place = f'  File "{error.filename}" Line {error.lineno}\n    {error.text or ""}'
        message = f"Syntax error in module '{name}': {error}"
        return Unavailable("Runtime.UserCodeSyntaxError", message, (place,))
    if isinstance(error, ImportError):
        message = f"Unable to import module '{name}': {error}"
        return Unavailable("Runtime.ImportModuleError", message)
    # Tuples are formatted without the markers under the code, which Lambda does not have.
    frames = [
        (frame.filename, frame.lineno or 0, frame.name, frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    kind = type(error).__name__
    message = f"Unable to import module '{name}': {kind}: {error}"
    return Unavailable("Runtime.ImportModuleError", message, tuple(traceback.format_list(frames)))
