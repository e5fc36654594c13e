"""Every screen in Chromium, over the fake worker: reachable, readable, by keys, in both languages and themes."""

import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from sfumato.requests import REQUESTS
from tests.page.conftest import Opened, serving

SCREENS = ("paint", "edit", "compare", "gallery", "queue", "models", "status", "settings", "more")
STEPS = ".row:has(label:text-is('Steps')) input[type=number]"
SIZES = ((1440, 900), (820, 1180), (390, 844))


def ask(url: str, request: dict[str, Any]) -> None:
    body = json.dumps({"task": "txt2img", "steps": 2, "seed": 1, **request}).encode()
    asked = urllib.request.Request(f"{url}/api/v1/jobs", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(asked).close()


@pytest.mark.parametrize(
    ("theme", "language"), [("dark", "zh-CN"), pytest.param("light", "en-GB", marks=pytest.mark.slow)]
)
def test_nothing_is_in_the_way_of_anybody(fake: str, opened: Opened, theme: str, language: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    ask(fake, {"prompt": "a fox"})
    ask(fake, {"prompt": "fail"})
    for width, height in SIZES:
        page = opened(fake, width=width, height=height, theme=theme, language=language)
        for screen in SCREENS:
            page.goto(f"{fake}/#/{screen}")
            page.locator("main .screen").wait_for()
            page.wait_for_timeout(150)
            page.locator(".skeletons").first.wait_for(state="detached")
            found = Axe().run(page, options={"resultTypes": ["violations"]})
            broken = [(each["id"], each["nodes"][0]["html"][:200]) for each in found.response["violations"]]
            assert broken == [], (screen, width)
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            hidden = page.evaluate(
                "[...document.querySelectorAll('main *')].filter(each => !each.closest('.strip, .hidden, .split, .bar')"
                " && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 90))"
            )
            assert (wide, hidden) == (0, []), (screen, width)
        page.keyboard.press("?")
        page.locator("dialog[open] kbd").first.wait_for()
        assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
        said = page.evaluate("document.documentElement.lang")
        assert said == ("zh-Hans" if language == "zh-CN" else "en")


def test_every_task_has_its_form(fake: str, opened: Opened) -> None:
    """Whatever its request holds is in the form, or is drawn on the picture."""
    page = opened(fake)
    drawn = {"task", "text_encoders", "image_encoder", "image", "mask", "box", "images"}
    rows = []
    for screen in ("paint", "edit"):
        page.goto(f"{fake}/#/{screen}")
        page.locator("#task").wait_for()
        for name in page.eval_on_selector_all("#task option", "found => found.map(each => each.value)"):
            page.select_option("#task", name)
            while (fold := page.locator("details.group:not([open]) > summary")).count():
                fold.first.click()
            page.locator("details.group[open]:not(:has(.row))").first.wait_for(state="detached")  # drawn once unfolded
            rows.append(page.locator(".settings .row").count())
            assert not re.search("--[a-z]|SFUMATO_", page.locator(".settings").inner_text()), "the terminal's words"
            both = 1 if {"width", "height"} <= set(REQUESTS[name].model_fields) else 0
            assert rows[-1] >= len(set(REQUESTS[name].model_fields) - drawn) - both, name
    assert len(rows) == len(REQUESTS)


def test_keys(fake: str, opened: Opened) -> None:
    page = opened(fake)
    prompt = page.locator("textarea.main")
    prompt.fill("a red fox")
    prompt.press("End")
    prompt.press("Control+ArrowUp")
    expect(prompt).to_have_value("a red (fox:1.1)")
    prompt.press("Control+ArrowDown")
    expect(prompt).to_have_value("a red fox")
    prompt.press("Control+Enter")
    page.locator('.picture[alt*="a red fox"]').wait_for()  # the list of what is done has an end
    assert prompt.evaluate("each => each === document.activeElement"), "focus stays where it was"
    prompt.fill("slow")
    page.locator(STEPS).fill("1000")
    prompt.press("Control+Enter")
    page.locator(".going").wait_for()
    prompt.evaluate("each => each.blur()")
    page.keyboard.press("Escape")
    page.locator(".jobs li.cancelled").first.wait_for()
    page.keyboard.press("?")
    page.locator("dialog[open] kbd").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.keyboard.press("q")
    page.wait_for_url("**/#/queue")
    page.keyboard.press("Escape")
    page.wait_for_url("**/#/paint")
    page.locator(".finished .picture").wait_for()
    page.keyboard.press("u")
    page.wait_for_url("**/#/edit")
    expect(page.locator("#task")).to_have_value("upscale")
    page.keyboard.press("o")
    expect(page.locator("#task")).to_have_value("outpaint")


def test_what_was_typed_is_kept(fake: str, opened: Opened) -> None:
    page = opened(fake)
    page.locator("textarea.main").fill("一只狐狸")
    page.locator(".counter").first.wait_for()
    page.get_by_role("button", name="16:9").click()
    page.get_by_role("button", name="Keep this seed").click()
    seed = page.locator(".is-seed input").first.input_value()
    assert re.fullmatch("[0-9]+", seed)
    page.reload()
    expect(page.locator("textarea.main")).to_have_value("一只狐狸")
    expect(page.locator(".is-seed input").first).to_have_value(seed)
    page.get_by_role("button", name="16:9", pressed=True).wait_for()
    page.locator("textarea.main").press("Control+Enter")
    page.locator(".picture").wait_for()
    asked = json.load(urllib.request.urlopen(f"{fake}/api/v1/jobs?limit=1"))[0]["request"]
    assert (asked["prompt"], asked["seed"], asked["width"] > asked["height"]) == ("一只狐狸", int(seed), True)
    page.goto(f"{fake}/#/settings")
    page.get_by_role("button", name="中文").click()
    page.locator("h1", has_text="设置").wait_for()
    page.get_by_role("button", name="深色", exact=True).click()
    page.locator("html[data-theme=dark]").wait_for(state="attached")


def test_the_trash_gives_back(fake: str, opened: Opened) -> None:
    ask(fake, {"prompt": "a walrus"})
    page = opened(f"{fake}/#/paint")
    page.locator(".jobs li.done", has_text="a walrus").wait_for()
    page.goto(f"{fake}/#/gallery")
    page.locator("#search").fill("walrus")
    page.get_by_text("1 found").wait_for()
    page.locator(".tile button").click()
    page.locator(".details").get_by_role("button", name="Into the trash").click()
    page.get_by_text("0 found").wait_for()
    page.locator(".notice").get_by_role("button", name="Undo").click()
    page.get_by_text("1 found").wait_for()
    page.locator(".tile input").check()
    page.get_by_role("group", name="1 chosen").get_by_role("button", name="3 of 5 stars").click()
    page.locator(".rated", has_text=re.compile("^★★★$")).wait_for()


def test_a_grid_is_painted_and_its_cells_open(fake: str, opened: Opened) -> None:
    page = opened(f"{fake}/#/compare")
    across, down = page.get_by_label("Across (x)", exact=True), page.get_by_label("Down (y)", exact=True)
    across.select_option("sampler")
    page.get_by_label("Across (x): Sampler").fill("euler, oiler")
    down.select_option("seed")
    page.get_by_label("Down (y): Seed").fill("18446744073709551610-18446744073709551611")
    page.get_by_role("button", name="Paint the grid").first.click()
    page.get_by_text("“oiler” is none of the values").wait_for()
    page.get_by_label("Across (x): Sampler").fill("euler, heun")
    page.get_by_label("Down (y): Seed").fill("7, 18446744073709551610")
    page.get_by_role("button", name="Paint the grid").first.click()
    page.get_by_text("4 of 4 painted").wait_for()
    assert page.locator(".cells th").all_inner_texts() == [
        "Sampler euler",
        "Sampler heun",
        "Seed 7",
        "Seed 18446744073709551610",
    ]
    page.reload()
    page.get_by_role("button", name="Sampler heun, Seed 18446744073709551610").click()
    page.get_by_role("button", name="Hold beside others").click()
    page.get_by_role("button", name="The cell before").click()
    page.locator("dialog .compare .split").wait_for()
    assert page.locator("dialog .compare th").all_inner_texts() == ["Sampler"]
    page.get_by_role("button", name="Difference").click()
    page.locator(".compare.difference").wait_for()
    page.keyboard.press("Escape")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the sheet").click()
    assert saved.value.suggested_filename == "grid.png"


def late(route: Any) -> None:
    answer = route.fetch()
    time.sleep(1)
    route.fulfill(response=answer)


def test_the_queue_is_paused_and_put_in_order(fake: str, opened: Opened) -> None:
    page = opened(f"{fake}/#/queue")
    page.locator(".queue").wait_for()
    urllib.request.urlopen(
        urllib.request.Request(
            f"{fake}/api/v1/queue", b'{"paused": true}', {"Content-Type": "application/json"}, method="PATCH"
        )
    ).close()
    for words in ("a heron", "a stork", "a crane"):
        ask(fake, {"prompt": words})
    page.get_by_text("a crane").wait_for()
    page.get_by_role("button", name="Paint this next: a crane").click()
    page.locator("ol.jobs li:nth-child(1)", has_text="a crane").wait_for()
    page.get_by_role("button", name=re.compile("Move .* a heron")).press("ArrowDown")
    page.locator("ol.jobs li:nth-child(3)", has_text="a heron").wait_for()
    page.locator("ol.jobs li:nth-child(2)", has_text="a stork").wait_for()
    page.locator("ol.jobs li:nth-child(1)", has_text="a crane").wait_for()
    page.get_by_role("button", name="Pass over for now: a stork").click()
    page.locator("ol.jobs li.paused", has_text="a stork").wait_for()
    page.reload()
    page.get_by_role("button", name="Let the queue go on").click()
    page.locator("li.done", has_text="a heron").wait_for()
    page.route("**/resume", late)  # it is painted before the page hears that it waits
    with page.expect_response("**/resume"):
        page.get_by_role("button", name="Let it wait again: a stork").click()
    page.wait_for_timeout(200)
    page.locator("li.done", has_text="a stork").wait_for()
    expect(page.locator("ol.jobs li", has_text="a stork")).to_have_count(0)


def test_pictures_are_chosen_by_keys_and_put_on_boards(fake: str, opened: Opened) -> None:
    for seed in range(3):
        ask(fake, {"prompt": "a quokka", "seed": 50 + seed})
    page = opened(f"{fake}/#/gallery")
    with page.expect_response(lambda answer: "q=quokka" in answer.url):  # three may be all there are before it, too
        page.locator("#search").fill("quokka")
    page.get_by_text("3 found").wait_for()
    page.locator(".tile button").first.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_role("group", name="2 chosen").wait_for()
    page.get_by_role("textbox", name="Put on a board").fill("zoo")
    page.keyboard.press("Enter")
    page.locator(".boards button", has_text="zoo").click()
    page.get_by_text("2 found").wait_for()
    page.locator(".tile button").first.focus()
    page.keyboard.press("Control+a")
    page.get_by_role("group", name="2 chosen").wait_for()
    page.keyboard.press("Escape")
    page.locator(".chosen").wait_for(state="detached")
    page.locator(".tile button").first.press(" ")
    page.get_by_role("group", name="1 chosen").wait_for()


def test_a_sketch_is_drawn_and_edited(fake: str, opened: Opened) -> None:
    page = opened(f"{fake}/#/edit")
    page.get_by_role("button", name="Draw one").click()
    paper = page.locator(".paper canvas")
    box = paper.bounding_box()
    use = page.get_by_role("button", name="Use this drawing")
    expect(use).to_be_disabled()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 120, steps=4)
    page.mouse.up()
    page.keyboard.press("Control+z")
    expect(use).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    ink = page.locator(".inks input")
    drawn = ink.input_value()
    for x, y, colour in ((5, 5, "#ffffff"), (40, 40, drawn)):
        page.keyboard.press("i")
        page.mouse.click(box["x"] + x, box["y"] + y)
        expect(ink, "the colour under the pointer").to_have_value(colour)
    page.get_by_role("button", name="White or black paper").click()
    expect(ink, "what is drawn next is seen").to_have_value("#ffffff")
    use.click()
    page.locator("canvas.board").wait_for()
    page.select_option("#task", "outpaint")
    page.get_by_role("button", name="64 pixels more: Right").click()
    expect(page.locator(".row:has(label:text-is('Right')) input[type=number]")).to_have_value("64")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".row:has(label:text-is('Right')) input[type=number]")).to_have_value("")
    page.select_option("#task", "upscale")
    page.get_by_role("button", name="Paint", exact=True).click()
    before, after = (page.get_by_alt_text(f"The picture {when}", exact=True) for when in ("before", "after"))
    after.wait_for()
    assert before.bounding_box() == after.bounding_box(), "both are shown in one size, though one has fewer pixels"


