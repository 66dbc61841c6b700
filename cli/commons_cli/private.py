"""Files with one secret line: a passphrase, a token. Nobody else may be able to read them."""

from __future__ import annotations

import os
import stat
import sys

from commons_cli.terminal import usage
from commons_cli.texts import _

_OTHERS = 0o077
_MOST = 4096


def read_private(file: str) -> str:
    """The first line of a file, ``-`` for standard input. Raises ApiError.

    A file that others may read or write is refused. What is no file (a pipe of the shell, a
    terminal) has no mode that would say anything.
    """
    try:
        if file == "-":
            data = sys.stdin.buffer.readline(_MOST)
        else:
            with open(file, "rb") as opened:  # noqa: PTH123 - /dev/fd/63 too
                found = os.fstat(opened.fileno())
                if stat.S_ISREG(found.st_mode) and found.st_mode & _OTHERS:
                    message = _("Others may read the file {file}.").format(file=file)
                    raise usage(message, f"chmod 600 {file}")
                data = opened.readline(_MOST)
        secret = data.decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else _("it is not UTF-8")
        message = _("The file {file} cannot be read: {why}.").format(file=file, why=why)
        raise usage(message, "") from None
    if not secret:
        raise usage(_("The file {file} is empty.").format(file=file), "")
    return secret
