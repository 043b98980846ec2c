"""Items of JSON documents and of JSON Lines."""

import json
import random
from typing import Any

import pytest

from eventmill.datasets.json_document import json_entries
from eventmill.model import Json
from tests.unit.datasets.conftest import Bucket
from tests.unit.datasets.pieces import in_pieces, joined

NO_SUCH_PATH = (
    "The provided ReaderConfig.ItemsPointer does not match any valid path in the JSON structure."
)
NOT_ITERABLE = "Attempting to map over non-iterable node."

VALUES: list[Json] = [
    1,
    -2.5e3,
    "text",
    'a "quoted" \\ [text] {with} , all',
    "",
    None,
    True,
    False,
    [],
    {},
    [[[]], {"a": [1, {"b": "]}"}]}],
    {"ä": "😀", "]": "[", "\\": '"'},
]


async def entries(content: bytes, pointer: str | None = None, size: int = 4096) -> list[Any]:
    return await joined(json_entries(in_pieces(content, size), pointer))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 4096])
@pytest.mark.parametrize("indent", [None, 2])
async def test_items_do_not_depend_on_where_pieces_end(size: int, indent: int | None) -> None:
    for ascii_only in (True, False):
        content = json.dumps(VALUES, indent=indent, ensure_ascii=ascii_only).encode()
        assert await entries(content, size=size) == [(None, value) for value in VALUES]


@pytest.mark.parametrize("size", [1, 3, 4096])
async def test_an_object_gives_its_values_with_their_keys(size: int) -> None:
    wanted = {f"key {number} \"']": value for number, value in enumerate(VALUES)}
    content = json.dumps(wanted, indent=1).encode()
    assert await entries(content, size=size) == list(wanted.items())


@pytest.mark.parametrize("seed", range(30))
async def test_any_document_in_any_pieces(seed: int) -> None:
    chance = random.Random(seed)

    def value(depth: int) -> Json:
        kind = chance.randrange(8 if depth else 5)
        text = "".join(chance.choices('ab"\\[]{},: \né😀', k=chance.randrange(12)))
        match kind:
            case 0:
                return chance.choice([None, True, False])
            case 1:
                return chance.randrange(-(10**9), 10**9)
            case 2:
                return chance.random()
            case 3 | 4:
                return text
            case 5 | 6:
                return [value(depth - 1) for _ in range(chance.randrange(5))]
            case _:
                return {f"{text}{n}": value(depth - 1) for n in range(chance.randrange(5))}

    items = [value(4) for _ in range(chance.randrange(1, 40))]
    document = {"skip": [value(4), value(3)], "a/b": {"~": items}, "after": value(3)}
    size = chance.randrange(1, 60)
    content = json.dumps(items, indent=chance.choice([None, 1])).encode()
    assert [item for _, item in await entries(content, size=size)] == items
    content = json.dumps(document, ensure_ascii=chance.choice([True, False])).encode()
    assert [item for _, item in await entries(content, "/a~1b/~0", size=size)] == items


@pytest.mark.parametrize("size", [1, 2, 9, 4096])
@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", [("a", {"b": [0, [1, 2], {"c": [3]}], "": [9]}), ("x/y", [4]), ("m~n", {"k": 5})]),
        ("/a", [("b", [0, [1, 2], {"c": [3]}]), ("", [9])]),
        ("/a/b", [(None, 0), (None, [1, 2]), (None, {"c": [3]})]),
        ("/a/b/1", [(None, 1), (None, 2)]),
        ("/a/b/2/c", [(None, 3)]),
        ("/a/", [(None, 9)]),
        ("/x~1y", [(None, 4)]),
        ("/m~0n", [("k", 5)]),
    ],
)
async def test_a_pointer_finds_items(pointer: str, found: list[Any], size: int) -> None:
    content = b'{"a": {"b": [0, [1, 2], {"c": [3]}], "": [9]}, "x/y": [4], "m~n": {"k": 5}}'
    assert await entries(content, pointer, size) == found


async def test_a_pointer_to_a_key_that_looks_escaped() -> None:
    assert await entries(b'{"/": [1], "~1": [2], "~0": [3]}', "/~01") == [(None, 2)]
    assert await entries(b'{"/": [1], "~1": [2], "~0": [3]}', "/~00") == [(None, 3)]


