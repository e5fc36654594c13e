"""What is taken into the gallery is told."""

import asyncio
from pathlib import Path

import pytest

from sfumato.service.bus import Bus, Event
from sfumato.service.database import Database
from sfumato.service.gallery.collector import Collector
from sfumato.service.gallery.store import Gallery
from tests.service.gallery.test_words import facts


def test_a_picture_that_is_taken_in_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, bus = Database.in_folder(tmp_path), Bus()
    collector = Collector(Gallery(database, tmp_path), bus)

    async def look(path: Path, id: str) -> dict[str, object]:
        return facts("a fox")

    monkeypatch.setattr(collector.looker, "look", look)

    async def scene() -> None:
        with bus.listening() as queue:
            entry, new = await collector.bring(b"picture")
            assert new
            assert queue.get_nowait() == Event("", "gallery", {"id": entry.id})
            assert not (await collector.bring(b"picture"))[1]
            assert queue.empty()

    asyncio.run(scene())
    database.close()
