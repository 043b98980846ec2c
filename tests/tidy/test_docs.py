"""The documentation is true: what it names exists, what exists is named, its examples hold."""

import ast
import asyncio
import io
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final, NamedTuple

import click
import pytest
from rich.console import Console

from eventmill.arn import Home
from eventmill.asl.parser import check
from eventmill.cli.main import COMMANDS, eventmill
from eventmill.codec import decode_step
from eventmill.errors import ProjectError
from eventmill.executors.scan import scan
from eventmill.faults import POINTS
from eventmill.handler import HandlerContext
from eventmill.machine.history import INTERNAL_TYPES
from eventmill.model import AWS_QUOTAS, Json, Payload, Quotas
from eventmill.patterns.compiler import compile_pattern
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.documents import load_document
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import SETTINGS_FILE, load_settings
from eventmill.runtime.starting import Start
from eventmill.runtime.system import running
from eventmill.sensors.filesystem import FILE_CREATED, FilesystemSensor
from eventmill.sensors.schedule import scheduled_event
from eventmill.sensors.snapshot import Sighting
from eventmill.triggers.filesystem import FilesystemSource
from eventmill.triggers.schedule import ScheduleSource
from eventmill.triggers.trigger import parse_trigger
from tests.conformance.recorded import FOLDER, IS_BESIDE
from tests.conformance.report.__main__ import run_all
from tests.conformance.report.document import document

ROOT: Final = Path(__file__).resolve().parents[2]
FENCE: Final = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
LINK: Final = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block of a document."""

    document: str
    language: str
    text: str


def documents() -> list[Path]:
    """What people read, but for the scaffold, whose links and commands are another project's."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(found)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(*languages: str) -> list[Block]:
    return [
        Block(str(path.relative_to(ROOT)), match["language"], match["text"])
        for path in documents()
        for match in FENCE.finditer(path.read_text(encoding="utf-8"))
        if match["language"] in languages
    ]


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def missing(names: Sequence[str], text: str) -> list[str]:
    """Those of `names` that do not stand behind a backquote in `text`."""
    return [name for name in names if not re.search(rf"`{re.escape(name)}(?![\w-])", text)]


# What exists is named


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield command


def test_every_command_and_option_is_documented() -> None:
    text = read("docs/command-line.md")
    options = {
        option
        for command in commands(eventmill)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }

    assert missing([*COMMANDS, *sorted(options)], text) == []


