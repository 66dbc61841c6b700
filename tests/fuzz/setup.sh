#!/bin/sh
# Makes .venv-fuzz for `make fuzz`: a Python that atheris has a wheel for, the locked packages and
# atheris itself. Needs what `make setup` made. Ends with 2 and says what to install if there is
# no such Python; never builds anything.
set -eu

venv=.venv-fuzz
wanted="tests/fuzz/requirements.txt tests/fuzz/setup.sh uv.lock pyproject.toml"

say() { printf '%s\n' "$*" >&2; }

fits() {
    "$1" -c 'import sys, platform
sys.exit(not ((3, 12) <= sys.version_info[:2] < (3, 14)
              and sys.platform == "linux" and platform.machine() == "x86_64"))' 2>/dev/null
}

find_python() {
    for name in ${PYTHON:-} python3.13 python3.12 python3 \
        "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}"/versions/3.1[32].*/bin/python; do
        found=$(command -v "$name" 2>/dev/null) || continue
        if fits "$found"; then
            printf '%s\n' "$found"
            return
        fi
    done
    say "make fuzz needs Python 3.12 or 3.13 on Linux, x86_64: atheris has wheels for nothing else."
    say "Install python3.12 (with its venv module), or name one: make fuzz PYTHON=/path/to/python3.12"
    exit 2
}

if [ -e "$venv/.synced" ] && fits "$venv/bin/python"; then
    fresh=yes
    for file in $wanted; do
        [ "$venv/.synced" -nt "$file" ] || fresh=no
    done
    [ "$fresh" = no ] || exit 0
fi

# uv wants a cache; a home that cannot be written to must not stop it.
if [ -z "${UV_CACHE_DIR:-}" ] && ! { [ -n "${HOME:-}" ] && [ -w "$HOME" ]; }; then
    export UV_CACHE_DIR=.venv/.uv-cache
fi

python=$(find_python)
say "making $venv with $("$python" --version)"
rm -rf "$venv"
"$python" -m venv "$venv"
UV_PROJECT_ENVIRONMENT=$venv UV_PYTHON=$venv/bin/python .venv/bin/uv sync --frozen --quiet
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    --no-deps --require-hashes -r tests/fuzz/requirements.txt
touch "$venv/.synced"
