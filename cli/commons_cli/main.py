"""``commons-node``: run the command line and end with the right exit code, whatever happens.

The only place that turns errors into output. A traceback is shown to nobody who did not ask for
it with ``-v``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from commons_cli.build import build
from commons_cli.options import Options
from commons_cli.output import print_error
from commons_cli.texts import _
from commons_node.api.client import ApiError
from commons_node.api.paths import NotYoursError
from commons_node.api.types import ExitCode

PROGRAM = "commons-node"


def main() -> None:
    """The entry point of the installed program."""
    sys.exit(run(sys.argv[1:]))


def load_verbs() -> dict[str, Any]:
    """The node's verbs as they were when this program was made."""
    text = Path(__file__).with_name("verbs.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def run(
    arguments: Sequence[str], verbs: dict[str, Any] | None = None, options: Options | None = None
) -> int:
    """Run one command line; the exit code. ``verbs`` and ``options`` are for tests."""
    given = Options() if options is None else options
    try:
        return _run(arguments, load_verbs() if verbs is None else verbs, given)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes.
        sys.stdout = None
        return ExitCode.FAILED


def _run(arguments: Sequence[str], verbs: dict[str, Any], options: Options) -> int:
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in before
    what = _("{program} did not work").format(program=PROGRAM)
    try:
        result = build(verbs).main(
            list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=options
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else ExitCode.OK
    except NoArgsIsHelpError as error:
        if not as_json:
            click.echo(error.ctx.get_help(), err=True)
            return ExitCode.USAGE
        text = _("A command is missing.")
        print_error(what, "usage", text, f"{PROGRAM} --help", as_json=True)
        return ExitCode.USAGE
    except click.UsageError as error:
        print_error(
            _what(error, what), "usage", error.format_message(), _hint(error), as_json=as_json
        )
        return ExitCode.USAGE
    except ApiError as error:
        print_error(
            _("{command} did not work").format(command=options.command or PROGRAM),
            error.code,
            error.message,
            options.run_line if error.exit == ExitCode.NOT_RUNNING else error.hint,
            as_json=as_json,
            report=error.report,
        )
        return error.exit
    except NotYoursError as error:
        print_error(what, error.code, str(error), error.hint, as_json=as_json)
        return ExitCode.LOCKED
    except (click.Abort, KeyboardInterrupt):
        text = _("It was stopped.")
        print_error(what, "interrupted", text, "", as_json=as_json)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise
    except (click.ClickException, OSError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print_error(what, "failed", text, f"{PROGRAM} -v …", as_json=as_json)
        return ExitCode.FAILED
    except Exception as error:
        if options.verbose:
            import traceback

            traceback.print_exc()
        text = _("There is a fault in this program ({kind}).").format(kind=type(error).__name__)
        hint = _("run it again with -v, and report what it prints")
        print_error(what, "internal", text, hint, as_json=as_json)
        return ExitCode.FAILED


def _what(error: click.UsageError, otherwise: str) -> str:
    if error.ctx is None:
        return otherwise
    return _("{command} did not work").format(command=error.ctx.command_path)


def _hint(error: click.UsageError) -> str:
    context = error.ctx
    if context is None:
        return f"{PROGRAM} --help"
    # click says which command was not found since 8.4.
    wrong = getattr(error, "command_name", None)
    if wrong and isinstance(context.command, click.Group):
        from difflib import get_close_matches

        near = get_close_matches(str(wrong), context.command.list_commands(context), 1)
        if near:
            return f"{context.command_path} {near[0]}"
    return f"{context.command_path} --help"


if __name__ == "__main__":
    main()
