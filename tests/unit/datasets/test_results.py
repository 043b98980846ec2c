"""Results of a Map Run: the files that are written, and the output when none are."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from eventmill.datasets.results import transformed, write_results
from eventmill.errors import AuthorError
from eventmill.machine.map_run import Writing
from eventmill.model import Json, Payload
from eventmill.rows import ChildResult
from tests.unit.datasets.conftest import BUCKET, Bucket

RUN = "arn:aws:states:local:000000000000:mapRun:machine/Label:e2a5"
MACHINE = "arn:aws:states:local:000000000000:stateMachine:machine/Label"


def ended(status: Any, number: int = 0, **more: Any) -> ChildResult:
    return ChildResult(
        status=status,
        input=Payload(b'{"n": %d}' % number),
        arn=f"arn:aws:states:local:000000000000:execution:machine/Label:{number}",
        name=str(number),
        state_machine_arn=MACHINE,
        start_ms=1_790_204_286_120,
        stop_ms=1_790_204_287_000,
        **more,
    )


def succeeded(output: Json, number: int = 0) -> ChildResult:
    return ended("SUCCEEDED", number, output=Payload.of(output))


def pending(number: int = 0) -> ChildResult:
    return ChildResult(status="PENDING", input=Payload(b'{"n": %d}' % number))


FAILED = ended("FAILED", 7, error="Boom", cause="It went off.")

SUCCEEDED_RECORD = (
    '{"ExecutionArn":"arn:aws:states:local:000000000000:execution:machine/Label:3",'
    '"Input":"{\\"n\\": 3}","InputDetails":{"Included":true},"Name":"3",'
    '"Output":"{\\"copy\\":3}","OutputDetails":{"Included":true},"RedriveCount":0,'
    '"RedriveStatus":"NOT_REDRIVABLE",'
    '"RedriveStatusReason":"Execution is SUCCEEDED and cannot be redriven",'
    '"StartDate":"2026-09-23T22:58:06.120Z",'
    '"StateMachineArn":"arn:aws:states:local:000000000000:stateMachine:machine/Label",'
    '"Status":"SUCCEEDED","StopDate":"2026-09-23T22:58:07.000Z"}'
)
FAILED_RECORD = (
    '{"Cause":"It went off.","Error":"Boom",'
    '"ExecutionArn":"arn:aws:states:local:000000000000:execution:machine/Label:7",'
    '"Input":"{\\"n\\": 7}","InputDetails":{"Included":true},"Name":"7",'
    '"OutputDetails":{"Included":true},"RedriveCount":0,'
    '"RedriveStatus":"REDRIVABLE_BY_MAP_RUN","StartDate":"2026-09-23T22:58:06.120Z",'
    '"StateMachineArn":"arn:aws:states:local:000000000000:stateMachine:machine/Label",'
    '"Status":"FAILED","StopDate":"2026-09-23T22:58:07.000Z"}'
)
PENDING_RECORD = '{"Input":"{\\"n\\": 9}","InputDetails":{"Included":true},"Status":"PENDING"}'


async def stream(results: Sequence[ChildResult]) -> AsyncIterator[ChildResult]:
    for result in results:
        yield result


class Export:
    """Writes results into a bucket, and reads what came of it."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    async def __call__(self, *results: ChildResult, **how: Any) -> str:
        more = {"file_bytes_max": how.pop("file_bytes_max")} if "file_bytes_max" in how else {}
        writing = Writing(**{"bucket": BUCKET, "prefix": "out"} | how)
        return await write_results(self.bucket.store, writing, RUN, "e2a5", stream(results), **more)

    def text(self, name: str) -> str:
        return (self.bucket.root / "out" / "e2a5" / name).read_text()

    def names(self) -> list[str]:
        return sorted(path.name for path in (self.bucket.root / "out" / "e2a5").iterdir())

    def manifest(self) -> Any:
        return json.loads(self.text("manifest.json"))


@pytest.fixture
def export(bucket: Bucket) -> Export:
    return Export(bucket)


# Files


