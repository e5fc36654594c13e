"""Infotext: what is written is read again, and other people's texts are read as they mean them."""

import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.choices import Sampler, Schedule
from sfumato.errors import RequestError
from sfumato.metadata.describe import describe
from sfumato.metadata.infotext import MAX_LENGTH, Infotext, parse
from sfumato.metadata.provenance import Provenance
from sfumato.requests import Txt2Img

EXACT = Txt2Img.build(
    prompt="a cat,\non a mat",
    negative="fog: thick\nrain",
    seed=7,
    steps=20,
    sampler="dpmpp_2m",
    schedule="karras",
    guidance=7.0,
    width=512,
    height=768,
    clip_skip=2,
    model="/models/a, b.safetensors",
)
PAINTER = Provenance("0123456789abcdef", "bf16", "cpu", "2.9.0+cpu")


def test_it_is_written_in_the_usual_order() -> None:
    prompt, mat, negative, rain, settings = str(describe(EXACT, PAINTER, quality=80)).split("\n")
    assert [prompt, mat, negative, rain] == ["a cat,", "on a mat", "Negative prompt: fog: thick", "rain"]
    assert settings.rpartition(", Version: sfumato ")[0] == (
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 7, Size: 512x768, "
        'Model hash: 0123456789, Model: "a, b", Clip skip: 2, RNG: CPU, Precision: bf16, Device: cpu, '
        "Torch: 2.9.0+cpu, Quality: 80"
    )


def test_what_a_request_leaves_open_is_left_out() -> None:
    fields = describe(Txt2Img.build(prompt="a")).fields
    assert list(fields) == ["Model", "RNG", "Version"]


def test_the_painter_is_read_again_with_a_short_hash() -> None:
    info = parse(str(describe(EXACT, PAINTER)))
    assert Provenance.read(info) == Provenance("0123456789", "bf16", "cpu", "2.9.0+cpu")
    assert Provenance.read(parse("a\nSteps: 1, Sampler: Euler, Seed: 1")) is None
    other = Provenance("0123456789ffff", "fp32", "cpu", "2.9.0+cpu")
    assert PAINTER.differences(other) == ("precision bf16, now fp32",)


@pytest.mark.parametrize("sampler", get_args(Sampler))
@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_labels_need_no_quotes(sampler: Sampler, schedule: Schedule) -> None:
    text = str(describe(EXACT.changed(sampler=sampler, schedule=schedule, model="nano")))
    assert '"' not in text


# ---------------------------------------------------------------------------------------------------------- parsing


def test_others_settings() -> None:
    info = parse(
        "masterpiece, (cat:1.2)\r\n<lora:x:0.8>\nNegative prompt: bad\nworse \nSteps: 20, Sampler: DPM++ 2M Karras, "
        'CFG scale: 7.5, Seed: 1, Size: 512x512, Lora hashes: "x: 0a1b", Hashes: {"model": "0a"}, Version: v1.9.4'
    )
    assert info.prompt == "masterpiece, (cat:1.2)\n<lora:x:0.8>"
    assert info.negative == "bad\nworse"
    assert info.fields["Sampler"] == "DPM++ 2M Karras"
    assert info.fields["Lora hashes"] == "x: 0a1b"
    assert info.fields["Version"] == "v1.9.4"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Infotext("")),
        ("a cat", Infotext("a cat")),
        ("a: b, c: d", Infotext("a: b, c: d")),
        ("Steps: 20, Seed: 3", Infotext("Steps: 20, Seed: 3")),
        ("Negative prompt: fog", Infotext("", "fog")),
        ("aa: 1, bb: 2, cc: 3", Infotext("", "", {"aa": "1", "bb": "2", "cc": "3"})),
        ("x\naa: 1, bb: , cc: 3,", Infotext("x", "", {"aa": "1", "bb": "", "cc": "3"})),
        ('x\naa: "1", bb: "2\\n3", cc: "4', Infotext("x", "", {"aa": "1", "bb": "2\n3", "cc": '"4'})),
        ("x\naa: 1, bb: {}, cc: [1, 2]", Infotext("x", "", {"aa": "1", "bb": "{}", "cc": "[1, 2]"})),
        (
            'x\naa: {"b": "c, d: e"} , bb: [1, ff: 2',
            Infotext("x", "", {"aa": '{"b": "c, d: e"}', "bb": "[1", "ff": "2"}),
        ),
        ("x\naa: 1, bare, bb: 2, cc: 3", Infotext("x", "", {"aa": "1", "bb": "2", "cc": "3"})),
    ],
)
def test_rules_of_the_last_line(text: str, expected: Infotext) -> None:
    assert parse(text) == expected


LINES = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)).map(" ".join)
PROMPTS = st.lists(LINES, max_size=4).map("\n".join).map(str.strip).filter(lambda text: "Negative prompt:" not in text)
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9 \-/]{0,20}[A-Za-z0-9]", fullmatch=True)
FIELDS = st.dictionaries(KEYS, st.text(st.characters(exclude_categories=["Cs"])), min_size=3, max_size=8)


@given(PROMPTS, PROMPTS, FIELDS)
def test_round_trip(prompt: str, negative: str, fields: dict[str, str]) -> None:
    info = Infotext(prompt, negative, fields)
    assert parse(str(info)) == info


PIECES = st.lists(st.sampled_from(["Negative prompt: fog", "Steps: 1", "a b: c", ", ", "\n", " ", '"', "{", "}"]))


@given(st.text() | st.text(st.sampled_from('ab:, "\\\n{}')) | PIECES.map("".join))
def test_no_word_of_a_text_is_lost_or_made_up(text: str) -> None:
    info, said = parse(text), "".join(text.split())
    assert said.startswith("".join(info.prompt.split()))
    if info.fields:
        assert all(f"{key}:" in text for key in info.fields)
    else:
        assert "".join(str(info).split()) == said


@pytest.mark.parametrize("unit", ["a", " ", 'aa:"', 'aa:"\\', "aa:", "a ", '"', "aa: x, "])
def test_long_texts_take_no_long_time(unit: str) -> None:
    start = time.process_time()
    parse((unit * MAX_LENGTH)[:MAX_LENGTH])
    assert time.process_time() - start < 5


def test_endless_texts_are_refused() -> None:
    with pytest.raises(RequestError, match="too long"):
        parse("a" * (MAX_LENGTH + 1))
