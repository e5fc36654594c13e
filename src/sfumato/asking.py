"""What `Studio`'s methods have in common: options as keywords, made a request and run."""

from collections.abc import Callable, Iterator

from sfumato.requests import REQUESTS, Request, parse_size
from sfumato.results import Progress, Result, ignore


class Asking:
    """The ground of `Studio`: it has a default model, and runs requests."""

    default: str

    def run(
        self,
        request: Request,
        on_step: Callable[[Progress], None] = ignore,
        on_batch: Callable[[Result], None] = ignore,
    ) -> Result:
        """Carry out a request."""
        raise NotImplementedError

    def _ask(
        self,
        task: str,
        *,
        on_step: Callable[[Progress], None] = ignore,
        on_batch: Callable[[Result], None] = ignore,
        size: str | tuple[int, int] | None = None,
        **options: object,
    ) -> Result:
        if size is not None:
            options["width"], options["height"] = parse_size(size) if isinstance(size, str) else size
        kind = REQUESTS[task]
        own = {"model": self.default} if "model" in kind.model_fields else {}
        return self.run(kind.build(**{**own, **options}), on_step, on_batch)


class Running:
    """`run`, for whoever has `events`."""

    def events(self, request: Request, *, since: float | None = None) -> Iterator[Progress | Result]:
        """Carry out a request: a `Progress` after each step, a `Result` after each batch."""
        raise NotImplementedError

    def run(
        self,
        request: Request,
        on_step: Callable[[Progress], None] = ignore,
        on_batch: Callable[[Result], None] = ignore,
        *,
        since: float | None = None,
    ) -> Result:
        """Carry out a request whole; an exception raised by one that is told of its progress cancels it.

        >>> studio.run(request, on_batch=lambda batch: batch.save("outputs/"))  # each as soon as it is painted

        Args:
            on_step: is told of each sampling step.
            on_batch: is given each batch of pictures when it is painted.
            since: what `time.perf_counter` said when a budget began to count; now by default.

        Raises:
            SfumatoError: of the kind that says what is wrong.
        """
        batches = []
        for event in self.events(request, since=since):
            if isinstance(event, Progress):
                on_step(event)
            else:
                batches.append(event)
                on_batch(event)
        return Result.joined(batches)
