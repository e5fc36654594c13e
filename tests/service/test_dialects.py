"""Programs written for A1111 and OpenAI are served as they are: their real clients, over a fake worker."""

import base64
import functools
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
import webuiapi
from PIL import Image

from sfumato.metadata import carriers, infotext
from tests.service.services import running_fake


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_fake(tmp_path_factory.mktemp("data")) as (_, client):
        yield client.url


@pytest.fixture(scope="module")
def web(url: str) -> Any:
    return webuiapi.WebUIApi(baseurl=f"{url}/sdapi/v1")


@pytest.fixture(scope="module")
def ai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none")


def post(url: str, path: str, **asked: Any) -> Any:
    return httpx.post(f"{url}/sdapi/v1/{path}", json=asked, timeout=60)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


RED = Image.new("RGB", (16, 16), "red")


def test_a1111_txt2img_of_webuiapi(web: Any) -> None:
    result = web.txt2img(
        prompt="a fox", negative_prompt="fog", seed=5, steps=4, cfg_scale=6, width=32, height=24,
        sampler_name="DPM++ 2M Karras", n_iter=2,
    )  # fmt: skip
    assert [image.size for image in result.images] == [(32, 24)] * 2
    assert result.info["all_seeds"] == [5, 6]
    assert result.info["sampler_name"] == "DPM++ 2M"
    said = infotext.parse(result.info["infotexts"][1])
    assert (said.prompt, said.negative, said.fields["Seed"]) == ("a fox", "fog", "6")
    assert said.fields["Schedule type"] == "Karras"


def test_a1111_img2img_of_webuiapi(web: Any) -> None:
    result = web.img2img(images=[RED], prompt="a fox", seed=5, steps=4, width=16, height=16, denoising_strength=0.5)
    assert result.info["denoising_strength"] == 0.5
    mask = Image.new("L", (16, 16), 0)
    mask.paste(255, (4, 4, 8, 8))
    result = web.img2img(images=[RED], mask_image=mask, prompt="a fox", seed=5, steps=4, width=16, height=16)
    assert infotext.parse(result.info["infotexts"][0]).fields["Masked content"] == "blur"


def test_a1111_what_webuiapi_asks_for(web: Any, url: str) -> None:
    assert "nano" in web.util_get_model_names()
    assert web.get_options()["sd_model_checkpoint"] == "nano"
    web.set_options(web.get_options() | {"unknown": 1, "CLIP_stop_at_last_layers": 2})  # as Open WebUI does
    assert web.get_options()["CLIP_stop_at_last_layers"] == 2
    web.set_options({"CLIP_stop_at_last_layers": 1})
    assert "forge_preset" not in web.get_options()
    assert {"Euler a", "DPM++ 2M"} <= {row["name"] for row in web.get_samplers()}
    assert {"karras", "automatic"} <= {row["name"] for row in web.get_schedulers()}
    assert web.get_upscalers()[0]["name"] == "None"
    assert [row["name"] for row in web.get_loras()] == ["nano-turbo"]
    assert web.get_progress()["state"]["job_count"] == 0
    image = web.txt2img(prompt="a fox", seed=5, steps=4).images[0]
    assert web.png_info(Image.open(io.BytesIO(png(image)))).info in ("", None)  # webuiapi saves it without its texts
    for path in ("interrupt", "skip", "refresh-checkpoints", "refresh-loras", "unload-checkpoint"):
        assert post(url, path).json() == {}


def test_a1111_calls_of_open_webui(url: str) -> None:
    """It reads the options, sends all of them back with a model, and asks; its key may be empty."""
    get = functools.partial(httpx.get, headers={"Authorization": ""})
    options = get(f"{url}/sdapi/v1/options").json()
    models = get(f"{url}/sdapi/v1/sd-models").json()
    assert {"id": "nano", "name": "nano"} in [{"id": each["title"], "name": each["model_name"]} for each in models]
    assert post(url, "options", **options | {"sd_model_checkpoint": "nano"}).status_code == 200
    asked = {"prompt": "a fox", "batch_size": 2, "width": 16, "height": 16, "steps": 4, "negative_prompt": ""}
    found = post(url, "txt2img", **asked).json()
    assert len(found["images"]) == 2
    assert found["info"]


