"""``sfumato pull``: a model from the Hub into its cache. The only command that goes out to the network."""

from dataclasses import replace
from typing import get_args

from sfumato.cli import interrupts
from sfumato.errors import RequestError, UnknownNameError


def pull(model: str, *, revision: str | None, variant: str | None, quiet: bool) -> None:
    """Fetch what is not there yet, and print where it lies."""
    from sfumato.checkpoints import hub

    address = hub.Address.parse(model)
    if address is None:
        raise RequestError(f"{model[:200]!r} is no model on the Hub; write org/name or org/name/file.safetensors")
    if revision is not None:
        if address.revision not in ("main", revision):
            raise RequestError(
                f"{model} names the revision {address.revision!r}, and --revision another; leave one out"
            )
        if not revision or ".." in revision or revision.startswith("/"):
            raise RequestError(
                f"revision {revision[:200]!r} must be a branch, a tag or a commit; leave it out for main"
            )
        address = replace(address, revision=revision)
    chosen = next((known for known in get_args(hub.Variant) if known == variant), None)
    if variant is not None and chosen is None:
        raise UnknownNameError("variant", variant[:64], get_args(hub.Variant))
    with interrupts.remembered():  # the library may take an interrupt for a broken connection
        print(hub.pull(address, variant=chosen, quiet=quiet))
