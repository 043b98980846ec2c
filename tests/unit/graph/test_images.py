"""The pictures in the documents are those that the code draws now."""

import json
from pathlib import Path

import pytest

from eventmill.graph.layout import layout
from eventmill.graph.outline import outline
from eventmill.graph.svg import render_svg

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        ("workflows/weather-intake.asl.json", "weather-intake"),
        ("docs/images/nested.asl.json", "nested"),
    ],
)
def test_the_pictures_in_the_documents_are_up_to_date(definition: str, name: str) -> None:
    document = json.loads((ROOT / definition).read_text(encoding="utf-8"))
    picture = ROOT / f"docs/images/{name}.svg"

    drawn = render_svg(layout(outline(document)), name)

    advice = f"draw it again: eventmill graph {definition} -o docs/images/{name}.svg"
    assert picture.read_text(encoding="utf-8") == drawn, advice
