"""What a call is refused for. The code is what an agent sees, with the sentence beside it."""

from __future__ import annotations

from commons_crdt.errors import CommonsError


class NoMethod(CommonsError):
    """There is no method {method}."""

    code = "no_method"
    hint = "docs/capabilities.md lists the methods"


class NotGranted(CommonsError):
    """{method} was not granted: {why}."""

    code = "not_granted"
    hint = "commons-node agent grant AGENT"
    status = "locked"


class BadParameters(CommonsError):
    """{method} was called with something wrong: {why}."""

    code = "bad_parameters"
    hint = "docs/capabilities.md says what it takes"
    status = "usage"


class OverRate(CommonsError):
    """{method} may be called {rate} only; there is more in {seconds} s."""

    code = "rate"
    hint = "wait, or grant a higher rate: commons-node agent grant AGENT"


class TooMuch(CommonsError):
    """{method} would take or give too much: {why}."""

    code = "too_much"
    hint = "ask for less at once"


class OverBudget(CommonsError):
    """This run may cost {most} credits, and has used {used}."""

    code = "budget"
    hint = "set credits in the limits of the agent, or agents_run_credits in config.toml"


class OnlyDry(CommonsError):
    """A dry run asks nobody outside: {method} did nothing."""

    code = "dry"
    hint = "commons-node job run JOB, without --dry"


class Absent(CommonsError):
    """{thing} is not set up on this node: {why}."""

    code = "not_set_up"
    hint = "{next}"


class Fault(CommonsError):
    """{method} did not work: {why}."""

    code = "fault"
    hint = "commons-node job logs JOB"
