"""What `Studio`'s methods have in common: options as keywords, made a request and run."""

from collections.abc import Callable

from sfumato.requests import REQUESTS, Painting, parse_size
from sfumato.results import Progress, Result, ignore


class Asking:
    """The ground of `Studio`: it has a default model, and runs requests."""

    default: str

    def run(
        self,
        request: Painting,
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
        request = REQUESTS[task].build(**{"model": self.default, **options})
        assert isinstance(request, Painting)
        return self.run(request, on_step, on_batch)
