#!/bin/sh
# Makes .venv for this checkout: a Python of the system, a pinned uv inside, the locked packages.
# Called by make. Needs python3 and the network, never a compiler; writes only below .venv
# (and, as root on Debian, installs python3-venv when it is missing).
set -eu

uv_version=0.13.8
venv=.venv

say() { printf '%s\n' "$*" >&2; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }

# ensurepip is what Debian leaves out of python3.
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

find_python() {
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null 2>&1 && fits "$name"; then
            command -v "$name"
            return
        fi
    done
    say "commons-node needs Python 3.11, 3.12 or 3.13; python3 here is: $(python3 --version 2>&1 || true)"
    say "Install one of them and run make again, or name it: make PYTHON=/path/to/python3.12 ..."
    exit 1
}

install_venv_module() {
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(command -v "$1")" = /usr/bin/python3 ]; then
        package=python3-venv
    fi
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        say "python3 comes without venv here; installing $package"
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >&2
    elif command -v apt-get >/dev/null 2>&1; then
        say "python3 comes without venv here. Run this, then make again:"
        say "    sudo apt-get update && sudo apt-get install -y $package"
        exit 1
    else
        say "$1 comes without the modules venv and ensurepip."
        say "Install your system's package for them and run make again."
        exit 1
    fi
}

# An environment that a removed or too old Python left behind is made anew.
if ! { [ -x "$venv/bin/python" ] && fits "$venv/bin/python" && "$venv/bin/python" -m pip --version; } \
    >/dev/null 2>&1; then
    python=$(find_python)
    has_venv "$python" || install_venv_module "$python"
    say "making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

if [ "$("$venv/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi

[ "${1:-}" != uv ] || exit 0 # `make lock` needs the tool, not what the old lock installs

# uv wants a cache; a home that cannot be written to must not stop it.
if [ -z "${UV_CACHE_DIR:-}" ] && ! { [ -n "${HOME:-}" ] && [ -w "$HOME" ]; }; then
    export UV_CACHE_DIR="$venv/.uv-cache"
fi

# The lock is compared with pyproject.toml first, against the index it was made from; then it is
# installed as it is. `uv sync --locked` does both, but refuses where a mirror is configured.
"$venv/bin/uv" lock --check --offline --quiet --default-index https://pypi.org/simple || {
    say "uv.lock does not fit pyproject.toml; run: make lock"
    exit 1
}
say "installing the locked packages into $venv"
# Compiled now, once: not by each process where nobody may write, or where Python was told not to.
"$venv/bin/uv" sync --frozen --quiet --compile-bytecode
"$venv/bin/python" scripts/texts.py compile
touch "$venv/.synced"
