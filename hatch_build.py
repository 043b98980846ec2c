"""Compiles the modules that pyproject.toml names while a wheel is built, where that is asked for.

It is hatchling's custom hook. mypyc turns typed modules into machine code that does the same. All
that it makes lies below `build/`, so a checkout keeps to its sources.
"""

import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution

SOURCES: Final = Path("src")
BUILD: Final = Path("build/mypyc").absolute()

# What `@record` does, spelled out: mypyc makes fast classes of dataclasses only if it can see that
# they are, and takes two values of other decorated classes for equal only if they are one.
SPELLED_OUT: Final = {
    "\nfrom eventmill.record import record\n": "\nimport dataclasses\n",
    "\n@record\n": "\n@dataclasses.dataclass(unsafe_hash=True, slots=True, kw_only=True)\n",
}


class CompileHook(BuildHookInterface[Any]):
    """Puts the compiled modules beside those that they stand for; Python prefers them."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless this is an editable installation, whose sources are what counts.

        Raises:
            SystemExit: mypyc or the C compiler refused; they have printed why.
            ValueError: A module declares records otherwise than by a line `@record`.
        """
        if version == "editable":
            return
        modules = _files(self.config["modules"]) - _files(self.config["except"])
        for made in _compile(sorted(modules)):
            build_data["force_include"][str(made)] = str(made.relative_to(BUILD / "lib"))
        build_data["infer_tag"] = True
        build_data["pure_python"] = False


def _files(names: list[str]) -> set[Path]:
    """The files of these modules and packages, of a package all that is in it, below `src`."""
    found: set[Path] = set()
    for name in names:
        path = SOURCES.joinpath(*name.split("."))
        files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        found.update(file.relative_to(SOURCES) for file in files)
    return found


def _compile(modules: list[Path]) -> list[Path]:
    copy = BUILD / "src"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for module in modules:
        text = (copy / module).read_text()
        for short, spelled_out in SPELLED_OUT.items():
            text = text.replace(short, spelled_out)
        if "eventmill.record" in text:
            raise ValueError(f"src/{module}: @record must be imported and used on lines of its own")
        (copy / module).write_text(text)
    with chdir(copy):
        extensions = mypycify(
            [f"--cache-dir={BUILD / 'cache'}", *map(str, modules)],
            target_dir=str(BUILD),
            group_name="eventmill",
            debug_level="0",
        )
        command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib = str(BUILD / "lib")
        command.build_temp = str(BUILD / "temp")
        command.ensure_finalized()
        command.run()
    return [Path(each) for each in command.get_outputs()]
