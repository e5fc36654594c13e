"""Answers that say no, in the form of the dialect that was spoken."""

from collections.abc import Callable, Mapping


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """No, with an HTTP status, a sentence that says what was given and what is allowed, and perhaps headers."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


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
