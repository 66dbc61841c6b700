"""What is signed of a photo: the picture, and neither place, time, camera nor what was cut away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.pictures import CAMERA, PLACE, exif, jpeg, png, webp
from tests.unit.street import homes

from commons_node.domains import RULES
from commons_node.domains.needed import OlderRules
from commons_node.domains.resources.facts import PHOTO
from commons_node.domains.resources.photos import MAX_PHOTO, BadPhoto, strip
from commons_node.registry import File
from commons_node.verifier.pool import VerifierPool

MAKERS = {"jpeg": jpeg, "png": png, "webp": webp}


@pytest.mark.parametrize("media", MAKERS)
def test_place_time_and_camera_are_taken_out(media: str) -> None:
    data = MAKERS[media](5000)
    assert PLACE in data
    photo = strip("drill", data)
    assert photo.media == media
    for secret in (PLACE, CAMERA, b"GPS", b"Photoshop", b"xap", b"thumbnail", b"film", b"tEXt"):
        assert secret not in photo.data
    assert len(photo.data) > 4900, "the picture itself is there"
    assert strip("drill", photo.data) == photo, "and once more changes nothing"


def test_a_photo_that_lies_on_its_side_is_still_turned() -> None:
    turned = strip("drill", jpeg(orientation=6)).data
    assert b"Exif\0\0MM\0*" in turned
    assert turned[turned.index(b"\x01\x12\0\x03") + 8 :][:2] == b"\0\x06"
    assert b"Exif" not in strip("drill", jpeg(orientation=1)).data, "upright needs no word"
    little = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0\0\0\0\0" + PLACE
    other = jpeg(orientation=1).replace(
        b"\xff\xe1" + (len(exif(1)) + 2).to_bytes(2) + exif(1),
        b"\xff\xe1" + (len(little) + 2).to_bytes(2) + little,
    )
    assert b"\x01\x12\0\x03\0\0\0\x01\0\x08" in strip("drill", other).data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no JPEG"),
        (b"GIF89a" + bytes(100), "no JPEG"),
        (jpeg()[:200], "cut off"),
        (b"\xff\xd8\xff\xd9", "no picture"),
        (png()[:-40], "cut off"),
        (png().replace(b"IDAT", b"XDAT", 1), "damaged"),
        (webp()[:60], "cut off"),
        (webp().replace(b"VP8 ", b"ANMF"), "moves"),
        (webp().replace(b"VP8 ", b"EXIF"), "no picture"),
    ],
)
def test_what_is_no_whole_picture_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(BadPhoto, match=why):
        strip("drill.jpg", data)


def test_a_photo_that_is_too_large_is_refused() -> None:
    assert len(strip("drill", jpeg(5_200_000)).data) <= MAX_PHOTO
    with pytest.raises(BadPhoto, match="too large"):
        strip("drill", jpeg(5_300_000))


makers = st.sampled_from([jpeg, png, webp])


@given(makers, st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte_never_brings_anything_but_a_picture_or_a_refusal(
    make: Callable[[int], bytes], at: int, value: int
) -> None:
    data = bytearray(make(100))
    data[at % len(data)] = value
    try:
        photo = strip("drill", bytes(data))
    except BadPhoto:
        return
    assert strip("drill", photo.data).data == photo.data


def test_rules_version_1_is_what_it_was_and_2_has_photos_too() -> None:
    tables = RULES.tables
    assert sorted(tables)[:2] == [1, 2]
    assert tables[2].kinds.keys() - tables[1].kinds.keys() == {PHOTO}
    assert all(tables[1].kinds[name] is kind for name, kind in tables[2].kinds.items()
               if name != PHOTO)  # fmt: skip


@pytest.mark.anyio
async def test_a_community_of_the_older_rules_is_told_how_it_gets_photos(tmp_path: Path) -> None:
    pool = VerifierPool(1)
    try:
        async with homes(tmp_path, pool, "north") as (north,):
            assert north.realm.judge.authority.council.rules == 1
            await north.do("cia", "resource.add", name="Drill", number="1")
            photo = File("drill.jpg", jpeg(3000))
            with pytest.raises(OlderRules, match="version 2") as caught:
                await north.do("cia", "resource.photo.add", resource="1", file=photo)
            assert "propose rules --version 2" in caught.value.way_out
            assert await north.rows("resource.photo.show", "photos", resource="1") == []
    finally:
        await pool.stop()
