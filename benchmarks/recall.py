"""How often a caption finds its picture among others, and a picture its caption, by the bundled embeddings:

    python -m benchmarks.recall --each 20

On fresh renders, of placements and combinations that the heads have not learned from; emoji are the same things again.
"""

import argparse

import torch
from PIL import Image
from recipes.nano.data.captions import LANGUAGES, full_caption
from recipes.nano.recognition.features import STYLES, renders
from recipes.nano.recognition.heads import recall

from sfumato.recognition.embedding import embedder

SEED = 7
"""Another than those of the data set and of the heads."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=20, help="renders of each style")
    given = parser.parse_args()
    drawn = [each for style in STYLES for each in renders(style, given.each, SEED)]
    pictures = embedder().pictures([Image.fromarray(array) for array, _ in drawn])
    print(
        f"{len(drawn)} renders", "| captions | find | recall@1 | recall@10 |", "| --- | --- | ---: | ---: |", sep="\n"
    )
    for language in LANGUAGES:
        said = [full_caption(attributes, language) for _, attributes in drawn]
        texts = torch.cat([embedder().texts(said[k : k + 32]) for k in range(0, len(said), 32)])
        for what, pair in (("pictures", (texts, pictures)), ("captions, by pictures", (pictures, texts))):
            print(f"| {language} | {what} | {recall(*pair, 1):.3f} | {recall(*pair, 10):.3f} |")


if __name__ == "__main__":
    main()