def test_frames_follow_each_other_and_are_played(fake: str, opened: Opened) -> None:
    ask(fake, {"prompt": "a tortoise", "width": 32, "height": 32})
    page = opened(fake)
    page.locator('.picture[alt*="a tortoise"]').wait_for()
    page.locator(".finished").get_by_label("Send to").select_option("follow")
    page.locator("canvas.board").wait_for()
    page.locator(".row:has(label:text-is('Frames')) input[type=number]").fill("3")
    page.get_by_role("button", name="Paint", exact=True).click()
    save = page.get_by_role("link", name="Save the animation")
    page.get_by_role("button", name="Back to the picture before").wait_for()
    assert page.locator(".player .above").inner_text().startswith("Frame "), "it is played"
    jobs = json.load(urllib.request.urlopen(f"{fake}/api/v1/jobs?limit=3"))
    assert [job["task"] for job in jobs] == ["follow"] * 3
    seeds = [int(job["pictures"][0]["seed"]) for job in reversed(jobs)]
    assert seeds == [seeds[0], seeds[0] + 1, seeds[0] + 2]
    with page.expect_download() as saved:
        save.click()
    assert saved.value.suggested_filename == "sfumato.webp"


def test_what_lies_at_a_path_is_looked_into_and_painted_with(fake: str, opened: Opened) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(f"{fake}/#/models")
    page.get_by_label("Load by path").fill("/etc/passwd")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("in none of the folders that this service serves").wait_for()
    page.get_by_label("Load by path").fill("ink.safetensors")
    page.keyboard.press("Enter")
    look = page.get_by_role("dialog", name="ink")
    look.get_by_text("a LoRA that does not fit nano: ").wait_for()
    expect(look).to_contain_text("inkwash")
    assert look.locator("dd code").inner_text().isalnum()
    assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
    page.keyboard.press("Escape")
    look.wait_for(state="detached")
    page.locator("button.file", has_text="ink").press("Enter")
    look.get_by_role("button", name="Paint with it").click()
    page.wait_for_url("**/#/paint")
    page.get_by_text("LoRA and embeddings").click()
    expect(page.get_by_label("Weight: ink")).to_have_value("1")


