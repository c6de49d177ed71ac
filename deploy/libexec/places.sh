# shellcheck shell=sh disable=SC2034
# Paths and functions that the root helpers share. Sourced, not run.

RUN=/run/ghostroll
CARDS=$RUN/cards
# State files of the root helpers about the device DEVICE, which the pipeline may read:
#   DEVICE.mounted  the diskseq of the card that is mounted, or lazily unmounted while a run reads it
#   DEVICE.seen     the diskseq of the last card seen
#   DEVICE.stale    the card was pulled while mounted, and the kernel has not re-read the partition table
#   DEVICE.damaged  what is wrong with the filesystem of that card
#   DEVICE.eject    "asked", then "ejected"
NOTES=$RUN/notes
# Requests: files that the service's user may create.
REQUESTS=$RUN/requests

# Print the disk of a partition, or a disk itself. Fails if there is no such device.
disk_of() (
    cd -P "/sys/class/block/$1" 2>/dev/null || return 1
    [ ! -e partition ] || cd ..
    echo "${PWD##*/}"
)

# Print the number of the medium in a disk; each medium has its own (Documentation/ABI/testing/sysfs-block, diskseq).
medium_in() {
    cat "/sys/block/$1/diskseq" 2>/dev/null || echo gone
}

has_medium() {
    [ "$(cat "/sys/block/$1/size" 2>/dev/null || echo 0)" -gt 0 ]
}

# Serialise the helpers per disk. The kernel releases the lock when the helper ends.
lock_disk() {
    exec 9>"$NOTES/lock-$1"
    flock 9
}

note() {
    cat "$NOTES/$1" 2>/dev/null || true
}

# Print the devices of a disk, including itself, that have a note of this kind. Matched by name, since the partitions of
# a pulled card are gone.
notes_of() {
    for file in "$NOTES/$1.$2" "$NOTES/$1"[0-9]*."$2" "$NOTES/$1"p[0-9]*."$2"; do
        [ ! -e "$file" ] || basename "$file" ".$2"
    done
}
