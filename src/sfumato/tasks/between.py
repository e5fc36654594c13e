"""Pictures between two: noises on the great circle between two seeds, conditions on the line between two prompts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from sfumato.adapters.applied import Applied
from sfumato.diffusion import conditioning
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.noise import ImageNoise, blended
from sfumato.errors import RequestError
from sfumato.prompts.timeline import Track
from sfumato.requests import Between, Painting
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.plan import Plan
from sfumato.tasks.session import Prompts, encode_prompts, prepare, resolve, takes_latents_alone


def between(applied: Applied, request: Between, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `resolve`, `prepare` and `mixed`."""
    takes_latents_alone(applied.model, "between")
    for name in ("refiner", "subseed_strength"):
        if getattr(request, name):
            raise RequestError(f"between takes no {name}; leave it out")
    exact = resolve(applied.model, request)
    settled = exact.settled
    to_seed = settled.seed if exact.to_seed is None else exact.to_seed
    to_guidance = settled.guidance if exact.to_guidance is None else exact.to_guidance
    exact = exact.changed(to_seed=to_seed, to_guidance=to_guidance)
    here = exact.changed(guidance=settled.guidance + exact.share * (to_guidance - settled.guidance))
    size = settled.size
    session = prepare(applied, here, size, load=load, said=on_the_way(applied, here, exact.to, exact.share))
    plan = seeded(session.plan, to_seed - settled.seed, exact.share)
    yield from paint(replace(session, request=exact, plan=plan), Canvas(size))


def on_the_way(applied: Applied, request: Painting, to: str, share: float) -> Callable[[Plan], Prompts]:
    """The conditions at a share of the way from the request's prompt to another, for `prepare`. Raises as `mixed`."""

    def said(plan: Plan) -> Prompts:
        texts = (request.prompt, to)
        ends = [encode_prompts(applied.model, request.changed(prompt=text), plan, applied.words) for text in texts]
        return mixed(ends[0], ends[1], share)

    return said


def seeded(plan: Plan, away: int, share: float) -> Plan:
    """The plan, whose noise lies at a share of the way from that of each seed to that of one so far away."""

    def noise(seeds: Sequence[int], shape: Sequence[int], *, device: torch.device | str = "cpu") -> ImageNoise:
        first = plan.noise(seeds, shape, device=device)
        last = plan.noise([seed + away for seed in seeds], shape, device=device)
        return blended(first, last, share)

    return replace(plan, noise=noise)


def mixed(first: Prompts, last: Prompts, share: float) -> Prompts:
    """The conditions at a share of the way, at each step between those that both have there.

    Raises:
        RequestError: the prompts have other numbers of parts, or one alone is longer than the text encoder takes.
    """
    if len(first.tracks) != len(last.tracks):
        raise RequestError(
            "prompts of other numbers of parts joined by AND have nothing between them; give both as many"
        )
    tracks, conditions = [], []
    for one, other, here, there in zip(first.tracks, last.tracks, first.conditions, last.conditions, strict=True):
        pairs = list(dict.fromkeys(zip(one.order, other.order, strict=True)))
        order = tuple(pairs.index(pair) for pair in zip(one.order, other.order, strict=True))
        weight = one.weight + share * (other.weight - one.weight)
        tracks.append(Track(tuple(one.readings[i] for i, _ in pairs), order, weight))
        conditions.append([_mixed(here[i], there[j], share) for i, j in pairs])
    return Prompts(tracks, conditions, [*first.captions, *last.captions])


def _mixed(one: Conditioning, other: Conditioning, share: float) -> Conditioning:
    try:
        return conditioning.between(one, other, share)
    except ValueError:
        raise RequestError(
            "one prompt is longer than the text encoder takes at once and the other is not; shorten it"
        ) from None
