from dataclasses import replace
from hashlib import sha256

import pytest

from eventmill.log.chain import GENESIS, Link, Problem, link, verify


def chained(*rows: tuple[int, int]) -> list[Link]:
    links: list[Link] = []
    for position, (execution, step) in enumerate(rows, start=1):
        previous = links[-1].hash if links else GENESIS
        digest = sha256(b"%d" % position).digest()
        links.append(
            Link(
                position=position,
                execution=execution,
                step=step,
                digest=digest,
                hash=link(previous, execution, step, digest),
            )
        )
    return links


ROWS = chained((0, 0), (7, 0), (7, 1), (8, 0), (8, 1), (7, 2))
FORGED = sha256(b"forged").digest()


def problem_of_third(what: str) -> Problem:
    return Problem(position=3, execution=7, step=1, what=what)


def test_a_whole_chain_has_no_problem() -> None:
    assert verify(ROWS) is None
    assert verify([]) is None


def test_the_hash_covers_the_fields_at_fixed_width() -> None:
    expected = sha256(
        b"p" * 32 + (258).to_bytes(8, "big") + (3).to_bytes(8, "big") + b"d" * 32
    ).digest()
    assert link(b"p" * 32, 258, 3, b"d" * 32) == expected


@pytest.mark.parametrize(
    "changed",
    [
        replace(ROWS[2], digest=FORGED),
        replace(ROWS[2], execution=8),
        replace(ROWS[2], step=2),
        replace(ROWS[2], step=-1),
    ],
    ids=["body", "execution", "step", "negative"],
)
def test_names_a_row_whose_content_was_changed(changed: Link) -> None:
    rows = [*ROWS[:2], changed, *ROWS[3:]]
    assert verify(rows) == Problem(
        position=3,
        execution=changed.execution,
        step=changed.step,
        what="its execution, step or body was changed",
    )


def test_names_a_row_whose_hash_was_changed() -> None:
    rows = [*ROWS[:2], replace(ROWS[2], hash=FORGED), *ROWS[3:]]
    assert verify(rows) == problem_of_third("its hash was changed")


def test_cannot_tell_content_from_hash_in_the_last_row() -> None:
    rows = [*ROWS[:2], replace(ROWS[2], hash=FORGED)]
    assert verify(rows) == problem_of_third("its execution, step, body or hash was changed")


def test_names_a_row_that_was_forged_together_with_its_hash() -> None:
    forged = replace(ROWS[2], digest=FORGED, hash=link(ROWS[1].hash, 7, 1, FORGED))
    found = verify([*ROWS[:2], forged, *ROWS[3:]])
    assert found is not None
    assert (found.position, found.execution, found.step) == (4, 8, 0)


@pytest.mark.parametrize(
    ("removed", "what"),
    [({3}, "the row is missing"), ({3, 4, 5}, "the rows up to 5 are missing")],
    ids=["one", "many"],
)
def test_names_the_position_of_rows_that_are_missing(removed: set[int], what: str) -> None:
    rows = [row for row in ROWS if row.position not in removed]
    assert verify(rows) == Problem(position=3, execution=None, step=None, what=what)


def test_names_a_missing_first_row() -> None:
    expected = Problem(position=1, execution=None, step=None, what="the row is missing")
    assert verify(ROWS[1:]) == expected


@pytest.mark.parametrize("other", [3, 5], ids=["neighbours", "apart"])
def test_names_the_first_of_two_rows_that_were_swapped(other: int) -> None:
    rows = list(ROWS)
    rows[2] = replace(ROWS[other], position=3)
    rows[other] = replace(ROWS[2], position=other + 1)
    found = verify(rows)
    assert found is not None
    assert (found.position, found.execution, found.step) == (
        3,
        ROWS[other].execution,
        ROWS[other].step,
    )
    assert found.what.startswith("it does not follow from the row before it")


def test_names_a_row_that_comes_twice() -> None:
    expected = problem_of_third("it comes a second time or in another order")
    assert verify([*ROWS[:3], ROWS[2], *ROWS[3:]]) == expected


def test_names_a_row_that_was_inserted_and_those_behind_it_moved_up() -> None:
    inserted = Link(position=3, execution=7, step=1, digest=FORGED, hash=FORGED)
    moved = [replace(row, position=row.position + 1) for row in ROWS[2:]]
    found = verify([*ROWS[:2], inserted, *moved])
    assert found is not None
    assert found.position == 3


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(position=3, execution=7, step=1, what="x"), "position 3 (execution 7, step 1): x"),
        (
            Problem(position=3, execution=7, step=0, what="x"),
            "position 3 (the record of execution 7): x",
        ),
        (
            Problem(position=3, execution=0, step=0, what="x"),
            "position 3 (an event of the inbox): x",
        ),
        (Problem(position=3, execution=None, step=None, what="x"), "position 3: x"),
    ],
    ids=["step", "execution", "event", "missing"],
)
def test_a_problem_reads_as_one_line(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_reads_no_further_than_the_row_after_the_problem() -> None:
    rows = iter([*ROWS[:2], replace(ROWS[2], digest=FORGED), *ROWS[3:]])
    assert verify(rows) is not None
    assert [row.position for row in rows] == [5, 6]
