"""A trained model as it is bundled: `python -m recipes.nano.bundle EXPORT TARGET [--mean EXPORT] [...]`.

    python -m recipes.nano.bundle runs/nano/reward/export src/sfumato/data/nano --mean runs/nano/denoiser/export
    python -m recipes.nano.bundle runs/nano/language/export src/sfumato/data/nano --text
    python -m recipes.nano.bundle runs/nano/views/export src/sfumato/data/nano --expert scenes

The target is the denoiser's export, or the mean of it and of what it began with, in a byte a weight (`lighten.py`),
with another decoder if one is given, the sources of its training pictures, a page about it (`card.md`, filled in) and
the digests of its weights. It takes its name only when it loads and paints. With `--text` the target is a bundle that
was taught other wordings: its text encoder and the words that it knows are replaced, nothing else. With `--expert` it
is a bundle that is given other weights for some kinds of pictures (`sfumato.checkpoints.experts`).
"""

import argparse
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file

from recipes.nano.data.words import STYLES
from recipes.nano.data.words.objects import names, selection
from recipes.nano.language.lexicon import EXPERTS, experts_of
from recipes.nano.lighten import lighten
from sfumato.checkpoints.experts import FOLDER
from sfumato.checkpoints.folder import part_file, read_json
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import CheckpointError, SfumatoError
from sfumato.files import sha256, whole_folder
from sfumato.prompts.vocabulary import FILE, Vocabulary
from sfumato.studio import Studio
from sfumato.training.latents import load_autoencoder

RECIPE = Path(__file__).parent
PARTS = ("unet", "text_encoder")
"""What is trained of a model once its autoencoder is."""
SUMS = "SHA256SUMS"


def bundle(
    export: Path,
    target: Path,
    vae: Path | None = None,
    mean: Path | None = None,
    begun: Path | None = None,
    *,
    watched: int | None = None,
) -> None:
    """Write the folder `target`, in the place of an older one; that stays if anything fails.

    Args:
        export: a folder in the diffusers layout with its `world.json`, as training the denoiser leaves it.
        vae: an autoencoder with the same latents, to take the place of the export's.
        mean: what the export began with: weights half way between both keep more of what either can do (Wortsman et
            al. 2022, arXiv:2109.01903).
        begun: the bundle that the export began with: its experts stay, and kinds of pictures of which the export was
            shown nothing are still said to be known.
        watched: by so many of the recipe's prompts the rounding of weights is measured, or by all.

    Raises:
        CheckpointError: a part is missing or damaged, `vae` or `begun` has other latents, or the model paints a single
            colour.
        TrainingError: the folder cannot be written.
    """
    read_json(export / "model_index.json")  # before anything is copied
    vocabulary = Vocabulary.read(export)
    if vocabulary is None:
        raise CheckpointError(f"{export / FILE} is missing or damaged; training the denoiser writes it")
    about = {kind: _typed(about) for kind, about in vocabulary.about.items()}
    vocabulary = replace(vocabulary, about=about, dropped=_dropped(vocabulary))
    if vae is not None:
        _check_latents(vae, export / "vae")
    if begun is not None:
        vocabulary = _joined(vocabulary, export, begun, experts_of(begun))
    with whole_folder(target) as folder:
        shutil.copytree(export, folder, dirs_exist_ok=True)
        if vae is not None:
            shutil.rmtree(folder / "vae")
            shutil.copytree(vae, folder / "vae")
        if begun is not None and (begun / FOLDER).is_dir():
            shutil.copytree(begun / FOLDER, folder / FOLDER)
        if mean is not None:
            _meet(folder, mean)
        lighten(folder, _prompts()[:watched])
        vocabulary.write(folder)
        _describe(folder, vocabulary)


def bundle_text(export: Path, target: Path, mean: Path | None = None) -> None:
    """Give the bundle `target` the text encoder and the words of `export`, which was taught with all else of it frozen,
    or the mean of that text encoder and the one of `mean`.

    Raises:
        CheckpointError: the export's network is not the target's, a part is damaged, or it paints a single colour.
        TrainingError: the folder cannot be written.
    """
    if sha256(part_file(export / "unet")) != sha256(part_file(target / "unet")):
        raise CheckpointError(
            f"{export} was taught beside another U-Net than {target} has; teach language to the latter"
        )
    vocabulary = Vocabulary.read(export)
    if vocabulary is None:
        raise CheckpointError(f"{export / FILE} is missing or damaged; training language writes it")
    with whole_folder(target) as folder:
        shutil.copytree(target, folder, dirs_exist_ok=True)
        _replace(export, folder, "text_encoder")
        if mean is not None:
            _meet(folder, mean, ("text_encoder",))
        lighten(folder, _prompts(), parts=("text_encoder",))
        vocabulary.write(folder)
        _describe(folder, vocabulary)


