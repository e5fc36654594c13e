"""The JSON that other programs send."""

import json
from typing import Any

from fastapi import Request

from sfumato.errors import RequestError


async def json_object(request: Request, *, again: bool = False) -> dict[str, Any]:
    """The body; nothing, null and the empty text are an empty object.

    Args:
        again: it will be told again, and must be what JSON can say; a picture's megabytes are not gone through for it.

    Raises:
        RequestError: it is no such object.
    """
    try:
        found = json.loads(await request.body() or b"{}")
        if again:
            json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise RequestError("the body is not JSON of finite numbers and whole characters; send an object") from None
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise RequestError("the body is no JSON object")
    return found
