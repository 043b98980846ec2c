import pytest

from eventmill.sensors.globs import Selection


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "deep/down/a.csv", True),
        ("*.csv", "a.csv.part", False),
        ("*.csv", "line\nbreak.csv", True),
        ("day?.csv", "day1.csv", True),
        ("day?.csv", "day/.csv", False),
        ("in/*.csv", "in/a.csv", True),
        ("in/*.csv", "in/deep/a.csv", False),
        ("in/*.csv", "x/in/a.csv", False),
        ("in/**/*.csv", "in/a.csv", True),
        ("in/**/*.csv", "in/very/deep/a.csv", True),
        ("in/**", "in/very/deep/a.csv", True),
        ("**/in/*", "x/in/a", True),
        ("[a-c].csv", "b.csv", True),
        ("[!a-c].csv", "b.csv", False),
        ("[!a-c].csv", "d.csv", True),
        ("a[/]b", "a/b", False),
        ("[]x].csv", "].csv", True),
        ("[!]x].csv", "].csv", False),
        ("[^a].csv", "^.csv", True),
        ("[z-a].csv", "[z-a].csv", True),
        ("[abc", "[abc", True),
        ("a+(b).csv", "a+(b).csv", True),
        (r"a\*.csv", r"a\b.csv", True),
    ],
)
def test_compares_a_path_with_a_glob(glob: str, path: str, expected: bool) -> None:
    assert Selection(include=[glob]).takes(path) is expected
    assert Selection(exclude=[glob]).takes(path) is not expected


def test_takes_what_is_included_and_not_excluded() -> None:
    selection = Selection(include=["*.csv", "*.txt"], exclude=[".*", "*.part.csv"])

    assert [path for path in ("a.csv", "b.txt", "c.json", ".d.csv", "e.part.csv")
            if selection.takes(path)] == ["a.csv", "b.txt"]  # fmt: skip
    assert Selection().takes(".anything/at all")


def test_an_excluded_folder_is_not_entered() -> None:
    selection = Selection(exclude=["tmp", "out/old"])

    assert [folder for folder in ("a", "tmp", "a/tmp", "a/tmp/b", "out", "out/old", "b/out/old")
            if selection.enters(folder)] == ["a", "out", "b/out/old"]  # fmt: skip
    assert not selection.takes("a/tmp/b/c.csv")


def test_without_recursion_no_folder_is_entered() -> None:
    selection = Selection(recursive=False)

    assert (selection.takes("a"), selection.takes("b/a"), selection.enters("b")) == (
        True,
        False,
        False,
    )


def test_folders_that_are_no_globs_are_not_entered() -> None:
    selection = Selection(without=["done [1]"])

    assert not selection.takes("done [1]/a/b.csv")
    assert selection.takes("done 1/a.csv")
    assert selection.takes("done [1].csv")
    assert selection.takes("in/done [1]/a.csv")


# What `git check-ignore` says of these.
@pytest.mark.parametrize(
    ("rules", "ignored", "taken"),
    [
        (["*.part"], ["a.part", "in/a.part"], ["a.csv"]),
        (["# no rule", "", "  "], [], ["# no rule", "a"]),
        ([r"\#a", r"\!b"], ["#a", "!b"], ["a", "b"]),
        (["tmp/"], ["tmp/a", "in/tmp/a"], ["tmp.csv", "in/tmpx/a"]),
        (["/tmp"], ["tmp/a", "tmp"], ["in/tmp"]),
        (["in/tmp"], ["in/tmp", "in/tmp/a"], ["x/in/tmp"]),
        (["in/tmp/"], ["in/tmp/a"], ["x/in/tmp/a"]),
        (["*.csv", "!keep.csv"], ["a.csv", "in/a.csv"], ["keep.csv", "in/keep.csv"]),
        (["!keep.csv", "*.csv"], ["a.csv", "keep.csv"], []),
        (["in/", "!in/keep.csv"], ["in/keep.csv"], ["keep.csv"]),
        (["in/*", "!in/keep.csv"], ["in/a.csv", "in/b/c"], ["in/keep.csv"]),
        (["/*", "!/in/"], ["a", "out/a"], ["in/a"]),
        (["**/old/*.csv"], ["old/a.csv", "in/old/a.csv"], ["old/in/a.csv"]),
        (["in/**"], ["in/a", "in/b/c"], ["in"]),
        (["in/**/a"], ["in/a", "in/b/c/a"], ["a"]),
        (["a?[0-9].csv"], ["ab1.csv"], ["ab.csv", "a/1.csv"]),
        (["trailing  "], ["trailing"], []),
    ],
)
def test_reads_ignore_rules_as_git_does(
    rules: list[str], ignored: list[str], taken: list[str]
) -> None:
    selection = Selection().ignoring(rules)

    assert [path for path in (*ignored, *taken) if selection.takes(path)] == taken


def test_ignore_rules_only_take_away() -> None:
    selection = Selection(include=["*.csv"], exclude=["tmp"]).ignoring(["!a.txt", "!tmp/"])

    assert [path for path in ("a.csv", "a.txt", "tmp/a.csv") if selection.takes(path)] == ["a.csv"]
    assert not Selection().takes(".eventmillignore")
