"""A studio somewhere else: the same methods and results as `Studio`, over a service's API. Needs no extra."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from sfumato.errors import RequestError, SfumatoError
from sfumato.metadata import carriers
from sfumato.metadata.provenance import Provenance
from sfumato.metadata.trace import Trace
from sfumato.requests import Request, Source, parse_request
from sfumato.results import Progress, Report, Result, ignore
from sfumato.shorthand import Shorthand

_PATIENCE = 60.0  # seconds without a word from the service, which says something each 15


class Client(Shorthand):
    """Asks a service for pictures.

    >>> sfumato.Client("http://127.0.0.1:7860").txt2img("a red apple", seed=1).save("apple.png")

    Args:
        url: of the service.
        token: if it wants one.
        model: what its methods paint with unless told otherwise.
    """

    def __init__(self, url: str = "http://127.0.0.1:7860", *, token: str | None = None, model: str = "nano") -> None:
        if not url.startswith(("http://", "https://")):
            raise RequestError(f"{url!r} is no address of a service; for example http://127.0.0.1:7860")
        self.url, self.token, self.default = url.rstrip("/"), token, model
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def __repr__(self) -> str:
        return f"<sfumato.Client of {self.url}>"

    def submit(self, request: Request, *, priority: int = 0, key: str | None = None) -> dict[str, Any]:
        """Put a request into the queue; the job, as the service's API describes it.

        Args:
            key: the same key and request are the same job, however often they are sent.

        Raises:
            SfumatoError: the service refuses; the message says why.
        """
        options = self._uploaded(request)
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.call("POST", f"/api/v1/jobs?priority={priority}", options, headers=headers)

    def _uploaded(self, value: object) -> object:
        """JSON, with pictures named by the digests of their uploads."""
        if isinstance(value, Source):
            return {"sha256": self.upload(value.read())}
        if isinstance(value, BaseModel):
            return {name: self._uploaded(inner) for name, inner in value}
        return [self._uploaded(inner) for inner in value] if isinstance(value, tuple) else value

    def upload(self, data: bytes) -> str:
        """Send a picture's bytes; its digest, by which requests name it."""
        return str(self.call("POST", "/api/v1/uploads", data)["sha256"])

    def run(
        self,
        request: Request,
        on_step: Callable[[Progress], None] = ignore,
        on_batch: Callable[[Result], None] = ignore,
    ) -> Result:
        """Carry out a request; an exception raised by one that is told of its progress cancels it.

        Args:
            on_step: is told of sampling steps.
            on_batch: is given the whole result, when it is there.

        Raises:
            SfumatoError: what the service, or its studio, says.
        """
        id = self.submit(request)["id"]
        try:
            for kind, data in self.events(id):
                if kind == "progress":
                    step = data["step"] - 1
                    on_step(Progress(data["image"], data["batch"], step, data["steps"], data["sigma"], list))
        except BaseException:
            self.cancel(id)
            raise
        result = self.result(id)
        on_batch(result)
        return result

    def job(self, id: str) -> dict[str, Any]:
        """A job as it is now."""
        return self.call("GET", f"/api/v1/jobs/{id}")

    def jobs(self, *, limit: int = 60) -> list[dict[str, Any]]:
        """Jobs, the newest first."""
        return self.call("GET", f"/api/v1/jobs?limit={limit}")

    def cancel(self, id: str) -> dict[str, Any]:
        """Cancel a job; what has ended stays as it is."""
        return self.call("POST", f"/api/v1/jobs/{id}/cancel")

    def retry(self, id: str) -> dict[str, Any]:
        """Put a job that failed or was cancelled into the queue again."""
        return self.call("POST", f"/api/v1/jobs/{id}/retry")

    def events(self, id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What happens to a job until its end: ``state``, ``progress``, ``preview``, ``picture``, with their data."""
        with self._answer("GET", f"/api/v1/jobs/{id}/events", None, {}) as stream:
            kind = ""
            for line in stream:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    def result(self, id: str) -> Result:
        """The pictures of a job that is done, as a studio gives them.

        Raises:
            SfumatoError: it is not done; the message has its reason.
        """
        job = self.job(id)
        if job["state"] != "done":
            raise SfumatoError(f"job {id} is {job['state']}{': ' + job['reason'] if job['reason'] else ''}")
        request = parse_request(json.dumps(job["request"]))
        found = job["report"].get("report")
        files = [self._bytes(each["url"]) for each in job["pictures"]]
        texts = [carriers.read(file).texts for file in files]
        traces = [Trace.from_json(each[carriers.STEPS]) for each in texts if carriers.STEPS in each]
        return Result(
            [carriers.pixels(file) for file in files],
            request,
            list(job["report"]["seeds"]),
            job["report"]["timings"],
            Provenance(**job["report"]["provenance"]),
            traces if files and len(traces) == len(files) else (),
            report=None if found is None else Report.read(found),
        )

    def gallery(self, **asked: Any) -> dict[str, Any]:
        """A page of pictures, as the service's API describes it: ``{"pictures": [...], "next": ..., "total": ...}``.

        >>> client.gallery(q="狐狸 -snow", rating=4, limit=20)
        """
        return self.call("GET", f"/api/v1/gallery?{_query(asked)}")

    def picture(self, id: str) -> dict[str, Any]:
        """A picture of the gallery, with its request, parents and children."""
        return self.call("GET", f"/api/v1/gallery/{urllib.parse.quote(id, safe='')}")

    def bring(self, data: bytes, *, created: float | None = None) -> tuple[dict[str, Any], bool]:
        """Bring a picture into the gallery, whatever painted it; and whether it is new.

        Args:
            created: when it was painted, in seconds since 1970.
        """
        with self._answer("POST", f"/api/v1/gallery/import?{_query({'created': created})}", data, {}) as answer:
            return json.load(answer), answer.status == 201

    def exported(self, **asked: Any) -> Any:
        """A zip of pictures with their sidecars, to be read and closed; takes what `gallery` does to choose them."""
        return self._answer("GET", f"/api/v1/gallery/export?{_query(asked)}", None, {})

    def erase(self, ids: Sequence[str]) -> int:
        """Erase pictures for good; how many."""
        return int(self.call("POST", "/api/v1/gallery/erase", {"ids": list(ids)})["erased"])

    def call(self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON that an address of the API answers; `body` is JSON too, or a picture's bytes.

        Raises:
            SfumatoError: the service refuses, or is not there.
        """
        with self._answer(method, path, body, dict(headers or {})) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _bytes(self, path: str) -> bytes:
        with self._answer("GET", path, None, {}) as answer:
            return bytes(answer.read())

    def _answer(self, method: str, path: str, body: object, headers: dict[str, str]) -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            return self._open(asked, timeout=_PATIENCE)
        except urllib.error.HTTPError as refusal:
            raise SfumatoError(_message(refusal)) from None
        except OSError as error:
            raise SfumatoError(f"no service answers at {self.url}: {error}; start one with sfumato serve") from None


def _query(values: Mapping[str, Any]) -> str:
    return urllib.parse.urlencode({name: value for name, value in values.items() if value is not None}, doseq=True)


def _message(refusal: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(refusal)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the service answers {refusal.code} {refusal.reason}"
