"""Rows of text delimited files."""

import pytest

from eventmill.datasets.delimited import csv_rows
from tests.unit.datasets.conftest import Bucket
from tests.unit.datasets.pieces import in_pieces, joined

LINE = 'one,"two, with a comma","a ""quoted"" word"\r\n"a line\r\nbreak",,\\"x\\,y\r\nlast,ä,😀'
ROWS = [
    ["one", "two, with a comma", 'a "quoted" word'],
    ["a line\nbreak", "", '"x,y'],
    ["last", "ä", "😀"],
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 4096])
async def test_rows_do_not_depend_on_where_pieces_end(size: int) -> None:
    assert await joined(csv_rows(in_pieces(LINE.encode(), size), ",")) == ROWS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_a_line_may_end_in_three_ways(end: str) -> None:
    text = end.join(["a,b", "c,d", "", "e,f", ""]).encode()
    for size in (1, 3, 99):
        rows = await joined(csv_rows(in_pieces(text, size), ","))
        assert rows == [["a", "b"], ["c", "d"], ["e", "f"]]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("a,b", ["a", "b"]),
        (",,", ["", "", ""]),
        ("   ", ["   "]),
        (" a , b ", [" a ", " b "]),
        ('"a","b"', ["a", "b"]),
        ('"",x,""', ["", "x", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a""b"', ['a"b']),
        ('""""', ['"']),
        ('"""a"""', ['"a"']),
        ('abc, "d,e"', ["abc", "d,e"]),
        ("it's,'x,y'", ["it's", "'x", "y'"]),
        # In the developer guide: doubled quotes in a cell without quotes.
        ('{""MyKey"":""MyValue""},"[1,2]"', ['{"MyKey":"MyValue"}', "[1,2]"]),
        ("C:\\\\Program Files\\\\MyApp.exe,6534512", ["C:\\Program Files\\MyApp.exe", "6534512"]),
        ("a\\,b,c", ["a,b", "c"]),
        ('"a\\"b",c', ['a"b', "c"]),
        ("a\\nb", ["anb"]),
        ("a\\", ["a"]),
        ("\\\\", ["\\"]),
        ('a"b,c"d', ['a"b,c"d']),
    ],
)
async def test_how_a_line_is_split(line: str, row: list[str]) -> None:
    assert await joined(csv_rows(in_pieces(line.encode(), 1000), ",")) == [row]


@pytest.mark.parametrize("delimiter", [",", "|", ";", " ", "\t"])
async def test_each_delimiter(bucket: Bucket, delimiter: str) -> None:
    text = delimiter.join("abc") + "\n" + delimiter.join(["1", f'"2{delimiter}2"', "3"])
    assert await bucket.csv(text, csv_delimiter=delimiter) == [
        {"a": "1", "b": f"2{delimiter}2", "c": "3"}
    ]


async def test_a_cell_over_many_lines_beside_others() -> None:
    text = b'1,"a\n\n""b"",\nc",2\n3,"",4\n'
    assert await joined(csv_rows(in_pieces(text, 5), ",")) == [
        ["1", 'a\n\n"b",\nc', "2"],
        ["3", "", "4"],
    ]


async def test_long_cells_are_whole() -> None:
    long = "x" * 300_000
    text = f'"{long}",{long},"{long}""y"\n"z"'.encode()
    rows = await joined(csv_rows(in_pieces(text, 65_536), ","))
    assert rows == [[long, long, f'{long}"y'], ["z"]]


# Items


async def test_keys_are_in_the_order_of_a_java_map(bucket: Bucket) -> None:
    """Recorded on AWS: this header gave this order."""
    (item,) = await bucket.csv('id|text|blank\r\n1|"one|pipe"|\r\n', csv_delimiter="|")
    assert isinstance(item, dict)
    assert list(item.items()) == [("blank", ""), ("id", "1"), ("text", "one|pipe")]


async def test_more_than_twelve_columns(bucket: Bucket) -> None:
    header = [f"column {number}" for number in range(40)]
    cells = [str(number) for number in range(40)]
    (item,) = await bucket.csv(f"{','.join(header)}\n{','.join(cells)}")
    assert item == dict(zip(header, cells, strict=True))


async def test_missing_cells_are_empty_and_extra_ones_dropped(bucket: Bucket) -> None:
    items = await bucket.csv("a,b\n1\n1,2\n1,2,3\n")
    assert items == [{"a": "1", "b": ""}, {"a": "1", "b": "2"}, {"a": "1", "b": "2"}]


async def test_headers_may_be_given(bucket: Bucket) -> None:
    items = await bucket.csv("1,2\n3,4\n", csv_headers=("x", "y"))
    assert items == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]


async def test_a_single_column(bucket: Bucket) -> None:
    assert await bucket.csv("a\n1\n2,3\n") == [{"a": "1"}, {"a": "2"}]


async def test_of_two_columns_of_a_name_the_last_counts(bucket: Bucket) -> None:
    assert await bucket.csv("a,b,a\n1,2,3\n4\n") == [{"a": "3", "b": "2"}, {"a": "", "b": ""}]
    assert await bucket.csv("a,a\n1,2\n") == [{"a": "2"}]


async def test_a_byte_order_mark_is_no_part_of_the_header(bucket: Bucket) -> None:
    assert await bucket.csv("\ufeffa,b\n1,2\n") == [{"a": "1", "b": "2"}]
    assert await bucket.csv('\ufeff"a",b\n1,2\n') == [{"a": "1", "b": "2"}]


async def test_files_without_rows(bucket: Bucket) -> None:
    for text in ("", "\n\n", "a,b", "a,b\n", "\ufeff"):
        assert await bucket.csv(text) == []


async def test_a_header_of_at_most_ten_kib(bucket: Bucket) -> None:
    assert len(await bucket.csv("é" * 5120 + "\n1\n")) == 1
    cause = await bucket.cause("é" * 5120 + "x\n1\n", input_type="CSV")
    assert cause == "data/object: the header is longer than 10240 bytes"


async def test_a_quote_that_is_never_closed(bucket: Bucket) -> None:
    cause = await bucket.cause('a,b\n1,"2\n3,4\n', input_type="CSV")
    assert cause == "data/object: a cell that begins with a quote is never closed"


async def test_a_quote_that_is_not_closed_for_long(bucket: Bucket) -> None:
    cause = await bucket.cause('a,b\n1,"2\n' + "3,4\n" * 2_200_000, input_type="CSV")
    assert "a row is longer than 8388608 bytes; is a quote never closed?" in cause


async def test_a_line_that_is_too_long(bucket: Bucket) -> None:
    cause = await bucket.cause("a,b\n" + "x" * 9_000_000, input_type="CSV")
    assert cause == "data/object: a line is longer than 8388608 bytes"


async def test_a_text_that_is_not_utf_8(bucket: Bucket) -> None:
    cause = await bucket.cause("a,b\nÄ,2".encode("latin-1"), input_type="CSV")
    assert cause.startswith("data/object: the text is not UTF-8: ")
    cause = await bucket.cause("a,b\nÄ".encode()[:-1], input_type="CSV")
    assert cause.startswith("data/object: the text is not UTF-8: ")