def bundle_expert(
    export: Path, target: Path, name: str, mean: Path | None = None, *, watched: int | None = None
) -> None:
    """Give the bundle `target` the U-Net and text encoder of `export` for the kinds of pictures of that expert.

    Raises:
        CheckpointError: the export is of another form, has other latents or other pieces of words than the target, a
            part is damaged, or it paints a single colour.
        TrainingError: the folder cannot be written.
    """
    known, new = Vocabulary.read(target), Vocabulary.read(export)
    if known is None or new is None:
        raise CheckpointError(f"{FILE} of {export} or {target} is missing or damaged; training and bundling write it")
    lacking = [kind for kind in EXPERTS[name] if kind not in new.about]
    if lacking:
        raise CheckpointError(f"{export} never learned pictures of the kind {lacking[0]}, which {name} is to paint")
    _check_latents(export / "vae", target / "vae")
    _check_words(export, target)
    about = {**known.about} | {kind: _typed(new.about[kind]) for kind in EXPERTS[name]}
    vocabulary = replace(known, known=tuple(sorted({*known.known, *new.known})), about=about)
    with whole_folder(target) as folder, TemporaryDirectory() as place:
        shutil.copytree(target, folder, dirs_exist_ok=True)
        whole = Path(place) / name
        shutil.copytree(export, whole)
        if mean is not None:
            _meet(whole, mean)
        lighten(whole, _prompts("views")[:watched])
        _facts(whole)  # whether it paints
        for part in PARTS:
            _replace(whole, folder / FOLDER / name, part)
        vocabulary.write(folder)
        _describe(folder, vocabulary)


def _joined(vocabulary: Vocabulary, export: Path, begun: Path, experts: Sequence[str]) -> Vocabulary:
    """With what the bundle that an export began with knows of other kinds of pictures."""
    old = Vocabulary.read(begun)
    if old is None:
        raise CheckpointError(f"{begun / FILE} is missing or damaged; bundling writes it")
    _check_latents(begun / "vae", export / "vae")
    _check_words(export, begun)
    painted = {kind for name in experts for kind in EXPERTS[name]}
    about = {kind: about for kind, about in vocabulary.about.items() if kind not in painted}
    known = tuple(sorted({*vocabulary.known, *old.known}))
    return replace(vocabulary, known=known, about={**old.about, **about})


def _check_words(export: Path, begun: Path) -> None:
    if any(sha256(export / file) != sha256(begun / file) for file in ("tokenizer/vocab.json", "tokenizer/merges.txt")):
        raise CheckpointError(f"{export} reads other pieces of words than {begun}; it must have begun with it")


def _replace(source: Path, target: Path, part: str) -> None:
    shutil.rmtree(target / part, ignore_errors=True)
    shutil.copytree(source / part, target / part)


def _prompts(stage: str = "denoiser") -> list[str]:
    """What a model is watched painting while its weights are rounded."""
    found: list[str] = tomllib.loads((RECIPE / f"{stage}.toml").read_text(encoding="utf-8"))["prompts"]
    return found


def _describe(folder: Path, vocabulary: Vocabulary) -> None:
    """The sources of its pictures, the page about it, and the digests of its weights."""
    shutil.copy(RECIPE / "SOURCES.md", folder)
    page = (
        (RECIPE / "card.md")
        .read_text(encoding="utf-8")
        .format(**_facts(folder), experts="".join(_experts(folder)), knows="\n".join(_known(vocabulary)))
    )
    (folder / "README.md").write_text(page, encoding="utf-8")
    (folder / SUMS).write_text("".join(f"{digest}  ./{name}\n" for name, digest in digests(folder)))


