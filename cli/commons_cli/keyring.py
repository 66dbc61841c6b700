"""``commons-node keyring …``: a member's passphrase in the system's own keyring.

The Secret Service of a Linux desktop or the macOS Keychain, by way of the library ``keyring``, an
extra: a node without a desktop has no use for it. The command line asks the keyring, never the
daemon. What would keep the passphrase in a plain file is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import click

from commons_cli import passphrases
from commons_cli.options import Options, global_options
from commons_cli.output import print_json
from commons_cli.texts import _, language
from commons_node.api.client import ApiError, Client
from commons_node.api.types import ExitCode

NOUN: Final = "keyring"
VERBS: Final = ("forget", "show", "store")
SERVICE: Final = "commons-node"
_ASK_S: Final = 30.0


def kept(options: Options, member: str | None) -> str:
    """A member's passphrase, as it was stored. Raises ApiError."""
    ident, name = _member(options, member)
    found = _ask(lambda keyring: keyring.get_password(SERVICE, ident))
    if not isinstance(found, str):
        message = _("The keyring holds no passphrase of {name}.").format(name=name)
        raise ApiError("not_in_keyring", message, f"commons-node keyring store {name}",
                       ExitCode.FAILED)  # fmt: skip
    return found


def _store(options: Options, member: str | None) -> None:
    """Tried at the node before it is stored: what does not open the key is worth nothing."""
    ident, name = _member(options, member)
    _ask(lambda _keyring: None)  # a person is not asked in vain
    options.keyring = False
    passphrase = passphrases.held(options, "the member's passphrase", member)
    client = _client(options)
    arguments = {"member": ident, "passphrase": passphrase, "for": 60}
    client.session = str(client.command("member.unlock", arguments, _ASK_S)["session"])
    with suppress(ApiError):
        client.command("member.lock", {}, _ASK_S)
    _ask(lambda keyring: keyring.set_password(SERVICE, ident, passphrase))
    _say(options, {"member": ident, "name": name, "stored": True},
         _("The keyring holds the passphrase of {name}: commons-node member unlock --keyring")
         .format(name=name))  # fmt: skip


def _forget(options: Options, member: str | None) -> None:
    ident, name = _member(options, member)
    there = _ask(lambda keyring: keyring.get_password(SERVICE, ident)) is not None
    if there:
        _ask(lambda keyring: keyring.delete_password(SERVICE, ident))
    _say(options, {"member": ident, "name": name, "forgotten": there},
         _("The keyring holds no passphrase of {name} any more.").format(name=name))  # fmt: skip


def _show(options: Options) -> None:
    name = str(_ask(lambda keyring: keyring.get_keyring().name))
    _say(options, {"keyring": name}, _("Passphrases go to: {name}").format(name=name))


def _ask(what: Callable[[Any], object]) -> object:
    """Ask the library, with each of its failures as an ApiError."""
    hint = _("pip install 'keyring>=25' beside the node; without a desktop use --passphrase-file F")
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        message = _("The library that speaks with the system's keyring is not installed.")
        raise ApiError("no_keyring", message, hint, ExitCode.FAILED) from None
    try:
        if keyring.get_keyring().priority < 1:
            message = _("This system has no keyring that would keep a passphrase safe.")
            hint = _("unlock the desktop's keyring, or use --passphrase-file F")
            raise ApiError("no_keyring", message, hint, ExitCode.FAILED)
        return what(keyring)
    except (KeyringError, OSError, RuntimeError) as error:
        why = str(error) or type(error).__name__
        message = _("The keyring did not answer: {why}").format(why=why)
        hint = _("unlock the desktop's keyring, or use --passphrase-file F")
        raise ApiError("no_keyring", message, hint, ExitCode.FAILED) from None


def _client(options: Options) -> Client:
    return Client(options.socket, community=options.place, language=language())


def _member(options: Options, member: str | None) -> tuple[str, str]:
    """(id, name) of a member who lives on this node. Raises ApiError."""
    wanted = member or options.acting
    rows = _client(options).view("member.here", {}, _ASK_S)["members"]
    fit = [
        row for row in rows
        if wanted is None or row["name"] == wanted
        or (len(wanted) >= 8 and row["member"].startswith(wanted.lower()))
    ]  # fmt: skip
    if len(fit) != 1:
        message = _("It is not clear whose passphrase is meant.")
        raise ApiError("which_member", message, _("say who acts with --as MEMBER"), ExitCode.USAGE)
    return str(fit[0]["member"]), str(fit[0]["name"])


def _say(options: Options, told: dict[str, object], words: str) -> None:
    if options.json:
        print_json(told)
    elif not options.quiet:
        click.echo(words)


def keyring_group() -> click.Group:
    """The noun with its verbs."""
    return click.Group(
        NOUN,
        commands=[_command(name) for name in VERBS],
        params=global_options(hidden=True),
        help=_("A member's passphrase in this system's own keyring."),
        context_settings={"help_option_names": ["--help"], "max_content_width": 100},
    )


def _command(name: str) -> click.Command:
    """One of ``VERBS``."""
    texts = {
        "forget": _("Take a member's passphrase out of the keyring."),
        "show": _("Say which keyring this is."),
        "store": _("Ask for a member's passphrase, try it, and store it in the keyring."),
    }
    who: list[click.Parameter] = [click.Argument(["member"], required=False, metavar="MEMBER")]
    done = {"forget": _forget, "show": _show, "store": _store}

    def run(**given: Any) -> None:
        context = click.get_current_context()
        options = context.ensure_object(Options)
        options.command = context.command_path
        done[name](options, **given)  # type: ignore[operator]

    return click.Command(
        name,
        params=[*([] if name == "show" else who), *global_options(hidden=True)],
        help=texts[name],
        callback=run,
        context_settings={"help_option_names": ["--help"], "max_content_width": 100},
    )
