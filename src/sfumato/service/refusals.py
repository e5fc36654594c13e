"""Answers that say no, in the form of the dialect that was spoken."""

from collections.abc import Callable, Mapping

from sqlalchemy.exc import DBAPIError

from sfumato.errors import OutputError, SfumatoError, UnknownNameError
from sfumato.service.jobs import QueueFullError, StateError, UsedKeyError


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """No, with an HTTP status, a sentence that says what was given and what is allowed, and perhaps headers."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


def refusal_of(error: Exception) -> Refusal:
    """An error as an answer."""
    match error:
        case Refusal():
            return error
        case QueueFullError():
            return Refusal(429, str(error), headers={"Retry-After": str(error.retry_after)})
        case UsedKeyError() | StateError():
            return Refusal(409, str(error))
        case UnknownNameError() if str(error).startswith(("unknown job", "unknown picture")):
            return Refusal(404, str(error))
        case OutputError():
            return Refusal(507, str(error))
        case SfumatoError():
            return Refusal(422, str(error))
        case DBAPIError() | OSError():
            return Refusal(507, "the service cannot write to its data folder; free some space and ask again")
    return Refusal(500, f"a defect of sfumato: {type(error).__name__}")


def _native(refusal: Refusal) -> dict[str, object]:
    return {"error": {"status": refusal.status, "message": str(refusal)}}


def _a1111(refusal: Refusal) -> dict[str, object]:
    return {"error": "HTTPException", "detail": str(refusal), "body": "", "errors": str(refusal)}


def _openai(refusal: Refusal) -> dict[str, object]:
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(refusal.status, "invalid_request_error")
    kind = "server_error" if refusal.status >= 500 else kind
    return {"error": {"message": str(refusal), "type": kind, "param": None, "code": None}}


def _comfy(refusal: Refusal) -> dict[str, object]:
    told = {"type": "refused", "message": str(refusal), "details": "", "extra_info": {}}
    return {"error": told, "node_errors": {}}


_COMFY = (
    *("/prompt", "/queue", "/history", "/interrupt", "/view", "/upload/", "/object_info", "/embeddings"),
    *("/system_stats", "/ws"),
)
"""Where ComfyUI's API begins, also below ``/api``."""

FORMS: tuple[tuple[str, Callable[[Refusal], dict[str, object]]], ...] = (
    ("/sdapi/", _a1111),
    ("/v1/", _openai),
    *((f"{root}{path}", _comfy) for root in ("", "/api") for path in _COMFY),
    ("/", _native),
)
"""How each dialect says no, by the beginning of the path."""


def body_of(path: str, refusal: Refusal) -> dict[str, object]:
    """The body of a refusal."""
    return next(form for beginning, form in FORMS if path.startswith(beginning))(refusal)
