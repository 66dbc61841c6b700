"""How a node is set up: flags over ``COMMONS_*`` over ``config.toml`` over what stands here.

Only reads; no setting is ever written by the node. An unknown key or a wrong value is an error,
because a misspelt setting that is ignored is worse than none.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta, inspect

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _

FILE: Final = "config.toml"
PREFIX: Final = "COMMONS_"

_LISTS: Final = frozenset({"LISTEN", "ANNOUNCE", "LAN_INTERFACES", "JOBS_AT", "LOG_LEVELS"})

_HOST: Final = r"(ip4/[0-9.]{7,15}|ip6/[0-9a-fA-F:.]{2,45}|dns[46]?/[A-Za-z0-9.-]{1,120})"
Reachable = Annotated[str, Meta(pattern=rf"^/{_HOST}/tcp/[0-9]{{1,5}}\Z")]
"""A multiaddr that others dial: an IP address or a name, and a TCP port."""

_ABSOLUTE: Final = r"^(/[^\x00-\x1f]{0,4000})?\Z"
DriverName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,39}\Z")]
"""What a host calls a driver or a model."""
DriverSetting = str | int | float | bool | tuple[str, ...]
Entry = Annotated[
    str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,200}:[A-Za-z_][A-Za-z0-9_]{0,80}\Z")
]

LogLevel = Literal["debug", "info", "warning", "error"]
ComponentLevel = Annotated[str, Meta(pattern=r"^[a-z0-9_.]{1,40}=(debug|info|warning|error)\Z")]
LogFormat = Literal["auto", "console", "json"]
BackupParts = Literal["own", "all", "none"]
PartsPolicy = Literal["all", "recent", "texts", "on-demand"]

# Read by the command line, before there is a configuration.
_NOT_SETTINGS: Final = frozenset({"HOME", "COMMUNITY", "AS", "NODE_COMPLETE"})


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting, its type and default. Each is also ``COMMONS_<NAME>`` in the environment."""

    listen: Annotated[
        tuple[str, ...],
        Meta(
            description="addresses to listen on, as multiaddrs; port 0 takes a free one at the "
            "first start and keeps it; in the environment separated by commas"
        ),
    ] = ("/ip4/0.0.0.0/tcp/0",)
    announce: Annotated[
        tuple[Reachable, ...],
        Meta(
            description="addresses at which others reach this node, where they are not those that "
            "it listens on, such as /ip4/203.0.113.5/tcp/4001 of a router, or /dns/name/tcp/4001; "
            "in the environment separated by commas"
        ),
    ] = ()
    lan: Annotated[
        bool, Meta(description="find peers on the same network, and be found by them")
    ] = True
    lan_interfaces: Annotated[
        tuple[str, ...],
        Meta(
            description="IPv4 addresses of this machine on the networks to use for that; none: "
            "all but loopback; in the environment separated by commas"
        ),
    ] = ()
    relay: Annotated[
        bool,
        Meta(
            description="be a relay: let nodes behind routers, of any community, be reached "
            "through this one"
        ),
    ] = False
    relay_reservations: Annotated[
        int, Meta(ge=1, le=1024, description="as a relay: nodes that may be reached through it")
    ] = 32
    relay_circuits: Annotated[
        int, Meta(ge=1, le=1024, description="as a relay: connections that it carries at once")
    ] = 64
    relay_megabytes: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="as a relay: MiB that one connection may carry, both ways together; then "
            "it must be made anew",
        ),
    ] = 256
    relay_minutes: Annotated[
        int, Meta(ge=1, le=10_080, description="as a relay: how long one connection may last")
    ] = 120
    verifier_workers: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="processes that check signatures and documents; 0: one for each core",
        ),
    ] = 0
    log_level: Annotated[LogLevel, Meta(description="debug, info, warning or error")] = "info"
    log_format: Annotated[
        LogFormat, Meta(description="console, json, or auto: console on a terminal")
    ] = "auto"
    log_levels: Annotated[
        tuple[ComponentLevel, ...],
        Meta(
            description="other levels for some components, such as membership=debug; while it "
            "runs: commons-node log level; in the environment separated by commas"
        ),
    ] = ()
    log_file: Annotated[
        str,
        Meta(
            pattern=_ABSOLUTE,
            description="log to this file instead of stderr, as JSON, as an absolute path; empty: "
            "stderr",
        ),
    ] = ""
    log_file_mib: Annotated[
        int, Meta(ge=1, le=1024, description="MiB after which a new log file is begun")
    ] = 10
    log_files: Annotated[int, Meta(ge=0, le=100, description="how many earlier log files stay")] = 3
    audit_days: Annotated[
        int,
        Meta(
            ge=0,
            le=3660,
            description="days that the audit file keeps who made this node do what; 0: it is not "
            "written",
        ),
    ] = 90
    guest_socket: Annotated[
        str,
        Meta(
            pattern=_ABSOLUTE,
            max_length=100,
            description="a second socket of the API, for programs of other users that hold a "
            "token, as an absolute path; empty: none",
        ),
    ] = ""
    metrics_listen: Annotated[
        str,
        Meta(
            pattern=r"^((127\.0\.0\.1|\[::1\]|[0-9.]{7,15}|\[[0-9a-f:]{2,45}\]):[0-9]{1,5})?\Z",
            description="give figures and health over HTTP here, such as 127.0.0.1:9464; anybody "
            "who reaches it can read them; empty: nowhere",
        ),
    ] = ""
    language: Annotated[
        str,
        Meta(
            pattern=r"^[a-z]{2,3}\Z",
            description="the language in which requests are answered that ask for none, such as sv",
        ),
    ] = "en"
    sync_interval_s: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="seconds between two comparisons with each peer, with some jitter",
        ),
    ] = 60.0
    prune: Annotated[
        bool,
        Meta(
            description="delete what a seal of the council has made superfluous: branches that "
            "lost, and what was written behind a closing; no verdict and no hash changes by it"
        ),
    ] = True
    keep_out: Annotated[
        bool,
        Meta(
            description="keep nodes out for a while that break rules again and again; false: only "
            "count what they do"
        ),
    ] = True
    disk_reserve: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 20,
            description="MiB of the disk that stay free for small acts of those who live here: "
            "below it nothing that others wrote is taken in; 0: none",
        ),
    ] = 256
    parts: Annotated[
        PartsPolicy,
        Meta(
            description="what is fetched before somebody looks: all (photos too, in the "
            "background, up to the quota), recent (photos only of what no seal has settled; "
            "others go again), texts, or on-demand (nothing)"
        ),
    ] = "all"
    jobs_workers: Annotated[
        int,
        Meta(ge=0, le=16, description="jobs that run at once; 0: no job runs on this node"),
    ] = 2
    jobs_cpu_s: Annotated[
        float,
        Meta(
            gt=0,
            le=57_600,
            description="seconds of processor time that all jobs together may take in an hour",
        ),
    ] = 900.0
    jobs_memory_mib: Annotated[
        int,
        Meta(ge=64, le=65_536, description="MiB of memory that running jobs may take together"),
    ] = 1024
    jobs_disk_mib: Annotated[
        int,
        Meta(
            ge=8,
            le=65_536,
            description="MiB that jobs may store: what they keep, their logs, what waits",
        ),
    ] = 256
    jobs_at: Annotated[
        tuple[str, ...],
        Meta(
            description="when the node's own jobs run, where it is not as built: NAME=CRON or "
            "NAME=off, such as overdue=0 9 * * MON; in the environment separated by commas"
        ),
    ] = ()
    jobs_zone: Annotated[
        str,
        Meta(
            max_length=64,
            description="the IANA zone of all schedules, such as Europe/Stockholm; empty: this "
            "machine's own",
        ),
    ] = ""
    agents_http: Annotated[
        bool,
        Meta(
            description="let agents ask web servers through this node: those that each was granted"
        ),
    ] = False
    agents_run_credits: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000_000,
            description="compute credits that one run of an agent may cost, where it says nothing "
            "itself; 1 is about a tenth of a second of a core",
        ),
    ] = 50
    agents_day_credits: Annotated[
        int,
        Meta(
            ge=1, le=1_000_000_000, description="compute credits that each agent may use in a day"
        ),
    ] = 2_000
    agents_community_credits: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000_000,
            description="compute credits that all agents of one community may use in a day",
        ),
    ] = 10_000
    drivers: Annotated[
        Mapping[DriverName, Mapping[str, DriverSetting]],
        Meta(
            max_length=64,
            description="what this host has standing about for agents (printers, notifiers, "
            "sensors), each by a name; only in config.toml",
        ),
    ] = {}
    models: Annotated[
        Mapping[DriverName, Entry],
        Meta(
            max_length=64,
            description="models that agents may ask, as MODULE:NAME of installed Python code, each "
            "by a name; only in config.toml",
        ),
    ] = {}
    models_memory_mib: Annotated[
        int,
        Meta(
            ge=16,
            le=1_048_576,
            description="MiB that each model may take to answer, beside what it has when it is "
            "loaded; on Linux only",
        ),
    ] = 2_048
    parts_quota_mib: Annotated[
        int,
        Meta(
            ge=1,
            le=1_048_576,
            description="MiB that photos may take in each community; what others have goes first, "
            "what was added here stays",
        ),
    ] = 512
    backup_to: Annotated[
        str,
        Meta(
            pattern=_ABSOLUTE,
            description="the folder that backups go to by themselves, as an absolute path; "
            "better on another disk; empty: none are made",
        ),
    ] = ""
    backup_passphrase_file: Annotated[
        str,
        Meta(
            pattern=_ABSOLUTE,
            description="the file with the passphrase of these backups, readable by this user "
            "only; keep the passphrase elsewhere, too",
        ),
    ] = ""
    backup_every_hours: Annotated[
        int, Meta(ge=0, le=8784, description="hours between two of them; 0: none")
    ] = 24
    backup_keep: Annotated[
        int, Meta(ge=1, le=1000, description="how many of them stay; older ones are deleted")
    ] = 7
    backup_parts: Annotated[
        BackupParts,
        Meta(description="photos in them: own (added on this node), all that are here, or none"),
    ] = "own"


