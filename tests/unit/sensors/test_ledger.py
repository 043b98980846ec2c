from eventmill.sensors.ledger import Ledger, Settling


def test_a_version_is_news_until_it_was_published() -> None:
    ledger = Ledger({"a": b"1"})

    assert not ledger.is_news("a", b"1")
    assert ledger.is_news("a", b"2")
    assert ledger.is_news("b", b"1")
    ledger.published("b", b"1", [])
    assert not ledger.is_news("b", b"1")
    assert ledger.versions() == {"a": b"1", "b": b"1"}


def test_a_file_that_is_gone_is_kept_until_the_log_has_forgotten_it() -> None:
    ledger = Ledger({"a": b"1", "b": b"1", "c": b"1"})
    for path in ("a", "b"):
        ledger.gone(path, forget=True)
    ledger.gone("c", forget=False)
    ledger.gone("stranger", forget=True)

    taken = ledger.forgettable(10)
    assert sorted(taken) == ["a", "b"]
    assert ledger.forgettable(10) == []
    ledger.back("b")
    ledger.published("d", b"1", taken)
    assert ledger.versions() == {"b": b"1", "c": b"1", "d": b"1"}
    assert (ledger.is_there("b"), ledger.is_there("c"), ledger.is_there("a")) == (
        True,
        False,
        False,
    )


def test_few_are_forgotten_at_a_time() -> None:
    ledger = Ledger({str(number): b"1" for number in range(5)})
    for number in range(5):
        ledger.gone(str(number), forget=True)

    assert len(ledger.forgettable(3)) == 3
    assert len(ledger.forgettable(3)) == 2


def test_a_file_that_is_gone_is_news_when_it_comes_back() -> None:
    ledger = Ledger({"a": b"1"})
    ledger.gone("a", forget=True)

    assert ledger.is_news("a", b"1")
    assert ledger.holds("a", b"1")
    ledger.back("a")
    assert not ledger.is_news("a", b"1")
    assert ledger.forgettable(10) == []


def test_knows_when_files_are_lacking() -> None:
    ledger = Ledger({"a": b"1", "b": b"1"})

    assert ledger.lacks(1)
    assert not ledger.lacks(2)
    ledger.gone("a", forget=True)
    assert not ledger.lacks(1)


def settling() -> Settling:
    return Settling(stable_ms=100, unclosed_ms=1_000)


def test_a_file_is_ready_when_it_was_the_same_for_its_time() -> None:
    files = settling()

    assert not files.see("a", b"1", complete=False, now_ms=0)
    assert not files.see("a", b"1", complete=False, now_ms=999)
    assert files.see("a", b"1", complete=False, now_ms=1_000)


def test_a_change_starts_the_time_again() -> None:
    files = settling()

    assert not files.see("a", b"1", complete=True, now_ms=0)
    assert not files.see("a", b"2", complete=False, now_ms=100)
    assert not files.see("a", b"2", complete=False, now_ms=1_099)
    assert files.see("a", b"2", complete=False, now_ms=1_100)


def test_a_file_that_was_closed_needs_less_time() -> None:
    files = settling()

    assert not files.see("a", b"1", complete=False, now_ms=0)
    assert not files.see("a", b"1", complete=True, now_ms=50)
    assert files.next_due_ms() == 100
    assert files.see("a", b"1", complete=False, now_ms=100)
    assert Settling(stable_ms=0, unclosed_ms=1).see("a", b"1", complete=True, now_ms=0)


def test_files_are_due_in_order_and_once() -> None:
    files = settling()
    for number, path in enumerate("cab"):
        files.see(path, b"1", complete=True, now_ms=number)
        files.see(path, b"1", complete=True, now_ms=number)

    assert files.take_due(99, 10) == []
    assert files.take_due(101, 1) == ["c"]
    assert files.take_due(101, 10) == ["a"]
    assert files.next_due_ms() == 102
    files.drop("b")
    assert files.next_due_ms() is None
    assert files.take_due(10_000, 10) == []


def test_a_file_looked_at_too_early_is_due_again() -> None:
    files = settling()
    files.see("a", b"1", complete=True, now_ms=1_000)

    assert files.take_due(1_100, 10) == ["a"]
    assert not files.see("a", b"1", complete=False, now_ms=1_050)
    assert files.take_due(1_100, 10) == ["a"]
