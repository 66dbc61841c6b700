"""What lies over a file for a service; lines of tables as systemd 252 made them on Debian 12."""

from __future__ import annotations

from pathlib import Path

import pytest

from commons_node.service import veils
from commons_node.service.veils import Veiled, refuse_veiled, veil
from commons_node.whole_file import checked_path

SYSTEM = """\
401 400 254:0 / / ro,nosuid,relatime shared:48 - ext4 /dev/vda rw
402 401 0:40 / /run rw,nosuid,nodev - tmpfs tmpfs rw,mode=755
403 402 0:40 /systemd/inaccessible/dir /home ro,nosuid,nodev,noexec - tmpfs tmpfs rw,mode=755
404 401 0:40 /systemd/inaccessible/dir /root ro,nosuid,nodev,noexec - tmpfs tmpfs rw,mode=755
405 401 0:41 /systemd-private-32-commons-node.service-Q5Ag9u/tmp /tmp rw - tmpfs tmpfs rw
406 401 254:0 /var/tmp/systemd-private-32-commons-node.service-Ep/tmp /var/tmp rw - ext4 /dev/vda rw
407 401 254:0 /var/lib/commons-node /var/lib/commons-node rw,nosuid - ext4 /dev/vda rw
408 401 254:0 /mnt/my\\040disk /mnt/my\\040disk rw,nosuid - ext4 /dev/vda rw
"""
TMP = "/tmp"  # noqa: S108 - of a service, which has one of its own
PLAIN = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:41 / /tmp rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("file", "found"),
    [
        (f"{TMP}/x.zip", "own"),
        (f"/var{TMP}/a/b", "own"),
        ("/home/anna/x.zip", "hidden"),
        ("/root/x", "hidden"),
        ("/srv/x", "read-only"),
        ("/var/lib/x", "read-only"),
        ("/var/lib/commons-node/x", ""),
        ("/mnt/my disk/x", ""),
        ("/mnt/my disk2/x", "read-only"),
    ],
)
def test_what_a_service_sees(file: str, found: str) -> None:
    assert veil(Path(file), SYSTEM) == found


def test_a_node_that_is_no_service_sees_all() -> None:
    for file in (f"{TMP}/x", "/home/anna/x", "/srv/x"):
        assert veil(Path(file), PLAIN) == ""


def test_what_is_mounted_later_lies_above() -> None:
    unplugged = SYSTEM + "409 401 8:1 / /srv rw - ext4 /dev/sda1 rw\n"
    assert veil(Path("/srv/x"), unplugged) == ""
    twice = PLAIN + "24 23 0:42 /systemd-private-1-x/tmp /tmp rw - tmpfs tmpfs rw\n"
    assert veil(Path(f"{TMP}/x"), twice) == "own"


def test_it_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(SYSTEM)
    monkeypatch.setattr(veils, "_TABLE", table)
    with pytest.raises(Veiled, match="which nobody else sees"):
        checked_path(f"{TMP}/x.zip")
    with pytest.raises(Veiled, match="nobody's home"):
        refuse_veiled(Path("/home/anna/x"), write=False)
    refuse_veiled(Path("/srv/x"), write=False)
    refuse_veiled(Path("/srv/x"), write=True)  # a disk of one's own: what it says itself is enough
    monkeypatch.setattr(veils, "_is_service", lambda: True)
    with pytest.raises(Veiled, match="its own folder only"):
        refuse_veiled(Path("/srv/x"), write=True)
    table.unlink()
    refuse_veiled(Path(f"{TMP}/x"), write=True)
