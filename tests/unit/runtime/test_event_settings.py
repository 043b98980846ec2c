"""The table `[events]` of the settings."""

from pathlib import Path

import pytest

from eventmill.errors import SettingsError
from eventmill.runtime.settings import EventSettings, load_settings
from eventmill.runtime.signatures import Signature, Signatures, Unsigned


def settings(project: Path, text: str) -> EventSettings:
    (project / "eventmill.toml").write_text(text)
    return load_settings(project).events


def test_by_default_nothing_is_signed(tmp_path: Path) -> None:
    plain = settings(tmp_path, "")
    assert plain == EventSettings(body_bytes_max=1_048_576, hops_max=16, signatures={})


def test_reads_every_entry(tmp_path: Path) -> None:
    read = settings(
        tmp_path,
        """
        [events]
        body_bytes_max = 10
        hops_max = 3
        [events.signatures]
        github = { scheme = "github", secret_from = "HUB" }
        "*" = { scheme = "standard-webhooks", secret_from = "ALL", tolerance_seconds = 60 }
        """,
    )
    assert (read.body_bytes_max, read.hops_max) == (10, 3)
    assert read.signatures == {
        "github": Signature(scheme="github", secret_from="HUB", tolerance_seconds=300),
        "*": Signature(scheme="standard-webhooks", secret_from="ALL", tolerance_seconds=60),
    }


def test_all_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(
            tmp_path,
            """
            [events]
            hops_max = 0
            [events.signatures]
            one = { scheme = "sha1", secret_from = "" }
            two = { secret_from = "S", tolerance = 1 }
            three = "GITHUB"
            """,
        )
    file = tmp_path / "eventmill.toml"
    assert str(raised.value).splitlines() == [
        f"{file}: {mistake}"
        for mistake in (
            "events.hops_max must be a whole number above 0",
            "events.signatures.three must be a table: [events.signatures.three]",
            "events.signatures.one.scheme must be one of github, standard-webhooks",
            "events.signatures.one.secret_from must be a text",
            "events.signatures.two.scheme is missing",
            "events.signatures.two.tolerance is no setting; "
            "did you mean events.signatures.two.tolerance_seconds?",
            "events.signatures.three.scheme is missing",
            "events.signatures.three.secret_from is missing",
        )
    ]


@pytest.mark.parametrize("scheme", ["github", "standard-webhooks"])
def test_what_is_signed_is_accepted_and_nothing_else(scheme: str) -> None:
    wanted = {"s": Signature(scheme=scheme, secret_from="SECRET")}
    ours = Signatures(wanted, {"SECRET": "one"})
    headers = ours.sign("s", "id", b"body", 1_000_000)
    ours.check("s", headers, b"body", 1_000_000)
    with pytest.raises(Unsigned):
        ours.check("s", headers, b"bodx", 1_000_000)
    with pytest.raises(Unsigned):
        Signatures(wanted, {"SECRET": "two"}).check("s", headers, b"body", 1_000_000)


def test_the_example_of_standard_webhooks() -> None:
    """From the specification's own tests."""
    wanted = {"s": Signature(scheme="standard-webhooks", secret_from="SECRET")}
    signatures = Signatures(wanted, {"SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    body, at_ms = b'{"test": 2432232314}', 1_614_265_330_000
    headers = signatures.sign("s", "msg_p5jXN8AQM9LWM0D4loKWxJek", body, at_ms)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
