#!/bin/sh
# Runs the node as a service under a real systemd, both kinds, and says what it saw:
#
#   sudo sh packaging/try-service.sh [FOLDER]
#
# Makes a Debian in FOLDER (a new one below /tmp; kept if you name it), boots its systemd as process 1 of
# namespaces of its own, without a network but loopback, and ends it again. Needs root, debootstrap, util-linux and
# a kernel that lets root make namespaces and mount cgroup2: more than a container of continuous integration
# gives, so it is no test of `make test-long`. Ends with 1 at the first thing that is not as docs/host/service.md says.
set -eu

case ${1:-} in
boot) # process 1 of the new namespaces: make the machine, then become systemd
    root=$2
    mount --make-rprivate / && mount --bind "$root" "$root" && cd "$root"
    mount -t proc proc proc && mount -t sysfs sysfs sys && mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        : >"dev/$device" && mount --bind "/dev/$device" "dev/$device"
    done
    mkdir dev/pts dev/shm && mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx && ln -s /proc/self/fd dev/fd && mount -t tmpfs tmpfs dev/shm
    mount -t tmpfs -o mode=755 tmpfs run && mount -t tmpfs -o mode=1777 tmpfs tmp
    ip link set lo up
    mkdir -p old && pivot_root . old && umount -l /old
    mount --make-rshared / # as on a machine: what systemd mounts for a service is seen by it
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
    ;;
esac

here=$(cd "$(dirname "$0")/.." && pwd)
root=${1:-$(mktemp -d)/debian}
PATH=$PATH:/usr/sbin:/sbin
if [ ! -x "$root/lib/systemd/systemd" ]; then
    debootstrap --variant=minbase --include=python3,python3-venv,systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,ca-certificates,iproute2,procps,sudo bookworm "$root"
fi
if [ ! -x "$root/opt/commons-node/bin/commons-node" ]; then
    mkdir -p "$root/opt/src" && (cd "$here" && git archive HEAD) | tar -x -C "$root/opt/src"
    cp /etc/resolv.conf "$root/etc/" && cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    chroot "$root" env CC=/bin/false PIP_CERT=/etc/ssl/certs/ca-certificates.crt sh /opt/src/packaging/install.sh /opt/commons-node
fi
echo commons-try >"$root/etc/hostname" && echo 127.0.0.1 localhost commons-try >"$root/etc/hosts"
: >"$root/etc/machine-id"

unshare --fork --pid --mount --uts --ipc --net --cgroup --kill-child sh "$0" boot "$root" >/dev/null 2>&1 &
outer=$!
machine=
trap '[ -z "$machine" ] || kill -9 "$machine" 2>/dev/null || true; kill "$outer" 2>/dev/null || true; [ -n "${1:-}" ] || rm -rf "$(dirname "$root")"' EXIT
trap 'exit 1' HUP INT TERM

within() { # a command in that machine
    nsenter -t "$machine" -a env -i PATH=/opt/commons-node/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}
soon() { # until a command works, for a minute
    for _ in $(seq 120); do ! "$@" >/dev/null 2>&1 || return 0; sleep 0.5; done
    echo "not within a minute: $*" >&2
    exit 1
}
saw() { printf 'ok  %s\n' "$*"; }
wrong() { printf 'NOT %s\n' "$*" >&2; exit 1; }
booted() { machine=$(ps -o pid= --ppid "$outer" | tr -d ' ') && [ -n "$machine" ] && within systemctl is-system-running; }
soon booted
saw "$(within systemctl --version | head -n 1) runs as process 1"

