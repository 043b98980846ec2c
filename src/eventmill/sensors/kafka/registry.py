"""A client of schema registries with Confluent's interface: schemas by their ids.

It is asked once for each id, since what an id stands for never changes. A registry that cannot be
reached is no reason to give a message up, so that is an error of its own.
"""

import asyncio
import base64
import json
import ssl
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPSHandler, Request, build_opener

from eventmill.errors import SensorError
from eventmill.sensors.kafka.avro import AvroSchema, InvalidSchema

_ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"
_BODY_BYTES_MAX: Final = 16 * 1024 * 1024
_REFERENCES_MAX: Final = 1_000


class UnknownSchema(Exception):
    """The registry has no such schema, or it is not Avro; the message says which."""


class SchemaRegistry:
    """Avro schemas by id, cached for good; many who want the same one wait for one request.

    Requests are rare, so they are made by the standard library, in threads.
    """

    def __init__(
        self,
        url: str,
        *,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_seconds: float = 15.0,
    ) -> None:
        """Ask the registry at `url`; `login` is a user and a password."""
        self._url = url
        self._headers = {"Accept": _ACCEPT}
        if login is not None:
            basic = base64.b64encode(":".join(login).encode()).decode()
            self._headers["Authorization"] = f"Basic {basic}"
        self._timeout_seconds = timeout_seconds
        self._opener = build_opener(HTTPSHandler(context=tls))
        self._known: dict[int, AvroSchema | UnknownSchema] = {}
        self._asked: dict[int, asyncio.Task[AvroSchema]] = {}

    def known(self, id_: int) -> AvroSchema:
        """A schema that was fetched before.

        Raises:
            UnknownSchema: The registry said that there is none.
        """
        schema = self._known[id_]
        if isinstance(schema, UnknownSchema):
            raise schema
        return schema

    async def fetch(self, id_: int) -> None:
        """Have what the registry says of this id at hand, for `known`.

        Raises:
            SensorError: The registry cannot be asked now.
        """
        if isinstance(self._known.get(id_), AvroSchema):
            return
        if id_ not in self._asked:
            self._asked[id_] = asyncio.create_task(self._ask(id_))
            self._asked[id_].add_done_callback(lambda asking: self._answered(id_, asking))
        try:
            # Who stops waiting does not stop it for the others.
            self._known[id_] = await asyncio.shield(self._asked[id_])
        except UnknownSchema as error:
            self._known[id_] = error

    def _answered(self, id_: int, asking: "asyncio.Task[AvroSchema]") -> None:
        del self._asked[id_]
        if not asking.cancelled():
            asking.exception()  # whoever wanted to know may have gone

    async def _ask(self, id_: int) -> AvroSchema:
        answer = await self._get(f"/schemas/ids/{id_}")
        kind = answer.get("schemaType", "AVRO")
        if kind != "AVRO":
            raise UnknownSchema(f"schema {id_} of the registry is {kind}, not Avro")
        named: dict[str, Any] = {}
        seen: set[tuple[str, int]] = set()
        try:
            await self._take_references(answer, named, seen)
            return AvroSchema.parse(json.loads(answer["schema"]), named)
        except (KeyError, TypeError, ValueError, InvalidSchema) as error:
            raise UnknownSchema(f"schema {id_} of the registry cannot be used: {error}") from None

    async def _take_references(
        self, answer: dict[str, Any], named: dict[str, Any], seen: set[tuple[str, int]]
    ) -> None:
        """Parse into `named` what a schema refers to, the innermost first."""
        for reference in answer.get("references") or ():
            subject, version = str(reference["subject"]), int(reference["version"])
            if (subject, version) in seen:
                continue
            seen.add((subject, version))
            if len(seen) > _REFERENCES_MAX:
                raise InvalidSchema(f"it has more than {_REFERENCES_MAX:,} references")
            inner = await self._get(f"/subjects/{quote(subject, safe='')}/versions/{version}")
            await self._take_references(inner, named, seen)
            AvroSchema.parse(json.loads(inner["schema"]), named)

    async def _get(self, path: str) -> dict[str, Any]:
        return await asyncio.to_thread(self._get_now, path)

    def _get_now(self, path: str) -> dict[str, Any]:
        url = f"{self._url}{path}"
        try:
            request = Request(url, headers=self._headers)
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                answer = json.loads(response.read(_BODY_BYTES_MAX))
        except HTTPError as error:
            with error:
                if error.code == 404:
                    raise UnknownSchema(f"the registry has no {path}") from None
                raise SensorError(
                    f"the schema registry answers {error.code} {error.reason} to {url}"
                ) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise SensorError(f"the schema registry cannot be asked, {url}: {reason}") from error
        if not isinstance(answer, dict):
            raise SensorError(f"the schema registry answers no JSON object to {url}")
        return answer
