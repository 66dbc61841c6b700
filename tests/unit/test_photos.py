"""What is signed of a photo: the picture, and neither place, time, camera nor what was cut away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.pictures import CAMERA, PLACE, exif, jpeg, png, webp

from commons_node.domains.resources.photos import MAX_PHOTO, BadPhoto, strip

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
