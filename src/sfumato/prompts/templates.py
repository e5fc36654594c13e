"""Templates: one prompt drawn from many, by the dynamicprompts library and its syntax.

    {a|b|c}  {0.5::a|b}     one of them; with odds
    {2$$a|b|c}  {1-2$$ and $$a|b|c}   two, or one to two, with a comma or " and " between
    __colours__  __art*__   a line of the file colours.txt in the folder of wildcards; of any that match
    ${c={red|blue}} ${c} ${d:green}   a variable: set, used, used with a default
    %{a $$ b}               wraps: b goes where a has "..."

The draw is the seed's alone. The samplers `{!..}` and `{@..}` draw like `{~..}`, since there is one draw. Networks
(`<lora:a__b:1>`) are left alone, and so are a dollar and a percent sign that open nothing. A template costs a bounded
number of draws, whatever it holds: variables within variables could otherwise double a text forty times.
"""

import io
import os
import re
import warnings
from pathlib import Path
from random import Random

import pyparsing
from dynamicprompts.commands import Command
from dynamicprompts.enums import SamplingMethod
from dynamicprompts.samplers.random import RandomSampler
from dynamicprompts.sampling_context import SamplingContext
from dynamicprompts.types import ResultGen
from dynamicprompts.utils import is_empty_line
from dynamicprompts.wildcards import WildcardManager
from dynamicprompts.wildcards.collection import WildcardCollection, WildcardTextFile
from dynamicprompts.wildcards.values import WildcardValues

from sfumato.errors import RequestError, UnknownNameError
from sfumato.files import decoded, read_regular
from sfumato.prompts.reading import brief

MAX_LENGTH = 8192
MAX_MARKS = 500  # brackets that open and wildcards, of one template
MAX_DEPTH = 20
MAX_DRAWS = 5_000

_MASKED = re.compile(r"<\w+:[^>]+>|\$(?![{$])(?<!\$\$)|%(?!\{)")
_OPENS = re.compile(r"\{|__")
_BRACKET = re.compile(r"[{}]")


def expand(template: str, seed: int, *, wildcards: Path | None = None) -> str:
    """The prompt that `seed` draws from a template; a text without templates is itself.

    Args:
        wildcards: the folder of `__wildcards__`: text files with a value a line, and dynamicprompts' YAML and JSON.

    Raises:
        RequestError: not a template, or one that is too long, too deep or has no end.
        UnknownNameError: a wildcard that the folder does not have, or that yields nothing.
    """
    if wildcards is not None and not wildcards.is_dir():
        raise RequestError(f"the folder of wildcards {wildcards} does not exist; create it, with a text file for each")
    if not re.search(r"[{}]|__|\$\{", template):
        return template
    if len(template) > MAX_LENGTH:
        raise RequestError(f"the template has {len(template)} characters; at most {MAX_LENGTH} are allowed; shorten it")
    _check_size(template)
    text, masked = _mask(template)
    sampler = _BoundedSampler()
    try:
        with warnings.catch_warnings(action="ignore"):
            context = SamplingContext(
                default_sampling_method=SamplingMethod.RANDOM,
                wildcard_manager=_Wildcards(wildcards),
                samplers=dict.fromkeys(SamplingMethod, sampler),
                rand=Random(seed),
            )
            drawn = str(next(iter(context.sample_prompts(text, 1))))
    except pyparsing.ParseBaseException as error:
        rest = _unmask(error.pstr[error.loc :], masked)  # of the template or a wildcard's line
        raise RequestError(f"the template cannot be read from {brief(rest)} on; {_remedy(rest)}") from None
    except KeyError as error:
        raise RequestError(f"the template cannot be drawn: {error.args[0]}; set it before, as ${{v=red}}") from None
    except RecursionError:
        raise RequestError("the template calls itself without end; look at its variables and wildcards") from None
    except (ValueError, RuntimeError, StopIteration) as error:
        raise RequestError(f"the template cannot be drawn: {brief(str(error))}; write for example {{a|b}}") from None
    if len(drawn) > MAX_LENGTH:
        raise RequestError(f"the template grows to {len(drawn)} characters; at most {MAX_LENGTH} are allowed")
    return _unmask(drawn, masked)


