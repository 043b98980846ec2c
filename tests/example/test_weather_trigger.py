"""The example's trigger: which events start the pipeline, and with what input."""

from pathlib import Path
from typing import Final

import pytest
import yaml

from eventmill.events import TriggerEvent
from eventmill.model import Json, Payload
from eventmill.triggers.filesystem import FilesystemSource
from eventmill.triggers.trigger import Trigger, parse_trigger

DETAIL: Final[dict[str, Json]] = {
    "path": "/project/data/inbox/sf-temps.csv",
    "name": "sf-temps.csv",
}


@pytest.fixture
def trigger(project_root: Path) -> Trigger:
    text = (project_root / "triggers" / "weather-intake.yaml").read_text(encoding="utf-8")
    return parse_trigger("weather-intake", yaml.safe_load(text))


def event(detail_type: str) -> TriggerEvent:
    return TriggerEvent(
        id="1",
        source="eventmill.filesystem",
        detail_type=detail_type,
        at_ms=0,
        account="000000000000",
        region="local",
        detail=DETAIL,
    )


def test_watches_the_folder_that_the_handlers_know(project_root: Path, trigger: Trigger) -> None:
    assert isinstance(trigger.source, FilesystemSource)
    assert (trigger.source.path, trigger.source.include) == ("data/inbox", ("*.csv",))
    assert (project_root / trigger.source.path).is_dir()


def test_starts_a_state_machine_of_the_project(project_root: Path, trigger: Trigger) -> None:
    assert (project_root / "workflows" / f"{trigger.state_machine}.asl.json").is_file()


@pytest.mark.parametrize(
    ("detail_type", "wanted"),
    [("File Created", True), ("File Changed", True), ("File Deleted", False)],
)
def test_takes_new_and_changed_files(trigger: Trigger, detail_type: str, wanted: bool) -> None:
    assert trigger.matches(event(detail_type).envelope()) is wanted


def test_hands_the_detail_of_the_event_on(trigger: Trigger) -> None:
    assert trigger.input_for(event("File Created")) == Payload.of(DETAIL)
