"""A kiosk in the hall: one real node where Anna, its coordinator, and Bo both live.

Things and loans are written through the API, as everybody else's would be.
"""

from __future__ import annotations

import base64

from tests.e2e.neighbourhood import PASSPHRASE, House, Street

BOS = "bo likes the long saw"
CSV = """number,name,brand
7,Ladder,Hailo
8,Cordless drill,Bosch
9,Spirit level,
10,Hedge trimmer,Stiga
"""


def build(street: Street, name: str = "hall") -> House:
    """The node, with two members, four things and two requests of Bo's."""
    (house,) = street.build(name)
    house.name = "Anna"
    house.found()
    code = house.invite()
    with_anna, house.session = house.session, None
    house.do("join", code=code, member="Bo", passphrase=BOS)
    bo = house.session
    house.session = with_anna
    house.do("member.role", who="Bo", role="member")
    data = base64.b64encode(CSV.encode()).decode()
    report = house.do("resource.import", file={"name": "things.csv", "data": data})
    assert report["created"] >= 4, f"all four things are there: {report}"
    house.do("resource.edit", resource="10", state="maintenance")
    house.session = bo
    house.do("loan.request", resource="7", days=3)
    house.do("loan.request", resource="8", days=2)
    house.session = with_anna
    house.do("member.lock")
    return house


__all__ = ["BOS", "PASSPHRASE", "build"]
