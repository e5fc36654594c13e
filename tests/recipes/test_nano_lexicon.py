"""The lexicon in nano's folder: as its recipe makes it, and true to what people ask for."""

import json
from random import Random

import pytest
from recipes.nano.data.captions import LANGUAGES, Language, full_caption
from recipes.nano.data.words.objects import FACINGS, POSITIONS, names
from recipes.nano.language.card import SCENES, Prompt, prompts
from recipes.nano.language.lexicon import Builder, experts_of
from recipes.nano.language.wordings import drawn

import sfumato
from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.prompts.interpretation import interpret
from sfumato.prompts.lexicon import FILE, Lexicon
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.tasks.plan import plan
from sfumato.tasks.session import encode_prompts, resolve


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    found = Lexicon.read(bundled_folder("nano"))
    assert found is not None
    return found


def test_it_is_what_the_recipe_makes() -> None:
    known = Vocabulary.read(bundled_folder("nano"))
    assert known is not None
    built = Builder(known, experts_of(bundled_folder("nano"))).build()
    made = json.dumps(built, ensure_ascii=False, separators=(",", ":")) + "\n"
    assert (bundled_folder("nano") / FILE).read_text(encoding="utf-8") == made


def understood(lexicon: Lexicon, asked: list[Prompt]) -> float:
    """The share of all that must be seen which the caption says, of landscapes as scenes show it."""
    right = []
    for prompt in asked:
        said = interpret(prompt.prompt, lexicon).caption or ""
        for name, words in prompt.seen.items():
            alike = [other for word in words for _, other in SCENES.get((name, word), ())]
            right += [any(word in said for word in (*words, *alike))] if name not in ("kind", "style") else []
    return sum(right) / len(right)


