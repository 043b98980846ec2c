"""The settings of how much may go on at once."""

from pathlib import Path

import pytest

from eventmill.errors import ProjectError, SettingsError
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import SETTINGS_FILE, Concurrency, Settings, load_settings


def load(folder: Path, text: str) -> Settings:
    (folder / SETTINGS_FILE).write_text(text)
    return load_settings(folder)


def test_limits_of_state_machines_and_handlers(tmp_path: Path) -> None:
    assert load_settings(tmp_path).concurrency == Concurrency(executions={}, handlers={})
    text = '[concurrency]\nexecutions = { "a-b" = 3 }\nhandlers = { c = 1, "d.e" = 2 }'
    settings = load(tmp_path, text)
    assert settings.concurrency == Concurrency(executions={"a-b": 3}, handlers={"c": 1, "d.e": 2})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("executions = 3", "concurrency.executions must be a table of names, each with a whole"),
        ("handlers = { a = 0 }", "concurrency.handlers must be a table of names, each with a"),
        ('handlers = { a = "2" }', "concurrency.handlers must be a table of names"),
        ("handlers = { a = true }", "concurrency.handlers must be a table of names"),
        ("executons = {}", "concurrency.executons is no setting; did you mean concurrency.exec"),
    ],
)
def test_wrong_limits_are_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, f"[concurrency]\n{text}")
    assert told in str(refused.value)


def test_names_that_the_project_does_not_have_are_mistakes(tmp_path: Path) -> None:
    for folder in ("workflows", "handlers"):
        (tmp_path / folder).mkdir()
    definition = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
    (tmp_path / "workflows/known.asl.json").write_text(definition)
    (tmp_path / "handlers/work.py").write_text("def known(event, context): ...\n")
    right = '[concurrency]\nexecutions = { known = 1 }\nhandlers = { known = 1, "work.known" = 1 }'
    assert load_project(load(tmp_path, right)).warnings == ()
    wrong = "[concurrency]\nexecutions = { knwon = 1 }\nhandlers = { work = 1 }"
    with pytest.raises(ProjectError) as refused:
        load_project(load(tmp_path, wrong))
    file = tmp_path.resolve() / SETTINGS_FILE
    assert list(refused.value.problems) == [
        f"{file}: error STATE_MACHINE_DOES_NOT_EXIST: concurrency.executions limits 'knwon', and "
        "no state machine has this name; workflows/ has: known",
        f"{file}: error HANDLER_DOES_NOT_EXIST: concurrency.handlers limits 'work', and no handler "
        "has this name; handlers/ has: known",
    ]
