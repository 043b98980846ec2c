"""How errors look on the wire: AWS JSON 1.0's `__type` and `message`.

The namespaces before the `#` are those that the service was measured to send.
"""

from typing import Final

from eventmill.errors import ServiceError, UnknownOperation

_SERVICE: Final = "com.amazonaws.swf.service.v2.model"
_CORAL: Final = "com.amazon.coral.service"


class ConstraintViolation(ServiceError):
    """A member breaks a constraint of AWS's model; on the wire a ValidationException."""


class SerializationException(ServiceError):
    """The body is not JSON, or a member has another type than AWS's model says."""


class ResourceNotFound(ServiceError):
    """There is nothing of this ARN."""


class InvalidEvent(ServiceError):
    """What was sent is no event."""


class Unauthorized(ServiceError):
    """A request is not signed as events of its source must be."""

    http_status = 401


class AccessDeniedException(ServiceError):
    """A web page that is not ours asked."""

    http_status = 403


class NotFound(ServiceError):
    """There is nothing under this path."""

    http_status = 404


class MethodNotAllowed(ServiceError):
    """The path is there, and takes another method."""

    http_status = 405


class RequestTimeout(ServiceError):
    """The body did not arrive in time."""

    http_status = 408


class RequestEntityTooLarge(ServiceError):
    """The body is larger than a request may be."""

    http_status = 413


class UnsupportedMediaType(ServiceError):
    """The body is said to be something else than AWS JSON 1.0."""

    http_status = 415


class InternalServerError(ServiceError):
    """A mistake of ours; the message has the id under which the log tells more."""

    http_status = 500


class ServiceUnavailable(ServiceError):
    """The disk refuses, or the server is about to stop: try again."""

    http_status = 503


_TYPES: Final[dict[type[ServiceError], str]] = {
    ConstraintViolation: "com.amazon.coral.validate#ValidationException",
    UnknownOperation: f"{_CORAL}#UnknownOperationException",
    **{
        kind: f"{_CORAL}#{kind.__name__}"
        for kind in (
            InvalidEvent,
            Unauthorized,
            SerializationException,
            AccessDeniedException,
            NotFound,
            MethodNotAllowed,
            RequestTimeout,
            RequestEntityTooLarge,
            UnsupportedMediaType,
            InternalServerError,
            ServiceUnavailable,
        )
    },
}


def plain_error_body(error: ServiceError) -> dict[str, str]:
    """The same for who speaks no AWS JSON."""
    return {"error": type(error).__name__, "message": str(error)}


def error_body(error: ServiceError) -> dict[str, str]:
    """The body of the answer that tells a client about `error`."""
    kind = type(error)
    return {"__type": _TYPES.get(kind, f"{_SERVICE}#{kind.__name__}"), "message": str(error)}