def test_it_understands_people(lexicon: Lexicon) -> None:
    """All of the prompts that it was made by, most of those that are kept aside."""
    assert understood(lexicon, prompts("dev")) > 0.98
    assert understood(lexicon, prompts("card")) > 0.84


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("can you paint a forest in autumn?", "flat illustration, forest, daytime, autumn"),
        ("a green three-eyed monster", "cute monster, three eyes, green body"),
        ("绿色的三眼怪物", "cute monster, three eyes, green body"),
        ("purple sunset above the hills", "flat illustration, rolling hills, sunset, purple sky, low sun"),
        ("a red sun over the sea", "flat illustration, sea, daytime, red sun"),
        ("the big red sun sinking into the ocean", "flat illustration, sea, sunset, orange sky, red low sun"),
        ("又大又红的太阳，大海", "flat illustration, sea, daytime, red sun"),
        ("a minecraft man in overalls", "voxel game character, overalls"),
        ("我的世界风格的小人", "voxel game character"),
        ("masterpiece, 1girl, blonde hair, blue eyes", "flat cartoon portrait, blonde long hair with bangs"),
        ("portrait of a cat", "3d emoji of a large cat"),
        ("robot with antenna, blue", "robot, blue body, antenna"),
        ("黑狗", "3d emoji of a large dog"),
        ("帆船在海上", "flat illustration, sea, daytime, sailboat"),
        ("a moon over mountains", "flat illustration, mountain landscape, night, full moon, mountains"),
        ("星空下的沙漠", "flat illustration, desert, night, cacti, starry sky"),
        ("a mountain lake at dawn", "flat illustration, lake, sunrise, peach sky, low sun, mountains"),
        ("an island with palm trees", "flat illustration, tropical island, daytime, palm trees"),
        ("a dog on the beach", "3d emoji of a large dog"),
        ("a polar penguin in antarctica", "3d emoji of a large penguin"),
        ("森林里的一只鹿", "3d emoji of a large deer"),
        ("the sea with a dolphin", "flat illustration, sea, daytime, dolphin"),
        ("海底世界，有小鱼", "flat illustration, underwater world, corals, fish"),
        ("a taxi in the city", "emoji art of a large taxi"),
        ("a 🐶 on a green background", "3d emoji of a large dog face, green background"),
        ("👩‍🚀", "3d emoji of a large astronaut"),
        ("❤️❤️", "3d emoji of a large red heart"),
        ("a man without glasses, with a beard", "flat cartoon portrait, short hair, full beard"),
        ("a smiling woman, no red hat", "flat cartoon portrait, long straight hair, smile"),
        ("一个不戴眼镜的女孩，长头发", "flat cartoon portrait, long straight hair"),
        ("岩石行星，棕色，没有环", "planet illustration, brown planet"),
        ("mars", "planet illustration, red planet, large patches"),
        ("a green mars", "planet illustration, green planet, large patches"),
        ("紫色独眼怪，白色背景", "cute monster, one eye, purple body, white background"),
        ("外星人宝宝，绿色皮肤", "cute monster, green body"),
        ("小恶魔，红色", "cute monster, red body, horns"),
        ("我的世界里的农夫，棕色裤子", "voxel game character, brown trousers"),
        ("紫色行星，两个卫星，表面坑坑洼洼", "planet illustration, purple planet, craters, two moons"),
        ("a minecraft girl with a purple top", "voxel game character, purple clothes"),
        ("游戏角色：骑士，灰色盔甲", "voxel game character, grey clothes"),
    ],
)  # fmt: skip
def test_ways_of_asking(lexicon: Lexicon, prompt: str, caption: str) -> None:
    """A frame is none of the picture; a colour reaches past other adjectives, but no further; what a thing stands
    before is no head; booru's tags name persons. What is said to be missing is not painted; what a kind of picture
    cannot show is none of it, but for its colour. No thing of others stands in a scene, and no animal that a prompt is
    about: it is painted by itself."""
    said = interpret(prompt, lexicon).caption
    assert said is not None
    assert set(said.split(", ")) == set(caption.split(", "))
    assert interpret(prompt, lexicon).expert == ("scenes" if caption.startswith("flat illustration") else "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_recipe_s_own_captions_stay_as_they_are(lexicon: Lexicon, language: Language) -> None:
    rng = Random(3)
    captions = [full_caption(drawn(kind, rng), language) for kind in lexicon.kinds for _ in range(40)]
    changed = [caption for caption in captions if interpret(caption, lexicon).caption is not None]
    assert len(changed) < 0.05 * len(captions), changed


@pytest.fixture(scope="module")
def with_scenes() -> Lexicon:
    """What a model reads that knows scenes as well, and things of several sizes and places."""
    rng = Random(5)
    settings = [
        {"kind": "emoji", "size": size, "position": position, "facing": facing}
        for size, position, facing in zip(("small", "large") * 5, POSITIONS, FACINGS * 5, strict=False)
    ]
    staged = [{"kind": "scene", "object": thing} for thing in names()] * 3
    seen = Vocabulary.learn((), [*(drawn("scene", rng) for _ in range(2000)), *staged, *settings])
    bundled = Vocabulary.read(bundled_folder("nano"))
    assert bundled is not None
    about = {**bundled.about, "scene": seen.about["scene"]}
    about["emoji"] = {**bundled.about["emoji"], **seen.about["emoji"]}
    return Lexicon.parse(Builder(Vocabulary(bundled.known, about)).build())


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("a beautiful beach at sunset", "flat illustration, beach, sunset, orange sky, low sun, palm trees"),
        ("夕阳下的海边", "flat illustration, beach, sunset, orange sky, low sun, palm trees"),
        ("a red sailboat on the sea at sunset", "flat illustration, sea, sunset, orange sky, low sun, red sailboat"),
        ("海上的红色帆船，日落", "flat illustration, sea, sunset, orange sky, low sun, red sailboat"),
        ("oil painting of a forest in autumn", "soft painting, forest, daytime, autumn"),
        ("剪纸风格的村庄，下雪", "paper cut illustration, village, daytime, snowfall"),
        ("snowy mountains under a blue sky", "flat illustration, mountain landscape, daytime, blue sky, "
                                             "snowy mountains"),
        ("a boat on a lake in the mountains", "flat illustration, lake, daytime, mountains, rowing boat"),
        ("northern lights over a lake", "flat illustration, lake, night, aurora"),
        ("turquoise lake with pine trees", "flat illustration, lake, daytime, turquoise water, pine trees"),
        ("a dog on the beach", "flat illustration, beach, daytime, palm trees, dog"),
        ("rain in the city", "flat illustration, city skyline, daytime, rain"),
        ("风景", "flat illustration, lake, daytime"),
        ("a city bus", "3d emoji of a large bus"),
        ("a small red apple in the top left corner", "3d emoji of a red apple, in the top left corner"),
        ("cat facing left", "3d emoji of a large cat, facing left"),
        ("a green planet with rings and two moons", "planet illustration, green planet, two moons, double ring"),
        ("a girl with red hair at the beach", "flat cartoon portrait, red long hair with bangs"),
        ("blue monster in the forest", "cute monster, blue body"),
        ("an umbrella for rainy days", "3d emoji of a large umbrella"),
        ("purple sunset above the hills", "flat illustration, rolling hills, sunset, purple sky, low sun"),
        ("the big red sun sinking into the sea", "flat illustration, sea, sunset, orange sky, red low sun"),
        ("月光照在海面上", "flat illustration, sea, night"),
        ("a moon over mountains", "flat illustration, mountain landscape, night, mountains, full moon"),
    ],
)  # fmt: skip
def test_scenes(with_scenes: Lexicon, prompt: str, caption: str) -> None:
    """Places win over what stands in them, persons and creatures over places, and where hour and sky are open, they are
    what people would expect."""
    said = interpret(prompt, with_scenes).caption
    assert said is not None
    assert set(said.split(", ")) == set(caption.split(", "))