def test_a1111_calls_of_sillytavern(url: str) -> None:
    """It pings with the options, fills its lists, chooses a model, waits until nothing is painted, and asks."""
    for path in ("options", "samplers", "schedulers", "upscalers", "latent-upscale-modes", "sd-vae", "sd-models"):
        assert httpx.get(f"{url}/sdapi/v1/{path}").status_code == 200, path
    assert post(url, "options", sd_model_checkpoint="nano").status_code == 200
    progress = httpx.get(f"{url}/sdapi/v1/progress").json()
    assert (progress["progress"], progress["state"]["job_count"]) == (0.0, 0)
    asked = {
        **{"prompt": "a fox", "negative_prompt": "fog", "sampler_name": "Euler a", "scheduler": "Karras", "steps": 4},
        **{"cfg_scale": 7, "width": 16, "height": 16, "seed": -1, "restore_faces": False, "enable_hr": False},
        **{"hr_upscaler": "Latent", "hr_scale": 2, "hr_additional_prompt": "", "denoising_strength": 0.7},
        **{"hr_second_pass_steps": 0, "override_settings": {"CLIP_stop_at_last_layers": 1}, "clip_skip": 1},
        **{"override_settings_restore_afterwards": True, "save_images": True, "send_images": True},
        **{"do_not_save_grid": False, "do_not_save_samples": False},
    }
    answer = post(url, "txt2img", **asked)
    assert answer.status_code == 200, answer.text
    assert Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0]))).size == (16, 16)
    assert post(url, "interrupt").json() == {}


def test_a1111_calls_of_librechat(url: str) -> None:
    """It reads infotexts, size and seed of the info."""
    asked = {"prompt": "a fox", "negative_prompt": "fog", "cfg_scale": 4.5, "steps": 4, "width": 16, "height": 16}
    found = post(url, "txt2img", **asked).json()
    info = json.loads(found["info"])
    assert infotext.parse(info["infotexts"][0]).prompt == "a fox"
    assert (info["width"], info["height"], type(info["seed"])) == (16, 16, int)


def test_a1111_enlarges_pictures(web: Any, url: str) -> None:
    assert [row["name"] for row in web.get_upscalers()] == ["None", "Lanczos", "Bicubic", "sfumato"]
    assert web.extra_single_image(RED, upscaler_1="Lanczos", upscaling_resize=3).image.size == (48, 48)
    assert web.extra_single_image(RED).image.size == (16, 16)
    assert [each.size for each in web.extra_batch_images([RED, RED], upscaler_1="sfumato").images] == [(32, 32)] * 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"upscaler_1": "ESRGAN"}, "unknown upscaler 'ESRGAN'; None, Lanczos, Bicubic, sfumato are there"),
        ({"upscaler_1": "Lanczos", "upscaling_resize": 1.5}, "upscaling_resize is 1.5; 2, 3 and 4 are there"),
        ({"upscaler_1": "Lanczos", "resize_mode": 1}, "give upscaling_resize"),
        ({"gfpgan_visibility": 0.5}, "gfpgan_visibility is '0.5', which is not there"),
    ],
)
def test_a1111_says_how_it_enlarges(asked: dict[str, Any], said: str, url: str) -> None:
    image = base64.b64encode(png(RED)).decode()
    answer = post(url, "extra-single-image", image=image, **asked)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_a1111_says_what_is_in_a_picture(url: str) -> None:
    answer = post(url, "txt2img", prompt="a fox", seed="5", steps="4", cfg_scale="6.5").json()
    found = post(url, "png-info", image="data:image/png;base64," + answer["images"][0]).json()
    assert found["info"] == json.loads(answer["info"])["infotexts"][0]
    assert found["parameters"]["Seed"] == "5"


