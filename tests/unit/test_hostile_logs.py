"""A fault may be logged with its traceback; what the frames held stays out of every log."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from commons_node.logs import set_up


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@pytest.mark.parametrize("style", ["console", "json"])
def test_no_variable_of_a_frame_is_logged(style: Literal["console", "json"]) -> None:
    out = io.StringIO()
    set_up("info", style, out)

    def unlock(passphrase: str, seed: bytes) -> None:
        assert passphrase
        assert seed
        raise RuntimeError("the disk is gone")

    secret = "-".join(["correct", "horse", "battery"])
    for log in (structlog.get_logger("a"), logging.getLogger("b")):
        try:
            unlock(secret, secret.encode())
        except RuntimeError:
            log.exception("a request failed")
    said = out.getvalue()
    assert said.count("RuntimeError: the disk is gone") == 2, "what happened is logged"
    assert "unlock" in said, "and where"
    assert secret not in said