def values_of(folder: Path) -> dict[str, list[str]]:
    """The wildcards of a folder by name, with their values.

    Raises:
        RequestError: a file that cannot be read.
    """
    manager = _Wildcards(folder)
    return {name: manager.get_values(name).string_values for name in sorted(manager.get_collection_names())}


def _check_size(template: str) -> None:
    marks = len(_OPENS.findall(template))
    if marks > MAX_MARKS:
        raise RequestError(f"the template has {marks} brackets and wildcards; at most {MAX_MARKS} are allowed")
    depth = deepest = 0
    for bracket in _BRACKET.findall(template):
        depth = depth + 1 if bracket == "{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise RequestError(f"the template nests {deepest} brackets; at most {MAX_DEPTH} are allowed")


def _remedy(rest: str) -> str:
    """What may be wrong with a text that the library could not go on with."""
    if rest.startswith("__"):
        return "__ begins a wildcard, as in __colours__: close it or write a single _"
    if "#" in rest and rest.count("{") == rest.count("}"):
        return "its # begins a comment, which hides the brackets that close: leave it out"
    return "close its brackets, as in {a|b}"


def _mask(template: str) -> tuple[str, dict[str, str]]:
    """The template with a private character for each stretch that is not the library's to read, and what they mean."""
    masked: dict[str, str] = {}
    taken = set(template)
    free = (chr(code) for code in range(0xF0000, 0x10FFFE) if chr(code) not in taken)

    def hide(found: re.Match[str]) -> str:
        character = next(free)
        masked[character] = found[0]
        return character

    return _MASKED.sub(hide, template), masked


def _unmask(text: str, masked: dict[str, str]) -> str:
    return "".join(masked.get(character, character) for character in text)


class _BoundedSampler(RandomSampler):
    """Draws at random, and not for ever."""

    def __init__(self) -> None:
        self.draws = 0

    def generator_from_command(self, command: Command, context: SamplingContext) -> ResultGen:
        self.draws += 1
        if self.draws > MAX_DRAWS:
            raise RequestError(f"the template takes over {MAX_DRAWS} draws; use its variables less often")
        return super().generator_from_command(command, context)


class _TextFile(WildcardTextFile):
    """Reads the encodings that it can know, and complains of others, where the library drops what is not UTF-8."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def get_values(self) -> list[str]:
        try:
            text = decoded(read_regular(self.path))
        except UnicodeDecodeError as error:
            raise RequestError(
                f"the wildcards of {self.path} are not UTF-8 at byte {error.start} (CP1252, GBK and UTF-16 without a "
                "byte order mark are not guessed); save the file as UTF-8"
            ) from None
        except OSError as error:
            raise RequestError(f"cannot read the wildcards of {self.path}: {error.strerror}") from None
        return [line.strip() for line in io.StringIO(text, newline=None) if not is_empty_line(line)]


def _text_files(root: Path) -> dict[str, WildcardCollection | list[str]]:
    """Files by what templates call them, with the rules of the library: links are followed, hidden folders are not."""
    found: dict[str, WildcardCollection | list[str]] = {}
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(folder, name) for name in files if name.endswith(".txt")]
        found |= {path.relative_to(root).with_suffix("").as_posix(): _TextFile(path) for path in paths}
    return found


class _Wildcards(WildcardManager):
    """Complains of a wildcard that is not there, where the library leaves its name in the prompt."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__(root_map=None if folder is None else {"": [folder, _text_files(folder)]})

    def get_values(self, wildcard: str) -> WildcardValues:
        if ".." in wildcard:
            raise RequestError(f"the wildcard {brief(wildcard)} leaves its folder; name one within")
        values = super().get_values(wildcard)
        if len(values) == 0:
            raise UnknownNameError("wildcard", wildcard[:64], self.get_collection_names())
        return values