def test_a1111_second_pass_and_variations(web: Any, url: str) -> None:
    from webuiapi import HiResUpscaler

    result = web.txt2img(
        prompt="a fox", seed=5, steps=4, width=16, height=16, enable_hr=True, hr_scale=1.5,
        hr_upscaler=HiResUpscaler.Latent, hr_second_pass_steps=3, denoising_strength=0.4,
    )  # fmt: skip
    said = infotext.parse(result.info["infotexts"][0]).fields
    assert [said[name] for name in ("Hires upscale", "Denoising strength", "Hires steps")] == ["1.5", "0.4", "3"]
    asked = {"prompt": "a fox", "seed": 5, "steps": 4, "subseed": 8, "subseed_strength": 0.3}
    more = {"enable_hr": "true", "hr_scale": "2.0", "hr_sampler_name": "Use same sampler"}  # texts, as some send
    info = json.loads(post(url, "txt2img", **asked, **more).json()["info"])
    said = infotext.parse(info["infotexts"][0]).fields
    assert (said["Variation seed"], said["Variation seed strength"], said["Hires upscale"]) == ("8", "0.3", "2")


def test_a1111_inpainting_of_the_masked_part_alone(url: str) -> None:
    mask = Image.new("L", (16, 16), 0)
    mask.paste(255, (4, 4, 8, 8))
    images = [base64.b64encode(png(each)).decode() for each in (RED, mask)]
    asked = {"prompt": "a fox", "seed": 5, "inpaint_full_res": True, "inpaint_full_res_padding": 8}
    asked["initial_noise_multiplier"] = 1.1
    answer = post(url, "img2img", init_images=images[:1], mask=images[1], **asked).json()
    said = infotext.parse(json.loads(answer["info"])["infotexts"][0]).fields
    assert (said["Inpaint area"], said["Masked area padding"]) == ("Only masked", "8")
    assert said["Noise multiplier"] == "1.1"


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"sampler_name": "Eulor"}, 404, "Sampler not found: 'Eulor'"),
        ({"enable_hr": True, "hr_upscaler": "R-ESRGAN 4x+"}, 422, "r-esrgan 4x+"),
        ({"enable_hr": True, "hr_prompt": "another"}, 422, "hr_prompt is 'another'"),
        ({"enable_hr": True, "hr_scale": 99}, 422, "hires 99"),
        ({"tiling": True}, 422, "tiling is 'True'"),
        ({"alwayson_scripts": {"ControlNet": {"args": [{}]}}}, 422, "'ControlNet'"),
        ({"override_settings": {"sd_model_checkpoint": "/etc/passwd"}}, 422, "unknown model"),
        ({"prompt": "<lora:../x:1>"}, 422, "unknown lora"),
        ({"steps": 0}, 422, "steps 0 must be"),
        ({"prompt": "fail"}, 422, "the prompt asks for it"),
    ],
)
def test_a1111_refusals_have_its_form(url: str, asked: dict[str, Any], status: int, said: str) -> None:
    answer = post(url, "txt2img", **{"prompt": "a fox", **asked})
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert set(answer.json()) == {"error", "detail", "body", "errors"}


def test_a1111_pictures_are_never_fetched(url: str) -> None:
    for image in ("http://evil.example/a.png", "/etc/passwd", "AAAA"):
        assert post(url, "img2img", init_images=[image]).status_code == 422
    assert post(url, "img2img").status_code == 404


def test_openai_generations(ai: openai.OpenAI) -> None:
    more = {"seed": 4, "sampler": "heun", "size": "32x24"}
    answer = ai.images.generate(prompt="a fox", model="nano", n=2, extra_body=more)
    assert answer.data is not None
    pictures = [Image.open(io.BytesIO(base64.b64decode(each.b64_json or ""))) for each in answer.data]
    assert [picture.size for picture in pictures] == [(32, 24)] * 2
    other = ai.images.generate(prompt="a fox", model="gpt-image-1", output_format="webp", output_compression=50)
    assert other.data is not None
    assert Image.open(io.BytesIO(base64.b64decode(other.data[0].b64_json or ""))).format == "WEBP"
    assert next(model.id for model in ai.models.list()) == "nano"


