"""`python -m tests.mutants`: make each mistake in a copy, and see that the tests notice it.

The exit code is 1 when a mutant survives or no longer applies. Names given as arguments choose
the mutants whose names contain them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.mutants.mutants import MUTANTS, Mutant

ROOT: Final = Path(__file__).resolve().parents[2]
# What loops for ever is noticed as well, by its time.
_SECONDS_MAX: Final = 300
_COPIED: Final = ("src", "tests", "pyproject.toml")


class DoesNotApply(Exception):
    """The text that a mutant changes is not there exactly once."""


def mutated(mutant: Mutant, root: Path = ROOT) -> str:
    """The text of the mutant's file with the mistake in it.

    Raises:
        DoesNotApply: The text that it changes is not there exactly once.
    """
    text = (root / "src" / "eventmill" / mutant.path).read_text(encoding="utf-8")
    count = text.count(mutant.old)
    if count != 1:
        raise DoesNotApply(f"{mutant.name}: its text is {count} times in {mutant.path}")
    return text.replace(mutant.old, mutant.new)


def main(chosen: list[str]) -> int:
    """Try the mutants, and tell of each."""
    mutants = [each for each in MUTANTS if not chosen or any(name in each.name for name in chosen)]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = _copied(Path(folder))
        for arguments in dict.fromkeys(each.killed_by for each in mutants):
            if _verdict(arguments, copy) != "SURVIVED":
                sys.stdout.write(f"fails without any mutant: {' '.join(arguments)}\n")
                return 1
        for mutant in mutants:
            began = time.monotonic()
            verdict = _tried(mutant, copy)
            survivors += not verdict.startswith("killed")
            seconds = time.monotonic() - began
            sys.stdout.write(f"{verdict:<16} {seconds:5.1f} s  {mutant.path}: {mutant.name}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(mutants)} mutants, {survivors} not killed\n")
    return 1 if survivors else 0


def _copied(folder: Path) -> Path:
    without = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=without)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def _tried(mutant: Mutant, copy: Path) -> str:
    path = copy / "src" / "eventmill" / mutant.path
    original = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutated(mutant, copy), encoding="utf-8")
    except DoesNotApply as error:
        return f"does not apply: {error}"
    try:
        return _verdict(mutant.killed_by, copy)
    finally:
        path.write_text(original, encoding="utf-8")


def _verdict(arguments: tuple[str, ...], copy: Path) -> str:
    # Python goes by the time of a file in whole seconds, so no bytecode may be left behind.
    environment = {
        **os.environ,
        "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=copy,
            env=environment,
            capture_output=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "killed by time"
    if ran.returncode == 0:
        return "SURVIVED"
    # A program that does not even start proves nothing.
    has_failed = b"FAILED " in ran.stdout or b" failed, " in ran.stdout
    return "killed" if ran.returncode == 1 and has_failed else "BROKEN"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