def test_a_failure_says_why(fake: str, opened: Opened) -> None:
    page = opened(fake)
    page.locator("textarea.main").fill("fail")
    page.locator("textarea.main").press("Control+Enter")
    page.locator(".notice.bad").wait_for()
    expect(page.locator(".notice.bad")).to_contain_text("the prompt asks for it")
    page.locator(STEPS).fill("5000")
    page.locator("textarea.main").press("Control+Enter")
    page.get_by_text("steps 5000 must be 1 to 1000").wait_for()


def test_a_token_is_asked_for_once(browser: Any, opened: Opened, tmp_path: Path) -> None:
    token = "a-token-that-was-printed"
    with serving("tests.service.fake_service", str(tmp_path / "data"), "{port}", token, folder=tmp_path) as url:
        page = opened(url)
        page.fill("#token", "something else entirely")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token").wait_for()
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.locator("textarea.main").wait_for()
        page.reload()
        page.locator("textarea.main").wait_for()
        assert token not in page.evaluate("JSON.stringify(localStorage) + document.cookie")


def test_it_is_painted_as_somebody_types(fake: str, opened: Opened) -> None:
    page = opened(fake)
    page.get_by_role("button", name="Paint as I type").click()
    page.locator("textarea.main").fill("a fox")
    page.get_by_alt_text("Quick sketch of the prompt").wait_for()
    jobs = json.load(urllib.request.urlopen(f"{fake}/api/v1/jobs"))
    assert "a fox" not in {job["request"]["prompt"] for job in jobs if job["request"].get("fast")}
    page.locator("textarea.main").fill("a fox in snow")
    page.get_by_role("button", name="Paint", exact=True).click()
    page.locator(".finished .actions").wait_for()
    expect(page.get_by_alt_text("Quick sketch of the prompt")).to_have_count(0)
    page.get_by_role("button", name="Paint as I type", pressed=True).click()