def test_openai_edits(ai: openai.OpenAI, url: str) -> None:
    mask = Image.new("RGBA", (16, 16), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (4, 4, 8, 8))
    files = {"image": [("a.png", png(RED), "image/png")], "mask": ("m.png", png(mask), "image/png")}
    answer = ai.images.edit(prompt="a fox", model="nano", response_format="url", **files)
    assert answer.data[0].url.startswith(f"{url}/api/v1/pictures/")
    with pytest.raises(openai.UnprocessableEntityError, match="no transparent part"):
        ai.images.edit(prompt="a fox", image=("a.png", png(RED)), mask=("m.png", png(RED)))


def test_openai_variations(ai: openai.OpenAI) -> None:
    answer = ai.images.create_variation(image=("a.png", png(RED), "image/png"), n=2, extra_body={"strength": "0.4"})
    assert answer.data is not None
    assert len(answer.data) == 2
    file = base64.b64decode(answer.data[1].b64_json or "")
    said = infotext.parse(carriers.read(file).texts[carriers.PARAMETERS])
    assert (said.prompt, said.fields["Denoising strength"]) == ("", "0.4")


def test_openai_streams(ai: openai.OpenAI) -> None:
    events = list(ai.images.generate(prompt="slow", model="nano", stream=True, partial_images=2))
    kinds = [event.type.partition(".")[2] for event in events]
    assert kinds == ["partial_image", "partial_image", "completed"]
    assert Image.open(io.BytesIO(base64.b64decode(events[-1].b64_json))).size == (16, 16)
    with pytest.raises(openai.APIError, match="the prompt asks for it"):
        list(ai.images.generate(prompt="fail", model="nano", stream=True))
    image = ("a.png", png(RED), "image/png")
    edited = list(ai.images.edit(prompt="a fox", image=image, model="nano", stream=True, partial_images=2))
    assert [event.type for event in edited] == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]


def test_openai_refusals_are_understood_by_its_client(ai: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="unknown model 'nan'"):
        ai.images.generate(prompt="a fox", model="nan")
    with pytest.raises(openai.BadRequestError, match="at most 10"):
        ai.images.generate(prompt="a fox", n=11)
    with pytest.raises(openai.BadRequestError, match="partial_images '4' must be a whole number, 0 to 3"):
        ai.images.generate(prompt="a fox", stream=True, partial_images=4)
    with pytest.raises(openai.UnprocessableEntityError, match="image has 2 pictures"):
        ai.images.edit(prompt="a fox", image=[("a.png", png(RED)), ("b.png", png(RED))])
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        ai.models.retrieve("other")


def test_openai_keys_find_their_job(ai: openai.OpenAI) -> None:
    def asked(prompt: str) -> str | None:
        headers = {"Idempotency-Key": "a key of its own"}
        answer = ai.images.with_raw_response.generate(
            prompt=prompt, model="nano", extra_headers=headers, response_format="url"
        )
        return answer.parse().data[0].url

    assert asked("a fox") == asked("a fox")
    with pytest.raises(openai.ConflictError, match="another request"):
        ai.with_options(max_retries=0).images.generate(
            prompt="a wolf", model="nano", extra_headers={"Idempotency-Key": "a key of its own"}
        )


def test_openai_repetitions_find_their_job(url: str) -> None:
    asked = {"prompt": "a fox again", "model": "nano"}
    counts = []
    for tries in ("0", "1", "2"):
        headers = {"x-stainless-retry-count": tries}
        assert httpx.post(f"{url}/v1/images/generations", json=asked, headers=headers, timeout=60).status_code == 200
        jobs = httpx.get(f"{url}/api/v1/jobs").json()
        counts.append(sum(job["request"].get("prompt") == asked["prompt"] for job in jobs))
    assert counts == [1, 1, 1]
