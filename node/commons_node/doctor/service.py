"""Whether the installed service is let at what the settings name."""

from __future__ import annotations

import os
import shlex

from commons_crdt.texts import _
from commons_node.config import Config
from commons_node.doctor.check import Check
from commons_node.service.installing import again
from commons_node.service.needs import needs_of
from commons_node.service.unit import RUNTIME, Told


def service(unit: Told, config: Config, *, whose: int) -> Check:
    """Whether the service may write where its settings say; ``whose``: its home's owner."""
    needs = [one for one in needs_of(config) if one.folder is not None]
    own = (unit.home, RUNTIME) if unit.user else (unit.home,)
    kept_from = [
        one for one in needs
        if not any(one.path.is_relative_to(folder) for folder in (*own, *unit.folders))
    ]  # fmt: skip
    absent = [one for one in needs if one.folder is not None and not one.folder.is_dir()]
    absent = [one for one in absent if one.folder != RUNTIME]
    denied = [
        one for one in needs
        if one.folder is not None and one not in absent and whose == os.getuid()
        and not os.access(one.folder, os.W_OK | os.X_OK)
    ]  # fmt: skip
    facts = {
        "system": bool(unit.user), "kept_from": len(kept_from), "absent": len(absent),
        "denied": len(denied),
    }  # fmt: skip
    if kept_from:
        names = ", ".join(f"{one.setting} ({one.path})" for one in kept_from)
        detail = _(
            "The service was installed before these were set, and may not write there: {names}."
        )
        fix = again(unit)
        return Check("service", "fail", detail.format(names=names), fix, facts)
    if absent:
        names = ", ".join(f"{one.setting} ({one.folder})" for one in absent)
        detail = _("These folders are not there: {names}.").format(names=names)
        fix = _("plug the disk in or make the folder; then start the service again")
        return Check("service", "fail", detail, fix, facts)
    if denied:
        names = ", ".join(f"{one.setting} ({one.folder})" for one in denied)
        detail = _("The service's user may not write there: {names}.").format(names=names)
        who = unit.user or str(os.getuid())
        fix = shlex.join(["sudo", "chown", who, *(str(one.folder) for one in denied)])
        return Check("service", "fail", detail, fix, facts)
    return Check("service", "ok", _("The service may write where the settings say."), "", facts)
