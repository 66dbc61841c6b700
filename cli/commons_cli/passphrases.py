"""Where a passphrase comes from: a private file, the system's keyring, or a person who is asked.

Never from an argument and never from the environment: others on the machine could read those. It
goes into the request's body, and nowhere else.
"""

from __future__ import annotations

from typing import Final

import click

from commons_cli.options import Options
from commons_cli.private import read_private
from commons_cli.terminal import on_terminal, usage
from commons_cli.texts import _
from commons_node.api.client import ApiError
from commons_node.api.types import ExitCode

_LEAST: Final = 8


def held(options: Options, about: str, member: str | None) -> str:
    """A passphrase that exists. ``about``: what it is, in English. Raises ApiError, click.Abort."""
    if options.passphrase_file:
        return read_private(options.passphrase_file)
    if options.keyring:
        from commons_cli.keyring import kept

        return kept(options, member)
    return _asked(about, twice=False)


def new(file: str | None, about: str) -> str:
    """One that is chosen now, asked twice, refused when it is weak. Raises as ``held``."""
    return _strong(read_private(file)) if file else _asked(about, twice=True)


def _strong(passphrase: str) -> str:
    if len(passphrase.strip()) < _LEAST:
        message = _("A passphrase needs at least 8 characters.")
        hint = _("four or five random words are easy to remember and hard to guess")
        raise ApiError("weak_passphrase", message, hint, ExitCode.USAGE)
    return passphrase


def _asked(about: str, *, twice: bool) -> str:
    if not on_terminal():
        hint = _("give it with --passphrase-file F, or run this on a terminal")
        raise usage(_("A passphrase is needed, and nobody can be asked here."), hint)
    prompt = _("Passphrase ({about})").format(about=_(about))
    if not twice:
        return str(click.prompt(prompt, hide_input=True, err=True))
    again = _("The same again")  # asked for what is strong enough only
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=again, err=True,
                            value_proc=_strong))  # fmt: skip