words=/etc/commons-node/anna.passphrase
within sh -c "id commons || useradd --system --create-home commons; id anna || useradd --create-home anna; loginctl enable-linger anna
    umask 077; mkdir -p /etc/commons-node /mnt/disk; chmod 755 /etc/commons-node /mnt/disk; rm -rf /var/lib/commons-node /root/node.tar
    rm -rf /home/anna/.local /home/anna/.config /home/anna/x.zip /mnt/disk/*
    echo four random words here >$words; install -m 600 -o anna $words /home/anna/words; install -m 600 -o commons $words /etc/commons-node/backup" >/dev/null 2>&1

system() { within systemctl "$@"; }
system_node() { within sudo -u commons /opt/commons-node/bin/commons-node --home /var/lib/commons-node "$@"; }
system_install() { within commons-node service install --system "$@"; }
user() { within runuser -u anna -- env HOME=/home/anna XDG_RUNTIME_DIR=/run/user/"$(within id -u anna)" "$@"; }
user_systemd() { user systemctl --user "$@"; }
user_node() { user commons-node "$@"; }
user_install() { user commons-node service install "$@"; }
security() { case $1 in system) within systemd-analyze security "$2" ;; *) user systemd-analyze --user security "$2" ;; esac | tail -n 1; }

# what is the same for both: words are the functions' first ones, the passphrase's file, a folder below another one
unlocked() { "$1" status --json | grep -q '"member": *"Anna", *"state": *"unlocked"'; }
pid_of() { "$1" show -p MainPID --value commons-node; }
another() { new=$(pid_of "$1") && [ "$new" != 0 ] && [ "$new" != "$2" ]; }
try() {
    manager=$1 node=$2 install=$3 passphrase=$4 kind=$5
    "$install" >/dev/null
    soon "$manager" is-active commons-node
    "$node" community init "Elm Street" --member Anna --timezone UTC --passphrase-file "$6" >/dev/null
    saw "$kind: it starts, and a community is founded; $(security "$kind" commons-node)"
    for file in $7; do
        "$node" community archive "$file" >/dev/null 2>&1 && wrong "$kind: $file was written, where nobody looks"
    done
    saw "$kind: refused before anything is written: $7"
    "$install" --unlock "Anna=$passphrase" >/dev/null
    soon unlocked "$node"
    saw "$kind: a coordinator is unlocked by LoadCredential="
    before=$(pid_of "$manager") && within kill -9 "$before"
    soon another "$manager" "$before"
    soon unlocked "$node"
    saw "$kind: started again after kill -9, and unlocked"
    agents=$(grep -E '^(NoNew|Private|Protect|Lock|Restrict[^a-z]*|SystemCall|User=|DevicePolicy)' "$root$8" | sed 's/^/-p\n/' | tr '\n' '\t')
    (IFS='	'; "$9" systemd-run $([ "$kind" = system ] || echo --user) --wait --pipe --quiet $agents /opt/commons-node/bin/commons-node --home /nowhere doctor --quick || true) |
        grep -q 'Landlock (version' || wrong "$kind: agents do not run under it"
    saw "$kind: what agents are locked in with works under the unit's own lines"
    "$manager" stop commons-node
    [ "$("$manager" show -p Result --value commons-node)" = success ] || wrong "$kind: it did not stop in good order"
    saw "$kind: it stops in good order"
    "$manager" start commons-node
}

unit=commons-node.service
try system system_node system_install "$words" system /etc/commons-node/backup \
    "/tmp/x /var/tmp/x /home/anna/x /mnt/disk/x" /etc/systemd/system/$unit within
try user_systemd user_node user_install /home/anna/words user /home/anna/words \
    "/tmp/x /var/tmp/x /mnt/disk/x" /home/anna/.config/systemd/user/$unit user
user_node member export /home/anna/x.zip --as Anna --passphrase-file /home/anna/words >/dev/null
saw "user: it writes in its user's own home"

within sh -c 'printf "backup_to = \"/mnt/disk/backups\"\nbackup_passphrase_file = \"/etc/commons-node/backup\"\n" >/var/lib/commons-node/config.toml'
system_node doctor --quick | grep -q 'may not write there: backup_to' || wrong "doctor is silent about backup_to"
system_install >/dev/null
backed_up() { system_node status --json | grep -q '"verified": *"2'; }
soon backed_up
saw "system: doctor names backup_to; after another install a backup is made there and read back"

for python in /root/venv /home/anna/venv; do
    within python3 -m venv "$python"
    within sh -c "echo /opt/commons-node/lib/python3*/site-packages >\$(echo $python/lib/python3*/site-packages)/x.pth"
    within "$python/bin/python" -m commons_node service install --system 2>&1 | grep -q "somebody's home" || wrong "$python was not refused"
done
saw "system: a program in somebody's home is refused"

: >"$root/root/there"
within commons-node service hand-over --system /root/there >/dev/null 2>&1 && wrong "a file was written over"
soon system is-active commons-node
within commons-node service hand-over --system /root/node.tar | grep -q -- "--unlock Anna=$words" || wrong "the new host is not told of --unlock"
[ ! -e "$root/etc/systemd/system/$unit" ] || wrong "the unit stays after a hand-over"
within rm -r /var/lib/commons-node
within commons-node service take-over --system --alone /root/node.tar >/dev/null
system_install --unlock "Anna=$words" >/dev/null
soon unlocked system_node
saw "system: handed over and taken over; where the file could not be written the service went on"
within commons-node service uninstall --system >/dev/null && user commons-node service uninstall >/dev/null
[ ! -e "$root/etc/systemd/system/$unit" ] || wrong "the unit stays"
saw "both: uninstalled"