async def test_one_file_for_each_category(export: Export) -> None:
    third = succeeded({"copy": 3}, 3)
    assert await export(third, pending(9), FAILED, third) == "out/e2a5/manifest.json"
    assert export.text("SUCCEEDED_0.json") == f"[{SUCCEEDED_RECORD},{SUCCEEDED_RECORD}]"
    assert export.text("FAILED_0.json") == f"[{FAILED_RECORD}]"
    assert export.text("PENDING_0.json") == f"[{PENDING_RECORD}]"
    sizes = {name: len(export.text(name)) for name in export.names()}
    assert export.text("manifest.json") == (
        f'{{"DestinationBucket":"data","MapRunArn":"{RUN}","ResultFiles":{{'
        f'"FAILED":[{{"Key":"out/e2a5/FAILED_0.json","Size":{sizes["FAILED_0.json"]}}}],'
        f'"PENDING":[{{"Key":"out/e2a5/PENDING_0.json","Size":{sizes["PENDING_0.json"]}}}],'
        f'"SUCCEEDED":[{{"Key":"out/e2a5/SUCCEEDED_0.json",'
        f'"Size":{sizes["SUCCEEDED_0.json"]}}}]}}}}'
    )
    assert len(export.names()) == 4


async def test_no_file_for_an_empty_category(export: Export) -> None:
    await export()
    assert export.names() == ["manifest.json"]
    assert export.manifest()["ResultFiles"] == {"FAILED": [], "PENDING": [], "SUCCEEDED": []}


async def test_json_lines(export: Export) -> None:
    third = succeeded({"copy": 3}, 3)
    await export(third, FAILED, third, output_type="JSONL")
    assert export.text("SUCCEEDED_0.jsonl") == f"{SUCCEEDED_RECORD}\n{SUCCEEDED_RECORD}\n"
    assert export.text("FAILED_0.jsonl") == f"{FAILED_RECORD}\n"
    (file,) = export.manifest()["ResultFiles"]["FAILED"]
    assert file == {"Key": "out/e2a5/FAILED_0.jsonl", "Size": len(FAILED_RECORD) + 1}


@pytest.mark.parametrize("status", ["TIMED_OUT", "ABORTED"])
async def test_who_did_not_end_is_among_the_failed(export: Export, status: Any) -> None:
    await export(ended(status))
    (record,) = json.loads(export.text("FAILED_0.json"))
    assert record["Status"] == status
    assert not {"Error", "Cause", "Output"} & set(record)


OUTPUTS: list[Json] = [[10, {"copy": 10}], [20, {"copy": 20}], "text", [], [[1]]]


async def test_compact(export: Export) -> None:
    await export(*map(succeeded, OUTPUTS), FAILED, transformation="COMPACT")
    assert export.text("SUCCEEDED_0.json") == (
        '[[10,{"copy":10}],[20,{"copy":20}],"text",[],[[1]]]'
    )
    assert export.text("FAILED_0.json") == f"[{FAILED_RECORD}]"


async def test_flatten(export: Export) -> None:
    results = [*map(succeeded, OUTPUTS), FAILED]
    await export(*results, transformation="FLATTEN", output_type="JSONL")
    assert export.text("SUCCEEDED_0.jsonl") == ('10\n{"copy":10}\n20\n{"copy":20}\n"text"\n[1]\n')
    await export(*results, transformation="FLATTEN")
    assert export.text("SUCCEEDED_0.json") == '[10,{"copy":10},20,{"copy":20},"text",[1]]'


@pytest.mark.parametrize("output_type", ["JSON", "JSONL"])
async def test_files_are_split_below_a_size(export: Export, output_type: str) -> None:
    results = [succeeded("x" * (number % 7), number) for number in range(100)]
    # The first two values fill the first file to the byte.
    limit = {"JSON": len('["","x"]'), "JSONL": len('""\n"x"\n')}[output_type]
    how = {"transformation": "COMPACT", "output_type": output_type, "file_bytes_max": limit}
    await export(*results, **how)
    ending = output_type.lower()
    files = export.manifest()["ResultFiles"]["SUCCEEDED"]
    texts = [export.text(f"SUCCEEDED_{number}.{ending}") for number in range(len(files))]
    assert [file["Size"] for file in files] == list(map(len, texts))
    assert [file["Key"].rpartition("_")[2] for file in files] == [
        f"{number}.{ending}" for number in range(len(files))
    ]
    for text in texts:
        values = json.loads(text) if output_type == "JSON" else text.splitlines()
        assert len(text) <= limit or len(values) == 1
    assert len(texts[0]) == limit
    read = [
        value
        for text in texts
        for value in (
            json.loads(text) if output_type == "JSON" else map(json.loads, text.splitlines())
        )
    ]
    assert read == ["x" * (number % 7) for number in range(100)]


