"""Templates and styles: what is drawn, that the seed alone draws it, and that nothing runs away."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.errors import RequestError
from sfumato.prompts.styles import Style, read_styles, styled
from sfumato.prompts.templates import expand


@pytest.fixture(scope="session")
def wildcards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wildcards")
    (folder / "art").mkdir()
    (folder / "art" / "styles.txt").write_text("ink\n# a comment\noil\n")
    (folder / "colours.txt").write_text("red\n{dark|light} blue\n")
    (folder / "self.txt").write_text("__self__ __self__\n")
    (folder / "broken.txt").write_text("{a\n")
    (folder / "empty.txt").write_text("\n")
    return folder


def drawn(template: str, wildcards: Path | None = None) -> set[str]:
    return {expand(template, seed, wildcards=wildcards) for seed in range(40)}


@pytest.mark.parametrize(
    ("template", "prompts"),
    [
        ("a {red|blue} fox", {"a red fox", "a blue fox"}),
        ("{1::a|0::b}", {"a"}),
        ("{2$$a|b}", {"a,b", "b,a"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("${v={x|y}}${v} ${w:z}", {"x z", "y z"}),
        ("%{a ... in oil$$ {fox|cat}}", {"a fox in oil", "a cat in oil"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{!a|b} {@c}", {"a c", "b c"}),
        ("<lora:a__b__c:1> {x} (y:1.2) [p|q]", {"<lora:a__b__c:1> x (y:1.2) [p|q]"}),
        ("{100% wool} for $5 & 7%", {"100% wool for $5 & 7%"}),
        ("no template (a:1.2) 50% #", {"no template (a:1.2) 50% #"}),
    ],
)
def test_draws(template: str, prompts: set[str]) -> None:
    assert drawn(template) == prompts


def test_wildcards(wildcards: Path) -> None:
    assert drawn("a __colours__ fox", wildcards) == {"a red fox", "a dark blue fox", "a light blue fox"}
    assert drawn("__art/styles__", wildcards) == {"ink", "oil"}
    assert drawn("{2$$ $$__art/*__}", wildcards) == {"ink oil", "oil ink"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_wildcard_keeps_its_letters(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "places.txt").write_bytes("# where\ncafé 露台\r\n".encode(encoding))
    assert drawn("a __places__", tmp_path) == {"a café 露台"}


@pytest.mark.parametrize(("encoding", "byte"), [("latin-1", 3), ("gbk", 3), ("utf-16-le", 6)])
def test_a_wildcard_in_an_encoding_that_cannot_be_known_is_named(tmp_path: Path, encoding: str, byte: int) -> None:
    (tmp_path / "places.txt").write_bytes("café".encode(encoding))
    with pytest.raises(RequestError, match=rf"places\.txt are not UTF-8 at byte {byte} .*save the file as UTF-8"):
        expand("a __places__", 1, wildcards=tmp_path)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("a {b", r"cannot be read from '\{b' on"),
        ("a_b__c", "cannot be read from '__c' on; __ begins a wildcard"),
        ("{a#b|c}", r"cannot be read from '\{a#b\|c\}' on; its # begins a comment"),
        ("a {b|c # d", "close its brackets"),
        ("${v}", "Variable v is not defined"),
        ("${v=${v}}${v}", "without end"),
        ("__colour__", "did you mean colours"),
        ("__../secret__", "leaves its folder"),
        ("__empty__", "unknown wildcard"),
        ("__self__", "without end|draws"),
        ("__broken__", r"cannot be read from '\{a' on"),
        ("{" * 21 + "a" + "}" * 21, "nests 21"),
        ("{a|b}" * 501, "501 brackets"),
        ("{a}" + "b" * 9000, "9003 characters"),
        ("${a0=x x}" + "".join(f"${{a{i}=${{a{i - 1}}}${{a{i - 1}}}}}" for i in range(1, 40)) + "${a39}", "draws"),
        ("${a=" + "x" * 2000 + "}" + "${a}" * 9, "grows to 18000"),
    ],
)
def test_bad_templates_are_refused_in_one_line(template: str, complaint: str, wildcards: Path) -> None:
    begun = time.process_time()
    with pytest.raises(RequestError, match=complaint) as caught:
        expand(template, 1, wildcards=wildcards)
    assert time.process_time() - begun < 2
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        expand("__a__", 1, wildcards=tmp_path / "none")


PIECES = ["a", " b", "{", "}", "{", "}", "|", "$$", "2", "-", "1::", "${", "v", "=", ":", "%{", "...", "__", "colours"]
PIECES += ["(", ")", "!", "@", "~", "<lora:x:1>", "#", "\n", "$", "%", "\\", "//", "__colours__", "{a|b}", "\U000f0000"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.integers(0, 3))
def test_any_text_is_drawn_or_refused(wildcards: Path, template: str, seed: int) -> None:
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append(("drawn", expand(template, seed, wildcards=wildcards)))
        except RequestError as error:
            outcomes.append(("refused", str(error)))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == "drawn" or "\n" not in outcomes[0][1]


def test_styles(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_text('name,prompt,negative_prompt\nfilm,"a photo of {prompt}, 35mm",blurry\nwarm,warm light,\n')
    styles = read_styles(path)
    assert styles["film"] == Style("a photo of {prompt}, 35mm", "blurry")
    assert styled("a fox", "", ["film", "warm"], styles) == ("a photo of a fox, 35mm, warm light", "blurry")
    with pytest.raises(RequestError, match="did you mean film"):
        styled("a fox", "", ["fillm"], styles)
    with pytest.raises(RequestError, match="over 100000"):
        styled("a" * 9000, "", ["x"], {"x": Style("{prompt}" * 20)})
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match="cannot read the styles"):
        read_styles(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(RequestError, match="no columns"):
        read_styles(path)