def settings_entries() -> list[str]:
    """Every entry that `load_settings` asks for, as its calls of `take` name them."""
    tables = {"table": ""} | {
        name: f"{name}."
        for name in ("server", "handlers", "concurrency", "objects", "retention", "audit", "events")
    }
    tables["sensors"] = "sensors."
    tables["signature"] = "events.signatures.NAME."
    taken = [
        tables[node.func.value.id] + node.args[0].value
        for node in ast.walk(ast.parse(read("src/eventmill/runtime/settings.py")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "take"
        and isinstance(node.func.value, ast.Name)
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]
    assert len(taken) > 5
    return taken


def test_every_setting_is_documented_with_its_default(tmp_path: Path) -> None:
    text = read("docs/settings.md")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+?) \|", text, re.M))
    quotas = {f"quotas.{each.name}": f"`{each.default}`" for each in fields(Quotas)}
    plain = load_settings(tmp_path)

    assert set(rows) == {*settings_entries(), *quotas}
    assert {name: rows[name] for name in quotas} == quotas
    assert (rows["server.host"], rows["server.port"]) == (f'`"{plain.host}"`', f"`{plain.port}`")
    assert rows["data"] == f'`"{plain.data.name}"`'
    assert rows["account"] == f'`"{plain.home.account}"`'
    assert rows["region"] == f'`"{plain.home.region}"`'
    assert rows["handlers.isolation"] == f'`"{plain.isolation}"`'
    assert (rows["handlers.memory_mib"], plain.memory_mib) == ("no limit", None)


def test_every_field_of_a_trigger_is_documented() -> None:
    called = {
        argument.value
        for path in sorted((ROOT / "src/eventmill/triggers").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for argument in node.args[:2]
        if isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and re.fullmatch(r"[A-Z][a-z]+([A-Z][a-z]+)*", argument.value)
    }

    assert len(called) > 15
    assert missing(sorted(called), read("docs/triggers.md")) == []


def dictionary_keys(path: str, name: str) -> list[str]:
    """The keys of the dictionary that a module assigns to `name`."""
    for node in ast.parse(read(path)).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            assert isinstance(node.value, ast.Dict)
            keys = [key for key in node.value.keys if isinstance(key, ast.Constant)]
            return [str(key.value) for key in keys]
    raise AssertionError(f"{path} assigns no {name}")


def test_every_operator_of_patterns_is_documented_by_an_example_that_compiles() -> None:
    rows = re.findall(r"^\| `([$\w-]+)` \| `(\{.*?\})` \|", read("docs/triggers.md"), re.M)
    examples: dict[str, Json] = {name: json.loads(example) for name, example in rows}
    operators = dictionary_keys("src/eventmill/patterns/operators.py", "_OPERATORS")
    mistakes: list[str] = []

    for name, example in examples.items():
        pattern: Json = example if name == "$or" else {"field": [example]}
        compile_pattern(pattern, lambda pointer, message: mistakes.append(f"{pointer} {message}"))

    assert sorted(examples) == sorted([*operators, "$or"])
    assert mistakes == []


def test_every_field_of_a_file_event_is_documented(tmp_path: Path) -> None:
    source = FilesystemSource(path="inbox")
    sensor = FilesystemSensor(source, project=tmp_path, home=Home(), clock=SystemClock())
    envelope = sensor.event(Sighting("a.csv", b"1-2-3", 1, 2), FILE_CREATED).envelope()
    detail = envelope.pop("detail")
    assert isinstance(detail, dict)
    envelope.pop("version")  # of the envelope itself, always "0"

    text = read("docs/triggers.md")
    assert missing([*envelope, *(f"detail.{name}" for name in detail)], text) == []


def test_every_field_of_a_scheduled_event_is_documented() -> None:
    envelope = scheduled_event(ScheduleSource(expression="@daily"), 0, Home()).envelope()
    detail = envelope.pop("detail")
    assert isinstance(detail, dict)
    told_of_every_event = {"version", "account", "region"}

    text = read("docs/sensors-schedule.md")
    names = [name for name in envelope if name not in told_of_every_event]
    assert missing([*names, *(f"detail.{name}" for name in detail)], text) == []


def test_all_that_a_handler_may_know_is_documented() -> None:
    public = [name for name in dir(HandlerContext) if not name.startswith("_")]

    # How the executor passes heartbeats on is not the handler's business.
    wanted = [name for name in public if name != "on_heartbeat"]
    assert missing(wanted, read("docs/handlers.md")) == []


def test_every_crash_point_and_internal_event_is_documented() -> None:
    internal = sorted(INTERNAL_TYPES)

    assert missing(POINTS, read("docs/durability.md")) == []
    assert missing(internal, read("docs/decisions/0001-internal-events.md")) == []
    assert missing(internal, read("docs/architecture.md")) == []


def test_the_page_on_conformance_is_what_a_run_writes_today() -> None:
    if not IS_BESIDE:
        pytest.skip(f"the page is about other cases than those in {FOLDER}")
    outcomes = run_all(Console(file=io.StringIO()), processes=2)

    assert read("docs/conformance.md") == document(outcomes), (
        "bring it up to date: make conformance"
    )


# What is named exists


def test_tests_that_documents_name_exist(sources: dict[str, str]) -> None:
    defined = {
        node.name
        for path, text in sources.items()
        if path.startswith("tests/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    named = {
        name
        for path in documents()
        for name in re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8"))
    }

    assert len(named) > 30
    assert sorted(named - defined) == []


def test_files_and_folders_that_documents_name_exist() -> None:
    absent = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in documents()
        for name in re.findall(r"`((?:src|tests|docs|examples|handlers)/[\w./-]*)`", prose(path))
        if not (ROOT / name).exists()
    ]

    assert absent == []


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.M)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in kept}


def is_broken(path: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return False  # no test asks the network
    file, _, anchor = target.partition("#")
    there = (path.parent / file).resolve() if file else path
    if not there.exists():
        return True
    return bool(anchor) and anchor not in anchors(there)


def test_links_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in documents()
        for target in LINK.findall(prose(path))
        if is_broken(path, target)
    ]

    assert broken == []


# Examples hold


def console_lines(block: Block) -> list[list[str]]:
    split = (shlex.split(line, comments=True) for line in block.text.splitlines())
    return [words for words in split if words]


def mistake_in_command(words: list[str]) -> str | None:
    """What is wrong with a command line, which is taken apart and not run."""
    program = words[0].rpartition("/")[2]
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.M)
        return next((f"no target {each}" for each in words[1:] if each not in targets), None)
    if program in ("aws", "cd", "cp", "git", "mkdir", "python3", "pip", "."):
        return None
    if program != "eventmill":
        return f"{program} is no command that the test knows"
    try:
        group: click.Command | None = eventmill
        rest = words[1:]
        while isinstance(group, click.Group):
            name, group, rest = group.resolve_command(click.Context(group), rest)
        assert group is not None
        group.make_context(name, rest)
    except click.UsageError as error:
        return error.format_message()
    return None