async def test_payloads_that_are_too_large_are_left_out(export: Export) -> None:
    fits, large = "x" * (262_144 - 2), "x" * (262_144 - 1)
    await export(
        replace(succeeded(large), input=Payload.of(fits)),
        replace(succeeded(fits), input=Payload.of(large)),
    )
    first, second = json.loads(export.text("SUCCEEDED_0.json"))
    assert (first["Output"], first["OutputDetails"]) == ("", {"Included": False})
    assert (first["Input"], first["InputDetails"]) == (f'"{fits}"', {"Included": True})
    assert (second["Input"], second["InputDetails"]) == ("", {"Included": False})


@pytest.mark.parametrize(
    ("prefix", "key"), [("", "e2a5/manifest.json"), ("a/b/", "a/b/e2a5/manifest.json")]
)
async def test_where_the_files_are(export: Export, prefix: str, key: str) -> None:
    assert await export(succeeded(1), prefix=prefix) == key
    assert (export.bucket.root / key).exists()


async def test_many_results(export: Export) -> None:
    results = [succeeded({"n": number, "text": "x" * 100}, number) for number in range(20_000)]
    await export(*results)
    records = json.loads(export.text("SUCCEEDED_0.json"))
    assert [json.loads(record["Output"])["n"] for record in records] == list(range(20_000))


async def test_a_store_that_refuses(export: Export) -> None:
    with pytest.raises(AuthorError) as caught:
        await export(succeeded(1), bucket="nowhere")
    failure = caught.value.failure
    assert failure.error == "States.ResultWriterFailed"
    assert "The specified bucket does not exist: 'nowhere'" in (failure.cause or "")
    assert not caught.value.located


# Output


async def output(writing: Writing | None, *results: ChildResult, bytes_max: int = 9999) -> bytes:
    payload = await transformed(writing, stream(results), bytes_max=bytes_max, cause="Too much.")
    return payload.text


async def test_without_a_writer_the_outputs_stand_in_their_order() -> None:
    nameless = ended("TIMED_OUT")
    text = await output(None, succeeded([1]), FAILED, nameless, succeeded({"a": 2}))
    assert text == (
        b'[[1],{"Status":"FAILED","Error":"Boom","Cause":"It went off."},'
        b'{"Status":"TIMED_OUT"},{"a":2}]'
    )
    assert await output(None) == b"[]"


async def test_with_a_configuration_only() -> None:
    third = succeeded({"copy": 3}, 3)
    text = await output(Writing(bucket=None), third, FAILED)
    assert text.decode() == f"[{SUCCEEDED_RECORD},{FAILED_RECORD}]"
    text = await output(Writing(bucket=None, transformation="COMPACT"), third, FAILED)
    assert text.decode() == f'[{{"copy":3}},{FAILED_RECORD}]'
    flat = Writing(bucket=None, transformation="FLATTEN")
    assert await output(flat, *map(succeeded, OUTPUTS)) == (
        b'[10,{"copy":10},20,{"copy":20},"text",[1]]'
    )


async def test_an_output_may_fill_its_limit() -> None:
    results = [succeeded("ä"), succeeded([1, 2]), succeeded(None)]
    size = len(await output(None, *results))
    assert len(await output(None, *results, bytes_max=size)) == size
    with pytest.raises(AuthorError) as caught:
        await output(None, *results, bytes_max=size - 1)
    assert (caught.value.failure.error, caught.value.failure.cause) == (
        "States.DataLimitExceeded",
        "Too much.",
    )


async def test_an_output_over_its_limit_asks_for_no_more() -> None:
    asked = 0

    async def endless() -> AsyncIterator[ChildResult]:
        nonlocal asked
        while True:
            asked += 1
            yield succeeded("x" * 98)

    with pytest.raises(AuthorError):
        await transformed(None, endless(), bytes_max=1_000)
    assert asked == 10
