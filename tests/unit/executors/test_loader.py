"""How handlers are imported."""

import sys
from pathlib import Path

import pytest

from eventmill.arn import Home
from eventmill.errors import SettingsError
from eventmill.executors.answers import NotFound, Unavailable
from eventmill.executors.loader import Loader


def project(root: Path, name: str, text: str) -> Path:
    folder = root / name / "handlers"
    folder.mkdir(parents=True)
    (folder / "work.py").write_text(text)
    return folder


def test_two_projects_in_one_interpreter_keep_their_own_handlers(tmp_path: Path) -> None:
    first = project(tmp_path, "one", "async def work(event, context): return 1\n")
    second = project(tmp_path, "two", "def work(event, context): return 2\n")
    assert Loader(first, Home())("work").is_async
    assert not Loader(second, Home())("work").is_async
    assert Loader(first, Home())("work").is_async


def test_two_projects_in_one_interpreter_keep_their_own_plain_modules(tmp_path: Path) -> None:
    text = "from words import word\ndef work(event, context): return word\n"
    for name in ("one", "two", "three"):
        folder = project(tmp_path, name, text)
        (folder / "words.py").write_text(f"word = {name!r}\n")
        assert Loader(folder, Home())("work").function(None, None) == name
    assert len([path for path in sys.path if path.startswith(str(tmp_path / "one"))]) == 1


def test_imports_nothing_before_a_handler_is_called(tmp_path: Path) -> None:
    mark = tmp_path / "imported"
    text = (
        f"from pathlib import Path\nPath({str(mark)!r}).open('x').close()\n"
        "async def work(event, context): ...\n"
    )
    loader = Loader(project(tmp_path, "one", text), Home())
    assert not mark.exists()
    assert not loader.is_loaded("work")
    loader("work")
    loader("work.work")
    assert mark.exists()
    assert loader.is_loaded("work")


def test_imports_everything_that_can_be_imported_ahead(tmp_path: Path) -> None:
    folder = project(tmp_path, "one", "async def work(event, context): ...\n")
    (folder / "broken.py").write_text("import no_such_module\ndef sad(event, context): ...\n")
    loader = Loader(folder, Home())
    loader.preload()
    assert loader.is_loaded("work")
    assert loader.is_loaded("sad")
    with pytest.raises(Unavailable, match="no_such_module"):
        loader("sad")


def test_remembers_no_names_that_mean_nothing(tmp_path: Path) -> None:
    loader = Loader(project(tmp_path, "one", ""), Home())
    with pytest.raises(NotFound):
        loader("nothing")
    assert not loader.is_loaded("nothing")


def test_a_handler_module_named_like_a_library_hides_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path, "one", "import json\nasync def work(event, context): ...\n")
    (folder / "json.py").write_text("async def mine(event, context): ...\n")
    loader = Loader(folder, Home())
    assert loader("mine").is_async
    globals_ = getattr(loader("work").function, "__globals__", {})
    assert globals_["json"] is sys.modules["json"]


def test_relative_and_absolute_imports_reach_the_same_project(tmp_path: Path) -> None:
    text = "from handlers.units import one\nfrom .units import one as same\nassert one is same\n"
    folder = project(tmp_path, "one", text + "async def work(event, context): ...\n")
    (folder / "units.py").write_text("one = object()\n")
    (folder / "__init__.py").write_text("started = True\n")
    assert Loader(folder, Home())("work").is_async
    assert sys.modules["handlers"].started is True


@pytest.mark.parametrize("name", ["logging", "v1.2"])
def test_refuses_a_folder_whose_name_cannot_be_a_package(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"from a folder named '{name}'"):
        Loader(tmp_path / name, Home())