def test_commands_in_documents_can_be_typed() -> None:
    wrong = [
        f"{block.document}: {shlex.join(words)}: {mistake}"
        for block in blocks("console")
        for words in console_lines(block)
        if (mistake := mistake_in_command(words)) is not None
    ]

    assert len(blocks("console")) > 2
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "fine"),
    [
        ("make demo", True),
        ("make tea", False),
        ("eventmill replay x --verify", True),
        ("eventmill replay x --prove", False),
        ("eventmill executions lst", False),
        ("rm -rf /", False),
    ],
)
def test_what_counts_as_a_command(line: str, fine: bool) -> None:
    assert (mistake_in_command(line.split()) is None) == fine


def write_project(folder: Path, chosen: Sequence[Block]) -> Path:
    """A project of a document's blocks: the file of each has its number as name."""
    for number, block in enumerate(chosen):
        name, text = f"example_{number}", block.text
        place = {
            "toml": SETTINGS_FILE,
            "python": f"handlers/{name}.py",
            "yaml": f"triggers/{name}.yaml",
            "json": f"triggers/{name}.json" if '"Source"' in text else f"{name}.asl.json",
        }[block.language]
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    return folder


def test_definitions_in_documents_have_no_mistakes() -> None:
    definitions = [block for block in blocks("json") if '"StartAt"' in block.text]
    found = {block.document: check(block.text) for block in definitions}

    assert len(definitions) > 1
    assert found == dict.fromkeys(found, ())


def test_triggers_in_documents_have_no_mistakes(tmp_path: Path) -> None:
    triggers = [
        block
        for block in blocks("json", "yaml")
        if "Target:" in block.text or "Source" in block.text
    ]
    write_project(tmp_path, triggers)
    names = [
        parse_trigger(path.stem, load_document(path)).name
        for path in (tmp_path / "triggers").iterdir()
    ]

    assert len(triggers) > 2
    assert len(names) == len(triggers)


def test_settings_in_documents_have_no_mistakes(tmp_path: Path) -> None:
    written = blocks("toml")
    settings = [
        load_settings(write_project(tmp_path / str(number), [block]))
        for number, block in enumerate(written)
    ]

    assert any(each.quotas != AWS_QUOTAS for each in settings)
    assert any(each.events.signatures for each in settings)


def test_handlers_in_documents_are_found_and_compile(tmp_path: Path) -> None:
    written = [block for block in blocks("python") if "handler" in block.text]
    found = scan(write_project(tmp_path, written) / "handlers")

    assert found.problems == ()
    assert len(found.handlers) == len(written) > 1


def test_the_project_of_the_readme_runs(tmp_path: Path) -> None:
    """Its handler, its state machine and its trigger fit together, and do what they say."""
    by_language = {
        block.language: block.text
        for block in blocks("python", "json", "yaml")
        if block.document == "README.md"
    }
    for folder, name, language in (
        ("handlers", "csv_files.py", "python"),
        ("workflows", "count.asl.json", "json"),
        ("triggers", "inbox.yaml", "yaml"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(by_language[language], encoding="utf-8")
    (tmp_path / SETTINGS_FILE).write_text('[handlers]\nisolation = "inline"\n', encoding="utf-8")
    (tmp_path / "inbox").mkdir()
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("a,b\n", encoding="utf-8")

    assert [asyncio.run(count(tmp_path, name)) for name in ("x.csv", "empty.csv")] == [
        ("SUCCEEDED", {"rows": 2}),
        ("SUCCEEDED", "EmptyFile"),
    ]


async def count(project: Path, name: str) -> tuple[str, Json]:
    """Run the README's state machine on a file: its status, and its output or caught error."""
    settings = load_settings(project)
    try:
        loaded = load_project(settings)
    except ProjectError as error:
        return "REFUSED", [*error.problems]
    async with running(settings, loaded) as system:
        start = Start(
            machine=system.catalog.machine("count"),
            name=Path(name).stem,
            input=Payload.of({"path": str(project / name), "name": name}),
        )
        (row,) = await system.engine.start([start])
        status = (await system.engine.ended(row.id)).status
        last = (await system.log.read(row.id))[-1]
    output = decode_step(last.body, last.payloads).events[-1].payload("output").value
    assert isinstance(output, dict)
    return status, output.get("Error", output)