class BadConfig(CommonsError):
    """The setting {key} in {where} is wrong: {why}."""

    code: ClassVar[str] = "bad_config"
    hint: ClassVar[str] = "{fix}"
    status = "usage"


def names() -> tuple[str, ...]:
    """All settings' names, in the order of declaration."""
    return Config.__struct_fields__


def describe() -> list[dict[str, object]]:
    """Each setting as ``{"key", "environment", "default", "help"}``, for documentation."""
    standard = json.loads(msgspec.json.encode(Config()))
    return [
        {
            "key": key,
            "environment": PREFIX + key.upper(),
            "default": standard[key],
            "help": _help(key),
        }
        for key in names()
    ]


def load(
    home: Path, environment: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Config:
    """The configuration of the node in ``home``; flags that are None count as not given.

    Raises BadConfig naming the key and where it stands.
    """
    layers = (
        (FILE, _from_file(home / FILE), True),
        (_("the environment"), _from_environment(environment), False),
        (_("the flags"), {key: one for key, one in (flags or {}).items() if one is not None}, True),
    )
    merged: dict[str, object] = {}
    for where, layer, strict in layers:
        for key, raw in layer.items():
            merged[key] = _checked(where, key, raw, strict=strict)
    return msgspec.convert(merged, Config)


def _from_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(
            key="file", where=FILE, why=error, fix=_("correct {path}").format(path=path)
        ) from None
    except (ValueError, RecursionError):  # what tomllib does not turn into an error of its own
        why = _("it is nested too deep, or holds a number without end")
        raise BadConfig(
            key="file", where=FILE, why=why, fix=_("correct {path}").format(path=path)
        ) from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, raw in environment.items():
        key = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and key not in _NOT_SETTINGS:
            if not _is_text(name + raw):
                shown, fix = (
                    ascii(key.lower()).strip("'"),
                    _("set {name!a} to text in UTF-8").format(name=name),
                )
                raise BadConfig(
                    key=shown, where=_("the environment"), why=_("it is no text"), fix=fix
                )
            parts = [part.strip() for part in raw.split(",") if part.strip()]
            found[key.lower()] = parts if key in _LISTS else raw
    return found


def _is_text(given: str) -> bool:
    """False if it holds bytes of the environment that are no UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in given)


def _checked(where: str, key: str, raw: object, *, strict: bool) -> object:
    """``raw`` as the setting's type; without ``strict`` numbers and booleans may be text."""
    if key not in names():
        near = get_close_matches(key, names(), 1)
        fix = (
            _("did you mean {near}?").format(near=near[0])
            if near
            else _("the settings are {names}").format(names=", ".join(names()))
        )
        raise BadConfig(key=key, where=where, why=_("there is no such setting"), fix=fix)
    try:
        checked = msgspec.convert({key: raw}, Config, strict=strict)
    except msgspec.ValidationError as error:
        why = str(error).partition(" - at ")[0].replace("`", "")
        name = key if strict else PREFIX + key.upper()
        fix = f"{name}: {_help(key)}"
        raise BadConfig(key=key, where=where, why=why[:1].lower() + why[1:], fix=fix) from None
    return getattr(checked, key)


def _help(key: str) -> str:
    info = inspect.type_info(Config)
    assert isinstance(info, inspect.StructType)
    described = next(one.type for one in info.fields if one.name == key)
    assert isinstance(described, inspect.Metadata)
    return str((described.extra_json_schema or {})["description"])
