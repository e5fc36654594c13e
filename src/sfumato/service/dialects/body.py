"""The JSON that other programs send."""

import json
from typing import Any

from fastapi import Request

from sfumato.errors import RequestError


async def json_object(request: Request) -> dict[str, Any]:
    """The body; nothing, null and the empty text are an empty object.

    Raises:
        RequestError: it is no object, or one that could not be told again in JSON.
    """
    try:
        found = json.loads(await request.body() or b"{}")
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise RequestError("the body is not JSON of finite numbers and whole characters; send an object") from None
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise RequestError("the body is no JSON object")
    return found
