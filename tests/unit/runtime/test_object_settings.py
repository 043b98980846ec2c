"""The settings of where buckets are."""

from pathlib import Path

import pytest

from eventmill.errors import SettingsError
from eventmill.runtime.settings import SETTINGS_FILE, ObjectSettings, Settings, load_settings


def load(folder: Path, text: str) -> Settings:
    (folder / SETTINGS_FILE).write_text(text)
    return load_settings(folder)


def test_buckets_are_folders_of_the_project(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.objects == ObjectSettings(folder="buckets", s3=False)
    assert settings.buckets == tmp_path.resolve() / "buckets"


@pytest.mark.parametrize(("folder", "path"), [("in/data", "in/data"), ("/srv/data", "/srv/data")])
def test_the_folder_of_buckets(tmp_path: Path, folder: str, path: str) -> None:
    settings = load(tmp_path, f'[objects]\nfolder = "{folder}"')
    assert settings.buckets == tmp_path.resolve() / path
    assert not settings.objects.s3


def test_s3(tmp_path: Path) -> None:
    assert load(tmp_path, "[objects]\ns3 = true").objects == ObjectSettings(s3=True)
    settings = load(tmp_path, '[objects]\ns3 = true\nregion = "eu-central-1"')
    assert settings.objects == ObjectSettings(s3=True, region="eu-central-1")
    settings = load(tmp_path, '[objects]\nendpoint = "http://localhost:9000"')
    assert settings.objects == ObjectSettings(s3=True, endpoint="http://localhost:9000")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('folder = "a"\ns3 = true', "objects.folder cannot be given: buckets are in a folder or"),
        ('folder = "a"\nendpoint = "http://a"', "objects.folder cannot be given: "),
        ('region = "eu-central-1"', "objects.region cannot be given: only S3 has one"),
        ("s3 = 1", "objects.s3 must be true or false"),
        ('endpoint = "localhost:9000"', "objects.endpoint must be a URL: http://host:port or"),
        ('endpoint = "ftp://localhost"', "objects.endpoint must be a URL"),
        ('endpoint = "http://[::1"', "objects.endpoint must be a URL"),
        ("endpoint = 5", "objects.endpoint must be a URL"),
        ('endpont = "http://a"', "objects.endpont is no setting; did you mean objects.endpoint?"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"[objects]\n{text}")
    assert f"{SETTINGS_FILE}: {told}" in str(caught.value)
