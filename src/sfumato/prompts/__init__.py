"""The prompt language: from the text that a person writes to the tokens and weights that an encoder reads.

    expand(text, seed)           templates.py   {a|b}, __wildcard__                         -> text
    parse(text, "a1111")         grammar.py     networks, AND, schedules                    -> Prompt
    timeline(prompt, steps)      timeline.py    what is said at which step                  -> Track, one an AND part
    windows(prompt, tokenizer)  windows.py     windows of tokens with weights              -> list[Window]
    pack(prompt, tokenizer)     chunks.py      the same as tensors                         -> Chunks
    encode(reading, ...)         encode.py      windows through the text encoder            -> Conditioning

Only `chunks` and `encode` know torch, and only `templates` knows dynamicprompts; import those three by name.

| written                | means                                                                | syntax         |
|------------------------|----------------------------------------------------------------------|----------------|
| `(a)`                  | weight of a times 1.1                                                | a1111, comfy   |
| `[a]`                  | weight of a divided by 1.1                                           | a1111          |
| `(a:1.3)`              | weight 1.3: times that outside (a1111), instead of it (comfy)        | a1111, comfy   |
| `[a:b:7]` `[a:b:.5]`   | a for 7 steps, or for half of them; then b                           | a1111          |
| `[a:7]` `[a::7]`       | a from after step 7; a until step 7                                  | a1111          |
| `[a\\|b]`               | a and b in turn, one a step                                          | a1111          |
| `a BREAK b`            | b starts a new window of tokens                                      | a1111          |
| `a AND b :0.5`         | two conditions, composed by their weights                            | a1111          |
| `<lora:name:1:0.5>`    | a network; weight for the text encoder, then for the denoiser        | a1111          |
| `# a`                  | a comment, to the end of the line                                    | a1111          |
| `a+` `(a b)--`         | weight of a times 1.1 for each `+`, 0.9 for each `-`                 | compel         |
| `(a b)1.3`             | weight of a b times 1.3                                              | compel         |
| `{a}` `[a]`            | weight of a times 1.05, divided by 1.05                              | novelai        |
| `1.5::a::`             | weight of a times 1.5                                                | novelai        |
| `embedding:name`       | learned vectors; in the other syntaxes the name alone calls them     | comfy          |
| `("a", "b").blend(.7, .3)` | mean of two encodings; weights are normalised, see `no_normalize` | compel        |
| `("a", "b").and(1, .5)` | both, each in windows of its own                                    | compel         |
| `\\(` `\\)`              | a bracket that is a bracket (a1111 also: `\\[` `\\]` `\\\\`) | a1111, comfy, compel |

`plain` has no syntax at all. Sources: the A1111 wiki ("Features": attention, prompt editing, alternating words,
composable diffusion, infinite prompt length), the documentation of ComfyUI's text encoding, compel's syntax.md and
NovelAI's documentation.
Where those programs do otherwise than they document, or crash, the module concerned says what we do.
"""

from sfumato.choices import Syntax
from sfumato.prompts.grammar import Network, Part, Prompt, parse
from sfumato.prompts.reading import Emphasis, FlatPrompt, Packing, Piece, Reading, Segment
from sfumato.prompts.timeline import Track, timeline

__all__ = [
    "Emphasis",
    "FlatPrompt",
    "Network",
    "Packing",
    "Part",
    "Piece",
    "Prompt",
    "Reading",
    "Segment",
    "Syntax",
    "Track",
    "parse",
    "timeline",
]
