"""What prompts mean: ecosystem.md's hard cases, each syntax, and that no text at all crashes or hangs."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.errors import RequestError
from sfumato.prompts import Network, Syntax, Track, parse, timeline
from sfumato.prompts.emphasis import a1111
from sfumato.prompts.reading import Reading

Said = list[list[tuple[str, float]]]


def segments(reading: Reading) -> Said:
    """Segments of (text, rounded weight) of a reading that is not blended."""
    [prompt] = reading.prompts
    return [[(piece.text, round(piece.weight, 4)) for piece in segment.pieces] for segment in prompt.segments]


def read(text: str, syntax: Syntax = "a1111", *, negative: bool = False) -> Said:
    [track] = timeline(parse(text, syntax, negative=negative), 1)
    return segments(track.readings[0])


def at(track: Track) -> list[Said]:
    return [segments(track.readings[i]) for i in track.order]


# ---------------------------------------------------------------------------------------------------------- A1111

HARD = [
    ("(a:1.5", [[("a:1.5", 1.1)]]),
    ("a:1.5)", [[("a:1.5)", 1.0)]]),
    ("(a:b:1.2)", [[("a:b", 1.2)]]),
    ("(a: 1.3 )", [[("a", 1.3)]]),
    ("(a:1e1)", [[("a:1e1", 1.1)]]),
    ("(a:1.2.3)", [[("a:1.2.3", 1.1)]]),
    ("(a BREAK b:1.5)", [[("a", 1.5), ("BREAK", -1.5), ("b", 1.5)]]),
    ("a BREAK BREAK b", [[("a", 1.0)], [], [("b", 1.0)]]),
]


@pytest.mark.parametrize(("text", "expected"), HARD)
@pytest.mark.parametrize("negative", [False, True])
def test_hard_cases(text: str, expected: Said, negative: bool) -> None:
    assert read(text, negative=negative) == expected
    assert segments(a1111(text)) == expected


def test_a_bracket_with_a_number_is_a_schedule_before_it_is_emphasis() -> None:
    assert segments(a1111("[a:1.5]")) == [[("a:1.5", 0.9091)]]
    assert read("[a:1.5]") == [[]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("normal text", [[("normal text", 1.0)]]),
        ("an (important) word", [[("an ", 1.0), ("important", 1.1), (" word", 1.0)]]),
        ("(unbalanced", [[("unbalanced", 1.1)]]),
        (r"\(literal\]", [[("(literal]", 1.0)]]),
        ("(unnecessary)(parens)", [[("unnecessaryparens", 1.1)]]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                [
                    ("a ", 1.0),
                    ("house", 1.573),
                    (" ", 1.1),
                    ("on", 1.0),
                    (" a ", 1.1),
                    ("hill", 0.55),
                    (", sun, ", 1.1),
                    ("sky", 1.4641),
                    (".", 1.1),
                ]
            ],
        ),
        ("[[a]]", [[("a", 0.8264)]]),
        ("(a:-0.5)", [[("a", -0.5)]]),
        ("(a:)", [[("a:", 1.1)]]),
        ("()", [[]]),
        ("a\\\\(b)", [[("a\\", 1.0), ("b", 1.1)]]),
        ("a BREAKfast break", [[("a BREAKfast break", 1.0)]]),
        ("a BREAK (b)", [[("a", 1.0)], [("b", 1.1)]]),
        ("BREAK a BREAK", [[], [("a", 1.0)], []]),
        ("a # not this (\nb", [[("a \nb", 1.0)]]),
        ("", [[]]),
    ],
)
def test_emphasis(text: str, expected: Said) -> None:
    assert read(text) == expected


def test_schedules_give_each_reading_once_and_say_when_it_begins() -> None:
    [track] = timeline(parse("a [fantasy:(cyberpunk:1.2):2] (hill)"), 5)
    assert len(track.readings) == 2
    assert track.order == (0, 0, 1, 1, 1)
    assert at(track)[4] == [[("a ", 1.0), ("cyberpunk", 1.2), (" ", 1.0), ("hill", 1.1)]]
    [track] = timeline(parse("[cow|horse] in a field"), 5)
    assert track.order == (0, 1, 0, 1, 0)
    [track] = timeline(parse("[a|(a:1)]"), 4)
    assert track.order == (0, 0, 0, 0)


def test_a1111s_sampler_is_late() -> None:
    [track] = timeline(parse("[a:b:2][c|d]"), 5, late=True)
    assert [said[0][0][0] for said in at(track)] == ["ac", "ac", "ad", "bc", "bd"]
    [track] = timeline(parse("[a:b:4]"), 5, late=True)
    assert (len(track.readings), track.order) == (1, (0,) * 5)


def test_parts_joined_by_and() -> None:
    tracks = timeline(parse("a cat :1.2 AND a [dog:fox:1] AND a penguin : -.5 ANDROID"), 2)
    assert [track.weight for track in tracks] == [1.2, 1.0, 1.0]
    tracks = timeline(parse("a cat :1.2 AND a [dog:fox:1] AND a penguin : -.5"), 2)
    assert [track.weight for track in tracks] == [1.2, 1.0, -0.5]
    assert [at(track)[1] for track in tracks] == [[[("a cat", 1.0)]], [[(" a fox", 1.0)]], [[(" a penguin", 1.0)]]]


def test_a_lone_prompt_has_no_weight_and_a_negative_one_no_parts() -> None:
    assert parse("a poster, 16:9").parts[0].weight == 1
    assert read("a poster, 16:9") == [[("a poster, 16:9", 1.0)]]
    assert read("a AND b <lora:x:1>", negative=True) == [[("a AND b <lora:x:1>", 1.0)]]
    assert parse("<lora:x:1>", negative=True).networks == ()


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("<lora:x>", Network("lora", "x")),
        ("<lora:x:0.8>", Network("lora", "x", 0.8, 0.8)),
        ("<lora:x:1:0.5>", Network("lora", "x", 1.0, 0.5)),
        ("<lora:x:unet=0.3>", Network("lora", "x", 1.0, 0.3)),
        ("<lora:x:te=0.3>", Network("lora", "x", 0.3, 0.3)),
        ("<lyco:a b_1:-1:2:8>", Network("lora", "a b_1", -1.0, 2.0, 8)),
        ("<lora:x:dyn=4>", Network("lora", "x", 1.0, 1.0, 4)),
        ("<lora:style/food/X:1>", Network("lora", "style/food/X")),
        ("<lora:style\\food\\X.safetensors:0.5>", Network("lora", "style\\food\\X.safetensors", 0.5, 0.5)),
        ("<hypernet:y:0.5>", Network("hypernet", "y", 0.5, 0.5)),
    ],
)
def test_networks(text: str, network: Network) -> None:
    prompt = parse(f"[a {text}:b:1] c")
    assert prompt.networks == (network,)
    assert [said for [said] in (segments(r) for r in timeline(prompt, 2)[0].readings)] == [
        [("a  c", 1.0)],
        [("b c", 1.0)],
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<lora:x:high>", "'high' for a number"),
        ("<lora:x:nan>", "must be -1000 to 1000"),
        ("<lora:x:1:2:1.5>", "rank 1.5"),
        ("<lora:x:1:2:3:4>", "over three numbers"),
        ("<lora:x:size=2>", "'size'; it must be te, unet, dyn or lbw"),
        ("<lora:x:1:lbw=OUTAL>", "unknown preset of block weights 'OUTAL'; known: ALL, ALL0.5, INALL"),
        ("<lora:x:1:lbw=1,0,1>", "weighs 3 blocks; a list has one of 12, 17, 20, 26 numbers"),
        ("<lora:x:1:lbw=R,0,0,0,0,0,0,0,0,0,0,0>", "random ones are not drawn"),
        ("<lora: :1>", "names no network"),
        ("<lorra:x:1>", "did you mean lora"),
        ("(a:1e400) (b:99999)", "must be -1000 to 1000"),
        ("(" * 100 + "a", "must be -1000 to 1000"),
        ("a:5000 AND b", "must be -1000 to 1000"),
    ],
)
def test_what_cannot_be_meant_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint) as caught:
        timeline(parse(text), 5)
    assert "\n" not in str(caught.value)


# ----------------------------------------------------------------------------------------------- the other syntaxes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a (b) [c]", [("a ", 1.0), ("b", 1.1), (" [c]", 1.0)]),
        ("((a))", [("a", 1.21)]),
        ("((a:1.2) b:1.5) c", [("a", 1.2), (" b", 1.5), (" c", 1.0)]),
        ("((a):1.5)", [("a", 1.65)]),
        ("(a:1e1) (b: 2 )", [("a", 10.0), (" ", 1.0), ("b", 2.0)]),
        ("(a:b:2) (:2) (c:nan)", [("a:b", 2.0), (" ", 1.0), (":2", 1.1), (" ", 1.0), ("c:nan", 1.1)]),
        (r"\(a\) (b\):2)", [("(a) ", 1.0), ("b)", 2.0)]),
        ("(a b) c:2) (d", [("a b", 1.1), (" c:2) (d", 1.0)]),
        ("a BREAK [b:c:1] AND <lora:x:1>", [("a BREAK [b:c:1] AND <lora:x:1>", 1.0)]),
    ],
)
def test_comfy(text: str, expected: list[tuple[str, float]]) -> None:
    assert read(text, "comfy") == [expected]
    assert parse(text, "comfy").emphasis == "comfy"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{{masterpiece}}, [[fog]], 1.5::lamp::",
            [("masterpiece", 1.1025), (", ", 1.0), ("fog", 0.907), (", ", 1.0), ("lamp", 1.5)],
        ),
        ("a {b [c} d] e", [("a ", 1.0), ("b ", 1.05), ("c", 1.0), (" d", 0.9524), (" e", 1.0)]),
        ("{1.5::a}, {b:: c", [("a", 1.575), (", ", 1.5), ("b", 1.575), (" c", 1.0)]),
        ("-1::rain::, .5::fog", [("rain", -1.0), (", ", 1.0), ("fog", 0.5)]),
        ("a } b ] c :: (d:1.2) v1.5::e", [("a } b ] c :: (d:1.2) v1.5::e", 1.0)]),
    ],
)
def test_novelai(text: str, expected: list[tuple[str, float]]) -> None:
    assert read(text, "novelai") == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a apricots+ tree--.", [("a ", 1.0), ("apricots", 1.1), (" ", 1.0), ("tree", 0.81), (".", 1.0)]),
        ("(a b)1.3 c", [("a b", 1.3), (" c", 1.0)]),
        ("(a (b)1.3)1.1", [("a ", 1.1), ("b", 1.43)]),
        ("(a b+)++", [("a ", 1.21), ("b", 1.331)]),
        ('"a b"- c', [("a b", 0.9), (" c", 1.0)]),
        ("x-ray a1.3 (b)", [("x-ray a1.3 b", 1.0)]),
        (r"\(a\) b\+ c", [("(a) b+ c", 1.0)]),
        ("(a - + b", [("(a - + b", 1.0)]),
        ('5" (a)2) b', [('5" ', 1.0), ("a", 2.0), (") b", 1.0)]),
    ],
)
def test_compel(text: str, expected: list[tuple[str, float]]) -> None:
    assert read(text, "compel") == [expected]


def test_compel_blends_and_joins() -> None:
    prompt = parse(r'("spider+ man", "robot \"mech\"").blend(1, 0.6)', "compel")
    [track] = timeline(prompt, 3)
    first, second = track.readings[0].prompts
    assert (first.share, second.share) == pytest.approx((0.625, 0.375))
    assert [piece.text for piece in second.segments[0].pieces] == ['robot "mech"']
    prompts = timeline(parse('("a", "b").blend(1, -.5, no_normalize)', "compel"), 1)[0].readings[0].prompts
    assert [prompt.share for prompt in prompts] == [1.0, -0.5]
    [prompt] = timeline(parse('("a", "b").and(1, 0.5)', "compel"), 1)[0].readings[0].prompts
    assert [segment.weight for segment in prompt.segments] == [1.0, 0.5]
    [prompt] = timeline(parse('("a","b").and()', "compel"), 1)[0].readings[0].prompts
    assert [segment.weight for segment in prompt.segments] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a cat.swap(dog)", "not supported"),
        ('x ("a", "b").blend(1, 2)', "must be the whole prompt"),
        ('("a", "b").blend(1)', "2 texts and 1 weights"),
        ('("a", "b").blend(1, -1)', "add up to 0"),
        ('("a", "b").and(x, 1)', "must be numbers"),
        ('("a", "b").and(1, 2, no_normalize)', "must be numbers"),
    ],
)
def test_compel_complains(text: str, complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        parse(text, "compel")


def test_plain_is_plain() -> None:
    text = "(a:1.2) [b|c] AND BREAK <lora:x:1> # \\("
    assert read(text, "plain") == [[(text, 1.0)]]


# -------------------------------------------------------------------------------------------------- any text at all

SYNTAXES: tuple[Syntax, ...] = ("a1111", "comfy", "compel", "novelai", "plain")
CHARACTERS = st.text(alphabet='ab ()[]:|<>\\#.,+-"019e\n{}$_é狐', max_size=60)
SYMBOLS = ["a", " ", "(", ")", "[", "]", ":", "|", "1.2", "3", "BREAK", "AND", "<lora:x:1>", "<", ">", "\\", "++", "-"]
SYMBOLS += ['"', ",", ".blend(", ".and(1)", ".swap(", "#", "\n", "１", "٣"]
WORDS = st.lists(st.sampled_from(SYMBOLS), max_size=40).map("".join)


def read_or_refused(text: str, syntax: Syntax, steps: int, *, negative: bool = False) -> tuple[Track, ...]:
    """The tracks of a text, or none if it is refused in one short line."""
    complaint = ""
    try:
        return timeline(parse(text, syntax, negative=negative), steps)
    except RequestError as error:
        complaint = str(error)
    assert "\n" not in complaint
    assert len(complaint) < 250
    return ()


@settings(max_examples=300, deadline=None)
@given(st.one_of(CHARACTERS, WORDS, st.text(max_size=60)), st.sampled_from(SYNTAXES), st.booleans())
def test_any_text_is_read_or_refused_in_one_line(text: str, syntax: Syntax, negative: bool) -> None:
    for track in read_or_refused(text, syntax, 7, negative=negative):
        assert len(track.order) == 7
        assert set(track.order) == set(range(len(track.readings)))


EVIL = ["(", ")", "[", "]", ":", "|", "\\", " ", '"', "<lora:", "(a", "[a:", "[a|", "[a|b]", ":1)", "BREAK ", "a AND "]
EVIL += [
    "{",
    "[",
    "2::",
    "{::",
    '"a"+',
    "(a)+",
    "((a)1.001",
    "[[a:b:3]",
    "<",
    "#\n",
    "(a:1)",
    ": 1",
    "\\(",
    "a+",
    "[:1]",
    "x:2 AND ",
]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("unit", EVIL)
def test_the_longest_prompt_is_read_in_a_second(unit: str, syntax: Syntax) -> None:
    closing = {"(": ")", "[": "]"}.get(unit[0], "")
    half = unit * (4096 // len(unit))
    for text in (unit * (8192 // len(unit)), half + closing * (len(half) // len(unit))):
        begun = time.process_time()
        read_or_refused(text, syntax, 20)
        assert time.process_time() - begun < 1


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_deep_nesting_does_not_overflow(syntax: Syntax) -> None:
    for unit, closing in (("(", ")"), ("[", "]"), ("[a:", ":1]"), ("[|", "]"), ("([", "])")):
        read_or_refused(unit * 10_000 + "a" + closing * 10_000, syntax, 3)