@pytest.mark.parametrize("language", LANGUAGES)
def test_scenes_in_the_recipe_s_own_words_stay_as_they_are(with_scenes: Lexicon, language: Language) -> None:
    rng = Random(3)
    captions = [full_caption(drawn("scene", rng), language) for _ in range(100)]
    changed = [caption for caption in captions if interpret(caption, with_scenes).caption is not None]
    assert len(changed) < 0.05 * len(captions), changed


def test_words_that_were_taught_are_left_alone() -> None:
    """A name that a LoRA or an embedding taught stands in no lexicon, and would be lost."""
    studio = sfumato.Studio("nano", device="cpu", precision="fp32")
    model = studio.load()
    prompts = [("mila on a beach", True), ("<lora:mila:1> mila on a beach", False)]
    for prompt, read in (*prompts, ("a beach, embedding:mila", False)):
        syntax = "comfy" if "embedding:" in prompt else "a1111"
        request = resolve(model, sfumato.Txt2Img(prompt=prompt, prompt_syntax=syntax, model="nano", steps=2))
        how = plan(model.sampling_of(256, 256), request)
        assert bool(encode_prompts(model, request, how).captions) is read


def test_the_caption_is_painted_and_told() -> None:
    studio = sfumato.Studio("nano", device="cpu", precision="fp32")

    def painted(prompt: str, **options: object) -> tuple[bytes, str]:
        result = studio.txt2img(prompt, seed=1, steps=2, size="128x128", **options)  # type: ignore[arg-type]
        return result[0].tobytes(), result.provenance.caption

    caption = "flat illustration, beach, sunset, orange sky, low sun, palm trees"
    seaside = painted("a beautiful beach at sunset")
    assert seaside == (painted(caption)[0], caption)
    assert painted(caption)[1] == ""
    assert painted("a beautiful beach at sunset", as_written=True)[1] == ""
    assert painted("a beautiful beach at sunset", as_written=True)[0] != seaside[0]
    assert painted("a (beautiful:1.2) beach at sunset")[1] == ""  # who weighs words means these words
    assert painted("[a dog:the sea:0.5]")[1] == "3d emoji of a large dog | flat illustration, sea, daytime"
