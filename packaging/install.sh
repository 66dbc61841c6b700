#!/bin/sh
# Installs commons-node from this checkout into an environment of its own:
#
#   sh packaging/install.sh /opt/commons-node
#
# Every file that is fetched has its hash in requirements.lock, or in packaging/build.lock if it only
# builds; nothing is resolved anew, and no compiler is needed. Needs Python 3.11 to 3.13 with venv; PYTHON=
# names one. An environment that is there already is replaced once all wheels are made: stop the node first.
set -eu

say() { printf '%s\n' "$*" >&2; }

[ $# = 1 ] || { say "say where to: sh packaging/install.sh /opt/commons-node"; exit 2; }
case $1 in /*) where=$1 ;; *) where=$PWD/$1 ;; esac
if [ -e "$where" ] && [ ! -f "$where/pyvenv.cfg" ] && [ -n "$(ls -A "$where" 2>/dev/null || echo x)" ]; then
    say "$where holds something else; name another folder"
    exit 2
fi
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || {
    say "commons-node needs Python 3.11, 3.12 or 3.13; name one: PYTHON=/usr/bin/python3.12 sh $0 $1"
    exit 2
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || {
    say "$python comes without venv; on Debian: apt-get install python3-venv"
    exit 2
}

cd "$(dirname "$0")/.."
umask 022 # a service runs it as another user
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

say "fetching and checking some 80 packages; this takes a minute or two …"
"$python" -m venv "$work/build"
build() { "$work/build/bin/python" -m pip "$@" --quiet; }
build install --no-deps --require-hashes --only-binary :all: -r packaging/build.lock
build wheel --no-deps --no-build-isolation --require-hashes -r requirements.lock -w "$work/wheels"
build wheel --no-deps --no-build-isolation --no-index -w "$work/wheels" .
say "all of them are what the lock names; putting them into $where …"
"$python" -m venv --clear "$where"
"$where/bin/python" -m pip install --quiet --no-deps --no-index "$work"/wheels/*.whl
say "$("$where/bin/commons-node" version) is in $where/bin/commons-node"
