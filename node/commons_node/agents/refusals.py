"""What is refused about agents, and why."""

from __future__ import annotations

from commons_crdt.errors import CommonsError


class BadPackage(CommonsError):
    """This is no package that can be taken: {why}."""

    code = "bad_package"
    hint = "commons-node agent check FOLDER says what is wrong with a folder of one's own"


class NoAgent(CommonsError):
    """There is no agent {agent} on this node."""

    code = "unknown"
    hint = "commons-node agent list"
    status = "not_found"


class NotAgreed(CommonsError):
    """{agent} asks for permissions that nobody has agreed to yet."""

    code = "not_agreed"
    hint = "read them, then add --yes, or --agree {agree}"


class OtherPublisher(CommonsError):
    """{name} of the publisher {installed} is installed; this one is of {publisher}."""

    code = "other_publisher"
    hint = "if you trust this one instead: commons-node agent remove {name}, then install it"


class Downgrade(CommonsError):
    """{agent} {installed} is installed; {version} is older."""

    code = "downgrade"
    hint = "if you want the older one: commons-node agent remove {name}, then install it"


class SameVersion(CommonsError):
    """{agent} {version} is installed, and this is another package of the same version."""

    code = "same_version"
    hint = "ask its publisher for a package with a version of its own"


class NothingAsked(CommonsError):
    """{agent} asks for no capability {method}."""

    code = "usage"
    hint = "commons-node agent show {agent}"
    status = "usage"


class BadSetting(CommonsError):
    """{agent} has no setting that {given!r} could be: {known}."""

    code = "bad_setting"
    hint = "KEY=VALUE, as agent show lists them"
    status = "usage"


class Suspended(CommonsError):
    """{agent} is suspended: {why}"""

    code = "suspended"
    hint = "{next}"


class AlreadyShared(CommonsError):
    """{agent} {version} is offered already, with just this package."""

    code = "state"
    hint = "commons-node agent offers"
