"""Somebody paints, edits a part and finds the picture again, with the bundled model on the real service.

With SFUMATO_SCREENS=docs/pictures the screens of the guide are taken on the way.
"""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.page.conftest import Opened, serving

SCREENS = os.environ.get("SFUMATO_SCREENS")
PAINTED = 240_000 if SCREENS is None else 900_000
"""Milliseconds for a picture, the model's loading included, on a busy machine."""
STEPS = ".row:has(label:text-is('{}')) input[type=number]"


@pytest.fixture(scope="module")
def service(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    with serving("sfumato", "serve", "--port", "{port}", "--data", str(folder / "data"), folder=folder) as url:
        yield url


def taken(page: Any, name: str) -> None:
    if SCREENS is not None:
        page.wait_for_timeout(500)
        Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(Path(SCREENS) / f"{name}.webp", quality=60)


def test_paint_edit_and_find_again(service: str, opened: Opened) -> None:
    page = opened(service, width=1280, height=800)
    page.locator("textarea.main").fill("a yellow tulip in a blue pot")
    page.get_by_text("of 62 tokens").wait_for()
    page.locator(STEPS.format("Steps")).fill("12" if SCREENS else "4")
    page.locator(".is-seed input").first.fill("7")
    page.locator("textarea.main").press("Control+Enter")
    page.locator(".going .done").wait_for()
    page.locator(".finished .picture").wait_for(timeout=PAINTED)
    assert page.locator(".finished .picture").evaluate("each => each.naturalWidth") == 256
    expect(page.locator(".finished .caption q"), "what the model read of it").to_contain_text("yellow tulip, blue pot")
    taken(page, "page-paint")

    page.locator(".finished").get_by_label("Send to").select_option("inpaint")
    board = page.locator("canvas.board")
    board.wait_for()
    page.wait_for_timeout(500)
    box = board.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 60, y - 90)
    page.mouse.down()
    page.mouse.move(x + 60, y - 70, steps=6)
    page.mouse.move(x - 40, y - 50, steps=6)
    page.mouse.up()
    undo, redo = page.get_by_role("button", name="Undo"), page.get_by_role("button", name="Redo")
    undo.click()
    expect(undo).to_be_disabled()
    redo.click()
    expect(undo).to_be_enabled()
    taken(page, "page-edit")
    page.locator("textarea.main").fill("a red tulip in a blue pot")
    page.locator(STEPS.format("Steps")).fill("12" if SCREENS else "4")
    page.get_by_role("button", name="Paint", exact=True).click()
    page.locator(".split").wait_for(timeout=PAINTED)
    before, after = (
        Image.open(io.BytesIO(page.request.get(service + page.locator(chosen).get_attribute("src")).body()))
        for chosen in (".split .over img", ".split > img")
    )
    assert before.getpixel((4, 4)) == after.getpixel((4, 4)), "outside of the mask every pixel stays"
    assert before.tobytes() != after.tobytes()

    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.goto(f"{service}/#/gallery")
    page.locator("#search").fill("red tulip")
    tile = page.locator(".tile button")
    page.get_by_text("1 found").wait_for()
    tile.first.click()
    page.get_by_role("button", name="4 of 5 stars").click()
    page.locator(".details").get_by_label("Add a tag").first.fill("garden")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="garden", exact=True).wait_for()
    page.get_by_role("heading", name="Made from", exact=True).wait_for()
    page.locator("#search").fill("tulip")
    page.get_by_text("2 found").wait_for()
    taken(page, "page-gallery")
    if SCREENS is not None:
        grid(page, service)
    page.locator(".rated", has_text=re.compile("^★★★★$")).wait_for()


def grid(page: Any, service: str) -> None:
    """For the guide: words of the prompt across, guidance down."""
    shown = page.context.new_page()
    shown.set_default_timeout(8 * PAINTED)
    shown.goto(f"{service}/#/compare")
    for side, field, values in (
        ("Across (x)", "words", "yellow tulip, red tulip, cactus"),
        ("Down (y)", "guidance", "2, 5"),
    ):
        shown.get_by_label(side, exact=True).select_option(field)
        shown.get_by_label(re.compile(f"{re.escape(side)}: ")).fill(values)
    shown.get_by_role("button", name="Paint the grid").first.click()
    shown.get_by_text("6 of 6 painted").wait_for()
    taken(shown, "page-compare")
    shown.close()


def test_a_dropped_picture_brings_its_settings(service: str, opened: Opened, tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    settings = "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6, Seed: 99, Size: 64x64, Model: harbor"
    said.add_text("parameters", f"a blue boat\nNegative prompt: people\n{settings}")
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "navy").save(buffer, "PNG", pnginfo=said)
    page = opened(service)
    page.locator("textarea.main").wait_for()
    drop = (
        """bytes => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], "boat.png", {type: "image/png"}));
            const how = {bubbles: true, cancelable: true, dataTransfer: carried};
            document.querySelector(".stage").dispatchEvent(new DragEvent("drop", how));
        }""",
        list(buffer.getvalue()),
    )
    page.evaluate(*drop)
    page.get_by_text("These settings are in the form now").wait_for()
    expect(page.locator("textarea.main")).to_have_value("a blue boat")
    expect(page.locator(".is-seed input").first).to_have_value("99")
    expect(page.locator(STEPS.format("Steps"))).to_have_value("20")
    page.locator(".lines li", has_text="Model harbor: it is not here, so nano stands in its place").wait_for()
    page.keyboard.press("Escape")
    page.goto(f"{service}/#/edit")
    page.locator(".start").wait_for()
    page.evaluate(*drop)
    page.locator("canvas.board").wait_for()
    page.get_by_text("This picture says how it was made").wait_for()
