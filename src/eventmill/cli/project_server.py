"""The server of a project, as a command reaches it."""

import click

from eventmill.cli.client import Client
from eventmill.cli.server_file import endpoint as endpoint_of
from eventmill.cli.server_file import read_server_file
from eventmill.runtime.settings import Settings


def client_of(settings: Settings, endpoint: str | None) -> Client:
    """A client of the server at `endpoint`, else where `up` says it is, else of the settings.

    Raises:
        click.BadParameter: `endpoint` is no address.
    """
    said = endpoint or read_server_file(settings.data)
    try:
        return Client(said or endpoint_of(settings.host, settings.port))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--endpoint") from None
