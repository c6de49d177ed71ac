# shellcheck shell=sh disable=SC2034
# What the root's helpers share: where things are, and which disk a device lies on. It is read by them, not run.

RUN=/run/ghostroll
CARDS=$RUN/cards
# The root's own notes about the device DEVICE, which the pipeline may read:
#   DEVICE.mounted  the diskseq of the card that is mounted, or taken away from a run that still reads it
#   DEVICE.seen     the diskseq of the card that was looked at last
#   DEVICE.stale    the card was pulled while it was mounted; the kernel has not looked at the partitions since
#   DEVICE.damaged  what is wrong with the filesystem of that card
#   DEVICE.eject    "asked", then "ejected"
NOTES=$RUN/notes
# Files that anyone who may eject a card can make.
REQUESTS=$RUN/requests

# The disk that a partition lies on; a disk is its own. Fails where there is no such device.
disk_of() (
    cd -P "/sys/class/block/$1" 2>/dev/null || return 1
    [ ! -e partition ] || cd ..
    echo "${PWD##*/}"
)

# Which medium is in a disk: the number changes with each (Documentation/ABI/testing/sysfs-block, diskseq).
medium_in() {
    cat "/sys/block/$1/diskseq" 2>/dev/null || echo gone
}

has_medium() {
    [ "$(cat "/sys/block/$1/size" 2>/dev/null || echo 0)" -gt 0 ]
}

# One helper at a time does something to the card in a disk. The lock goes with the helper, however it ends.
lock_disk() {
    exec 9>"$NOTES/lock-$1"
    flock 9
}

note() {
    cat "$NOTES/$1" 2>/dev/null || true
}

# The devices of a disk, itself among them, that have a note of this kind. By name: a pulled card's are gone already.
notes_of() {
    for file in "$NOTES/$1.$2" "$NOTES/$1"[0-9]*."$2" "$NOTES/$1"p[0-9]*."$2"; do
        [ ! -e "$file" ] || basename "$file" ".$2"
    done
}