@pytest.mark.parametrize(
    "pointer", ["/b", "/a/3", "/a/01", "/a/-", "/a/x", "/a/0/z", "a", "/a/b", "/s/0", "/A", "/a/-1"]
)
async def test_a_pointer_to_nothing(bucket: Bucket, pointer: str) -> None:
    content = '{"a": [0, 1, 2], "s": "text"}'
    assert await bucket.cause(content, input_type="JSON", items_pointer=pointer) == NO_SUCH_PATH


@pytest.mark.parametrize(
    ("content", "pointer"),
    [("5", None), ('"text"', ""), ("null", None), ('{"a": 1}', "/a"), ('{"a": "x"}', "/a")],
)
async def test_what_has_no_items(bucket: Bucket, content: str, pointer: str | None) -> None:
    assert await bucket.cause(content, input_type="JSON", items_pointer=pointer) == NOT_ITERABLE


@pytest.mark.parametrize(
    "content",
    [
        *("", "   ", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "[1] x", "[}", "[1}"),
        *("{", '{"a"', '{"a":', '{"a":1', '{"a":1,}', '{"a" 1}', "{1:2}", '{"a":1 "b":2}', "{]"),
        *('["a', '["a\\"]', "[tru]", "[01]", "[{]", "[[1}]", "[NaN]", "['a']", "[{'a':1}]", "[:]"),
        *('[{"a":1]]', '["\ud800"]', '{"a":[1}'),
    ],
)
async def test_what_is_not_json(bucket: Bucket, content: str) -> None:
    cause = await bucket.cause(content.encode(errors="surrogatepass"), input_type="JSON")
    assert cause.startswith("data/object: ")


async def test_a_byte_order_mark_is_passed_over(bucket: Bucket) -> None:
    assert await bucket.read("\ufeff[1]", input_type="JSON") == [1]
    assert await bucket.read("\ufeff1\n2", input_type="JSONL") == [1, 2]


async def test_the_text_after_a_pointers_items_is_not_looked_at(bucket: Bucket) -> None:
    content = '{"a": [1, 2], "b": nonsense'
    assert await bucket.read(content, input_type="JSON", items_pointer="/a") == [1, 2]


async def test_an_item_of_eight_mib_and_no_more(bucket: Bucket) -> None:
    large = json.dumps([{"a": "x" * 8_000_000}, 1])
    assert len(await bucket.read(large, input_type="JSON")) == 2
    for content in (
        json.dumps([1, {"a": "x" * 9_000_000}]),
        json.dumps([1, "x" * 9_000_000]),
        json.dumps([1, ["[]"] * 2_000_000]),
    ):
        cause = await bucket.cause(content, input_type="JSON")
        assert cause == "data/object: an item is longer than 8388608 bytes"


async def test_what_is_passed_over_may_be_long(bucket: Bucket) -> None:
    content = json.dumps({"a": ["x,]"] * 2_000_000, "b": [7]})
    assert len(content) > 8_388_608
    assert await bucket.read(content, input_type="JSON", items_pointer="/b") == [7]


# JSON Lines


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_each_line_is_an_item(bucket: Bucket, end: str) -> None:
    content = end.join([*(json.dumps(value) for value in VALUES), "", "  ", "7"])
    assert await bucket.read(content, input_type="JSONL") == [*VALUES, 7]
    assert await bucket.read(content + end, input_type="JSONL") == [*VALUES, 7]


async def test_a_line_that_is_not_json_is_told_by_its_number(bucket: Bucket) -> None:
    content = "1\n" * 70_000 + "\n{'a': 1}\n2\n"
    cause = await bucket.cause(content, input_type="JSONL")
    assert cause.startswith("data/object: line 70002 is not JSON: ")


async def test_a_line_of_more_than_eight_mib(bucket: Bucket) -> None:
    cause = await bucket.cause('1\n"' + "x" * 9_000_000 + '"', input_type="JSONL")
    assert cause == "data/object: line 2 is longer than 8388608 bytes"
