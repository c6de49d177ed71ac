#!/bin/sh
# install.sh: installs or upgrades GhostRoll from this bundle. Run as root, without questions, any number of times.
# Configuration and data are kept. It needs neither network nor compiler.
set -eu
umask 022
bundle=$(cd -P "${0%/*}" && pwd)
version=$(cat "$bundle/VERSION")
PREFIX=/opt/ghostroll
UNITS=/etc/systemd/system
STEADY="ghostroll.service ghostroll-display.service ghostroll-store.service ghostroll-eject.path ghostroll-link.socket"

say() { echo "GhostRoll: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

check_machine() {
    [ "$(id -u)" -eq 0 ] || fail "run me as root: sudo $0"
    [ -d /run/systemd/system ] || fail "this machine does not run systemd."
    # The architecture of programs, not of the kernel: a 32-bit Raspberry Pi OS may have a 64-bit kernel.
    arch=$(dpkg --print-architecture) || fail "this is not Debian, nor Raspberry Pi OS."
    [ "$arch" = "$(cat "$bundle/ARCH")" ] ||
        fail "this bundle is for $(cat "$bundle/ARCH"), this system is $arch. A Raspberry Pi needs the 64-bit system."
    python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "python3 is missing."
    [ -f "$bundle/requirements-$python.txt" ] ||
        fail "this bundle has no wheels for Python $python, but for $(cd "$bundle" && echo requirements-*.txt)."
}

make_user() {
    copy "$bundle/systemd/sysusers.conf" /etc/sysusers.d/ghostroll.conf
    systemd-sysusers /etc/sysusers.d/ghostroll.conf
}

copy() {
    cmp -s "$1" "$2" || install -D -m 644 "$1" "$2"
}

# Install beside the running version, which stays intact until `switch`, even after a power cut.
install_program() {
    target=$PREFIX/versions/$version-$(cat "$bundle/BUILD")-$python
    if [ -e "$target/complete" ]; then
        say "version $version is installed already."
        return
    fi
    say "installing version $version; on a small machine this takes minutes."
    rm -rf "$target"
    # --without-pip: ensurepip may be missing. System packages: some panel drivers are only available from apt.
    python3 -m venv --without-pip --system-site-packages "$target"
    pip --requirement "$bundle/requirements-$python.txt"
    pip "$bundle"/wheels/ghostroll-*.whl
    "$target/bin/python" -m compileall -q -j 0 "$target/lib" || true # files for other Python versions cannot be compiled
    mkdir "$target/libexec"
    cp "$bundle"/libexec/* "$target/libexec/"
    cp "$bundle/systemd/appliance.env" "$bundle/ghostroll.toml" "$bundle/uninstall.sh" "$bundle/README.md" "$target/"
    sync
    : >"$target/complete"
}

pip() {
    "$target/bin/python" "$(echo "$bundle"/wheels/pip-*.whl)/pip" install --quiet --disable-pip-version-check --no-index \
        --find-links "$bundle/wheels" --no-deps --ignore-installed --no-compile --root-user-action=ignore "$@"
}

# Nothing is lost: saved files are safe, and runs continue with the new version.
stop_runs() {
    runs=$(systemctl list-units --plain --no-legend --state=active,activating 'ghostroll@*.service' | cut -d' ' -f1)
    # shellcheck disable=SC2086 # a list of words
    systemctl stop 'ghostroll@*.service' $STEADY 2>/dev/null || true
}

switch() {
    ln -sfn "versions/${target##*/}" "$PREFIX/next"
    mv -T "$PREFIX/next" "$PREFIX/current"
    for part in bin libexec appliance.env uninstall.sh README.md; do
        ln -sfn "current/$part" "$PREFIX/$part"
    done
    install -D -m 755 "$bundle/ghostroll" /usr/local/bin/ghostroll
    for old in "$PREFIX"/versions/*; do
        [ "$old" = "$target" ] || rm -rf "$old"
    done
}

install_units() {
    for unit in "$bundle"/systemd/*.service "$bundle"/systemd/*.path "$bundle"/systemd/*.socket "$bundle"/systemd/*.slice; do
        copy "$unit" "$UNITS/${unit##*/}"
    done
    for unit in "$UNITS"/ghostroll*; do # units of an earlier version
        [ ! -f "$unit" ] || [ -e "$bundle/systemd/${unit##*/}" ] || rm -f "$unit"
    done
    copy "$bundle/systemd/tmpfiles.conf" /etc/tmpfiles.d/ghostroll.conf
    systemd-tmpfiles --create /etc/tmpfiles.d/ghostroll.conf
    systemctl daemon-reload
}

# Reloading rules starts no run for a card that is present: only `udevadm trigger` does.
install_rule() {
    copy "$bundle/udev/90-ghostroll.rules" /etc/udev/rules.d/90-ghostroll.rules
    udevadm control --reload
}

enable_panel() {
    grep -qs "Raspberry Pi" /proc/device-tree/model || return 0
    for file in /boot/firmware/config.txt /boot/config.txt; do
        [ -f "$file" ] || continue
        copy "$bundle/systemd/modules-load.conf" /etc/modules-load.d/ghostroll.conf
        "$PREFIX/libexec/enable-panel" on "$file"
        break
    done
    for module in spidev lgpio; do
        "$PREFIX/bin/python" -c "import $module" 2>/dev/null ||
            say "for an e-ink panel or a button: sudo apt install python3-$module. Everything else works without it."
    done
    grep -qw memory /sys/fs/cgroup/cgroup.controllers ||
        say "memory limits are off on this system: add cgroup_enable=memory to /boot/firmware/cmdline.txt to have them."
}

start() {
    # shellcheck disable=SC2086 # lists of words
    systemctl enable --quiet $STEADY ghostroll-boot-files.service
    # shellcheck disable=SC2086
    systemctl start $STEADY || say "not every unit has started; ghostroll doctor tells what to do."
    systemctl is-active --quiet ghostroll-link.socket ||
        say "port 80 is taken: small panels show no code. Another port: docs/configuration.md, short_link_port."
    # shellcheck disable=SC2086
    [ -z "$runs" ] || systemctl --no-block start $runs
    # Start runs for cards that are present; a run that is active is not started twice.
    udevadm trigger --action=add --subsystem-match=block --property-match=ID_FS_USAGE=filesystem
}

check_machine
make_user
install_program
stop_runs
switch
install_units
"$PREFIX/libexec/take-boot-files"
enable_panel
install_rule
start
say "version $version is installed. Configuration: /etc/ghostroll/ghostroll.toml; photos: /var/lib/ghostroll/sessions."
/usr/local/bin/ghostroll doctor || true # its findings are for the owner; the installation has succeeded
