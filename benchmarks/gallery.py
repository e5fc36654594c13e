"""A gallery of 100,000 pictures: how long a page of 60 and a search take, 95 times of 100. Loopback is not in it. The
time of the processor stands beside, which what else runs on the machine does not lengthen.

python -m benchmarks.gallery [ROWS]
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from sfumato.service import database
from sfumato.service.database import Database
from sfumato.service.gallery.filters import Filters
from sfumato.service.gallery.routes import shown
from sfumato.service.gallery.store import Gallery
from sfumato.service.gallery.words import segmented

ENGLISH = "red blue green fox owl castle river snow light portrait oil ink soft sharp old young garden night sea tower"
CHINESE = "红色 蓝色 绿色 狐狸 猫头鹰 城堡 河流 雪地 光线 肖像 油画 水墨 柔和 古老 花园 夜晚 大海 高塔 天空 女孩"
TRIES = 100


def filled(gallery: Gallery, base: Database, rows: int) -> None:
    """Rows as a service writes them, without files."""
    draw = random.Random(0)
    words = [ENGLISH.split() + [f"word{i}" for i in range(4000)], CHINESE.split()]
    for start in range(0, rows, 2000):
        pictures, labels, marks, index = [], [], [], []
        for number in range(start + 1, min(start + 2000, rows) + 1):
            sort = number % 3 == 0
            prompt = ("" if sort else " ").join(draw.choices(words[sort], k=draw.randint(6, 24)))
            pictures.append(
                {
                    **{"number": number, "id": f"{number:032x}", "job": f"{number:016x}", "index": 0, "file": "x.png"},
                    **{"digest": f"{number:064x}", "pixels": f"{number:064x}", "tool": "sfumato", "exact": True},
                    **{"task": "txt2img", "request": '{"prompt":"' + prompt + '"}' + " " * 800, "prompt": prompt},
                    **{"negative": "blurry", "model": f"model{number % 7}", "seed": str(draw.randrange(2**32))},
                    **{"width": draw.choice((256, 512)), "height": 512, "format": "png", "rating": number % 6},
                    **{"created": 1e9 + number, "added": 1e9 + number, "trashed": 1.0 if number % 50 == 0 else None},
                }
            )
            labels += [{"sort": "tag", "name": f"tag{number % 11}", "picture": number}]
            labels += [{"sort": "lora", "name": f"lora{number % 101}", "picture": number}]
            marks.append({"sort": "look", "picture": number, "value": draw.randbytes(24)})
            if number % 50:
                index.append({"number": number, "words": segmented(prompt)})
        with base.begin() as connection:
            connection.execute(insert(database.gallery), pictures)
            connection.execute(insert(database.labels), labels)
            connection.execute(insert(database.marks), marks)
            connection.execute(text("INSERT INTO gallery_words (rowid, words) VALUES (:number, :words)"), index)


def timed(name: str, call: Callable[[random.Random], Any], tries: int = TRIES) -> None:
    """Print the median and the 95th percentile, in milliseconds."""
    draw, seconds, busy = random.Random(1), [], []
    for _ in range(tries):
        begun, worked = time.perf_counter(), time.process_time()
        call(draw)
        seconds.append(1000 * (time.perf_counter() - begun))
        busy.append(1000 * (time.process_time() - worked))
    median, most, own = statistics.median(seconds), sorted(seconds)[int(0.95 * tries)], sorted(busy)[int(0.95 * tries)]
    print(f"{name:42} median {median:6.1f} ms   p95 {most:6.1f} ms   of the processor {own:6.1f} ms")


def main() -> None:
    """Fill, and measure."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        base = Database.in_folder(Path(folder))
        gallery = Gallery(base, Path(folder))
        begun = time.perf_counter()
        filled(gallery, base, rows)
        print(f"{rows} rows, written in {time.perf_counter() - begun:.0f} s")

        def page(filters: Filters, sort: Any = "newest", after: str | None = None) -> None:
            for each in gallery.find(filters, sort=sort, after=after).entries:
                shown(each)

        def retag(draw: random.Random) -> None:
            gallery.label([f"{draw.randrange(rows) + 1:032x}"], "tag", only=[f"tag{draw.randrange(11)}"])
            gallery.facets()

        deep = {"newest": rows // 10, "oldest": 9 * rows // 10}
        timed("a page of 60", lambda draw: page(Filters()))
        timed("a page deep inside", lambda draw: page(Filters(), after=str(draw.randrange(1, deep["newest"]))))
        timed("a page, the best first", lambda draw: page(Filters(), "rating", f"3.{draw.randrange(1, rows)}"))
        timed("a search, a common word", lambda draw: page(Filters(q=draw.choice(ENGLISH.split()))))
        timed("a search, a rare word", lambda draw: page(Filters(q=f"word{draw.randrange(4000)} ")))
        timed("a search, two words", lambda draw: page(Filters(q=" ".join(draw.choices(ENGLISH.split(), k=2)))))
        timed("a search, two Chinese characters", lambda draw: page(Filters(q=draw.choice(CHINESE.split()))))
        timed("a search, oldest first", lambda draw: page(Filters(q="狐狸"), "oldest", str(draw.randrange(rows))))
        timed("a search, the best first", lambda draw: page(Filters(q=draw.choice(ENGLISH.split())), "rating"))
        timed("a search within a model", lambda draw: page(Filters(q="狐狸", model=f"model{draw.randrange(7)}")))
        timed("a search among a LoRA's", lambda draw: page(Filters(q="狐狸", lora=f"lora{draw.randrange(101)}")), 50)
        timed("a LoRA's pictures", lambda draw: page(Filters(lora=f"lora{draw.randrange(101)}")))
        timed("a tag's pictures, rated", lambda draw: page(Filters(tag=f"tag{draw.randrange(11)}", rating=4)))
        timed("a seed", lambda draw: page(Filters(seed=str(draw.randrange(2**32)))))
        timed("a size and a day", lambda draw: page(Filters(width=256, since=1e9 + 500, until=1e9 + 900)))
        timed("how many there are of a search", lambda draw: gallery.count(Filters(q=draw.choice(ENGLISH.split()))))
        timed("facets, the first time", lambda draw: gallery.facets(), 1)
        timed("facets", lambda draw: gallery.facets())
        timed("a picture's tag changed, and facets", retag)
        timed("what looks like one, the first time", lambda draw: gallery.similar(f"{1:032x}"), 1)
        timed("what looks like one", lambda draw: gallery.similar(f"{50 * draw.randrange(rows // 50) + 1:032x}"))


if __name__ == "__main__":
    main()