def _meet(folder: Path, other: Path, parts: Sequence[str] = PARTS) -> None:
    """Each weight of those parts becomes the mean of itself and the other's."""
    for part in parts:
        file = part_file(folder / part)
        ours, theirs = read_tensors(file), read_tensors(part_file(other / part))
        if {name: x.shape for name, x in ours.items()} != {name: x.shape for name, x in theirs.items()}:
            raise CheckpointError(f"{other / part} is of another form than the export's; give the one it began with")
        save_file({name: x.float().lerp(theirs[name].float(), 0.5).half() for name, x in ours.items()}, file)


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Each file of weights, by its name in the folder, and its SHA-256."""
    for file in sorted(folder.rglob("*.safetensors")):
        yield file.relative_to(folder).as_posix(), sha256(file)


def _check_latents(vae: Path, replaced: Path) -> None:
    """What the denoiser paints means the same to both."""
    new, old = load_autoencoder(vae), load_autoencoder(replaced)
    ours, theirs = new.encoder.state_dict(), old.encoder.state_dict()
    same = ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    statistics = [(model.config.latents_mean, model.config.latents_std) for model in (new, old)]
    if not same or statistics[0] != statistics[1]:
        raise CheckpointError(f"{vae} has other latents than {replaced}; train its decoder alone, as finish.toml does")


def _typed(about: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What may be said of a kind of picture, its styles as one types them."""
    return {k: tuple(STYLES.get(v, v) for v in values) if k == "style" else values for k, values in about.items()}


def _dropped(vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    """Of the emoji those that are not drawn any more, where a model knows the short list."""
    known = set(vocabulary.about.get("emoji", {}).get("name", ()))
    if not known or known - names().keys():
        return {}
    return {each["reason"]: tuple(each["names"]) for each in selection()["dropped"]}


def _known(vocabulary: Vocabulary) -> Iterator[str]:
    """A line a kind of picture."""
    for kind, about in sorted(vocabulary.about.items()):
        styles = ", ".join(about.get("style", ()))
        words = {key: len(values) for key, values in sorted(about.items()) if key != "style" and "_zh" not in key}
        yield f"- {kind} ({styles}): " + ", ".join(f"{key.replace('_', ' ')} {n:,}" for key, n in words.items())


def _experts(folder: Path) -> Iterator[str]:
    """What is painted by weights of its own."""
    for name in experts_of(folder):
        kinds = " and ".join(EXPERTS[name])
        yield f" Pictures of the kind {kinds} are painted by an expert, a U-Net and text encoder of the same form\n"
        yield f"(`{FOLDER}/{name}`)."


def _facts(folder: Path) -> dict[str, str | int]:
    """The side in pixels of what it paints, and the number of parameters of its parts."""
    studio = Studio(folder, device="cpu", precision="fp32")
    image = studio.txt2img("", seed=0, steps=2)[0].convert("RGB")
    if image.getcolors(1) is not None:
        raise CheckpointError(f"{folder} paints a single colour; is it trained?")
    model = studio.load()
    parts = {**model.components, "vae": load_autoencoder(folder / "vae")}
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    return {"size": image.width, **{name: f"{count / 1e6:.1f} M" for name, count in counts.items()}}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="what training the denoiser left")
    parser.add_argument("target", type=Path, help="a folder; an older bundle is replaced")
    parser.add_argument("--vae", type=Path, help="the finished autoencoder's `vae` folder")
    parser.add_argument("--mean", type=Path, help="what the export began with: bundle the mean of both")
    parser.add_argument("--begun", type=Path, help="the bundle that the export began with: its experts stay")
    parser.add_argument("--text", action="store_true", help="replace only the text encoder of a bundle")
    parser.add_argument("--expert", choices=EXPERTS, help="give a bundle weights for some kinds of pictures")
    given = parser.parse_args(arguments)
    if given.vae and (given.text or given.expert):
        parser.error("--text and --expert keep the bundle's autoencoder; leave out --vae")
    try:
        if given.expert:
            bundle_expert(given.export, given.target, given.expert, given.mean)
        elif given.text:
            bundle_text(given.export, given.target, given.mean)
        else:
            bundle(given.export, given.target, given.vae, given.mean, given.begun)
    except SfumatoError as error:
        raise SystemExit(f"bundle: {error}") from error
    print(given.target)


if __name__ == "__main__":
    main()
