"""The project's Python files, as the rules of the house read them."""

from pathlib import Path

import pytest

FOLDERS = ("src", "tests", "handlers", "bench", "examples")


@pytest.fixture(scope="session")
def sources(project_root: Path) -> dict[str, str]:
    """The text of every Python file, by its path from the root of the project."""
    return {
        str(path.relative_to(project_root)): path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in sorted((project_root / folder).rglob("*.py"))
    }
