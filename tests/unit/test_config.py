"""Settings: who wins, and what a mistake is answered with. And logs that keep secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from commons_node import config, logs
from commons_node.config import BadConfig, Config, load


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path, {}) == Config()
    assert Config().listen == ("/ip4/0.0.0.0/tcp/0",)


def test_flags_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'lan = false\nverifier_workers = 1\nlog_level = "error"\nsync_interval_s = 5\n'
    )
    environment = {
        "COMMONS_VERIFIER_WORKERS": "2",
        "COMMONS_LOG_LEVEL": "debug",
        "COMMONS_LISTEN": "/ip4/1.2.3.4/tcp/1, /ip6/::/tcp/2",
        "COMMONS_LAN_INTERFACES": "192.0.2.7",
        "COMMONS_HOME": "/somewhere",
        "PATH": "/bin",
    }
    found = load(tmp_path, environment, {"log_level": "warning", "lan": None})
    assert found == Config(
        listen=("/ip4/1.2.3.4/tcp/1", "/ip6/::/tcp/2"),
        lan=False,
        lan_interfaces=("192.0.2.7",),
        verifier_workers=2,
        log_level="warning",
        sync_interval_s=5.0,
    )


@pytest.mark.parametrize(
    ("file", "environment", "key", "fix"),
    [
        ("lann = true", {}, "lann", "did you mean lan?"),
        ("[colours]\nx = 1", {}, "colours", "the settings are listen"),
        ('lan = "yes"', {}, "lan", "lan:"),
        ("lan = 1", {}, "lan", "lan:"),
        ('listen = "/ip4/0.0.0.0/tcp/0"', {}, "listen", "listen:"),
        ("verifier_workers = 65", {}, "verifier_workers", "processes"),
        ("verifier_workers = true", {}, "verifier_workers", "processes"),
        ("sync_interval_s = 0.5", {}, "sync_interval_s", "seconds"),
        ("sync_interval_s = nan", {}, "sync_interval_s", "seconds"),
        ('announce = ["1.2.3.4:4001"]', {}, "announce", "/ip4/203.0.113.5/tcp/4001"),
        ("", {"COMMONS_ANNOUNCE": "/dns/a b/tcp/1"}, "announce", "COMMONS_ANNOUNCE"),
        ('log_level = "loud"', {}, "log_level", "debug, info"),
        ("lan =", {}, "file", "correct"),
        ("", {"COMMONS_LAN": "perhaps"}, "lan", "COMMONS_LAN"),
        ("", {"COMMONS_VERIFYER_WORKERS": "2"}, "verifyer_workers", "verifier_workers"),
        ("", {"COMMONS_VERIFIER_WORKERS": "two"}, "verifier_workers", "COMMONS_VERIFIER"),
    ],
)
def test_a_mistake_names_the_key_and_the_way_out(
    tmp_path: Path, file: str, environment: dict[str, str], key: str, fix: str
) -> None:
    (tmp_path / "config.toml").write_text(file)
    with pytest.raises(BadConfig) as refused:
        load(tmp_path, environment)
    assert f"The setting {key} in " in str(refused.value)
    assert fix in refused.value.way_out
    assert refused.value.status == "usage"


def test_a_file_that_is_no_text_is_a_mistake_too(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"lan = \xff")
    with pytest.raises(BadConfig):
        load(tmp_path, {})


def test_every_setting_is_described() -> None:
    described = {str(one["key"]): one for one in config.describe()}
    assert set(described) == set(config.names())
    assert all(len(str(one["help"])) > 10 for one in described.values())
    assert described["listen"]["environment"] == "COMMONS_LISTEN"
    assert described["listen"]["default"] == ["/ip4/0.0.0.0/tcp/0"]


@pytest.fixture
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("restore_logging")
def test_a_log_line_is_json_where_nobody_watches_and_holds_no_secret() -> None:
    out = io.StringIO()
    logs.set_up("info", "auto", out)
    structlog.get_logger("test").info(
        "joined",
        passphrase="correct horse",
        signing_key=b"k",
        code="commons1qqq",
        public_key="shown",
        inner={"seed": 1, "deep": [{"token": "t"}]},
        peer="bob",
    )
    line = json.loads(out.getvalue())
    assert line["event"] == "joined"
    assert line["peer"] == "bob"
    assert line["public_key"] == "shown"
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")
    for name in ("passphrase", "signing_key", "code"):
        assert line[name] == logs.BLACKED_OUT
    assert line["inner"] == {"seed": logs.BLACKED_OUT, "deep": [{"token": logs.BLACKED_OUT}]}


@pytest.mark.usefixtures("restore_logging")
def test_other_libraries_log_in_the_same_shape_and_level() -> None:
    out = io.StringIO()
    logs.set_up("warning", "json", out)
    logging.getLogger("somebody.else").info("chatter")
    logging.getLogger("somebody.else").warning("watch %s", "out")
    try:
        raise ValueError("inside")
    except ValueError:
        structlog.get_logger("ours").exception("broke")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first["event"] == "watch out"
    assert first["logger"] == "somebody.else"
    assert "ValueError: inside" in second["exception"]


@pytest.mark.usefixtures("restore_logging")
def test_setting_logs_up_twice_does_not_say_everything_twice() -> None:
    out = io.StringIO()
    logs.set_up("info", "console", io.StringIO())
    logs.set_up("info", "console", out)
    structlog.get_logger("test").info("once", peer="bob")
    assert out.getvalue().count("once") == 1
    assert "\x1b" not in out.getvalue(), "no colour"
