"""Every word that a panel shows, in English. A translation is another file with the same names."""

from datetime import datetime

# Headings: a glance from a metre away reads one of these.
STARTING = "Starting"
INSERT = "Insert a card"
KEEP = "Keep the card in"
SAFE = "Safe to remove"
SHARED = "Shared"
NOTHING_NEW = "Nothing new"
EJECTED = "Take the card out"
OFFLINE = "Waiting for network"
ERROR = "Problem"
INTERRUPTED = "Interrupted"
REJECTED = "Card not taken"
FINISHING = "Finishing"
DONE = "Done"

# Lines below the heading.
STARTING_LINE = "A moment, please."
FREE = "{size} free"
LAST_SHARE = "Last share valid until {time}"
LOOKING = "Looking at the card"
READ = "{done} of {total} saved"
LEFT = "About {time} left"
VERIFIED = "{done} of {total} verified"
SAVED = "{done} of {total} saved"
SAFE_TO_FORMAT = "Safe to format"
DO_NOT_FORMAT = "Do not format yet: {reason}"
UPLOADING = "Now uploading"
OFFLINE_LINE = "The link follows when it is back."
EARLIER = "Earlier share"
PHOTOS = "{number} photos"
PHOTO = "1 photo"
UNTIL = "Until\u00a0{time}"
ENDED = "The link has ended"
RECEIPT = "Receipt {letters}"
FAILED = "{number} failed: see the log"
EJECTED_LINE = "It was released."
CARD_KEEP = "Keep the card in!"
CARD_SAFE = "The card is safe to remove."
OTHER_KEEP = "Another card is being read: keep it in!"
UNKNOWN_PROBLEM = "Something went wrong. The log says more."
INTERRUPTED_LINE = "What was saved is safe. The rest goes on at the next start."
# Answers to the button.
RELEASING = "Releasing the card"
RELEASING_WHILE_READ = "After the current file. Keep it in until then."
NO_CARD = "No card to release"
NO_CARD_LINE = "There is none in the reader."
SIGNING = "Signing the link anew"
SIGNING_LINE = "Let go; it takes a moment. Hold on to shut down."
NOT_SIGNED = "No fresh link"
SHUTTING_DOWN = "Shutting down"
SHUTTING_DOWN_LINE = "Let go. What was saved is safe."
UNHEARD = {
    "eject": ("Not released", "Nobody releases cards here. Unmount it on this computer."),
    "sign-anew": ("No fresh link", "`ghostroll watch` does not run, which would sign it."),
    "power-off": ("Not shut down", "Nobody switches this machine off by its button."),
}
# The same in the log.
WISHES = {
    "eject": "the card is to be released",
    "sign-anew": "the last link is to be signed anew",
    "power-off": "the machine is to be shut down",
}

# Where no code fits.
LINK_IS_WHERE = "The link is in share.txt and in the log."

# What the log and `ghostroll doctor` say of the choice of a code.
CODE_FULL = "The code is the full link: version {version}-{level}, {px} px ({mm:.2f} mm) a module."
CODE_SHORT = (
    "The code is the short link, since the full one ({length} characters) is too long for this panel: "
    "version {version}-{level}, {px} px ({mm:.2f} mm) a module."
)
CODE_NONE = "No code: the link ({length} characters) is too long for this panel, and there is no short one."

# What is said beside a frame in a terminal.
TERMINAL_TOO_SMALL = (
    "The panel's frame of {size} needs {columns} columns and {rows} rows; this window has {has}. {instead}"
)
TERMINAL_SMALLER = "This is the frame of a panel of {size}."
TERMINAL_WORDS = "These are its words and its code."
TERMINAL_NO_CODE = "(The code needs {columns} columns and {rows} rows: make the window larger, or its type smaller.)"
TERMINAL_NO_BLOCKS = "This terminal does not take UTF-8: no picture and no code can be drawn. Set LANG to C.UTF-8."

_NO_BREAK = "\u00a0"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def number(value: int) -> str:
    """Return a number of things as people write it."""
    return f"{value:,}"


def photos(value: int) -> str:
    """Return a number of photos in words."""
    return PHOTO if value == 1 else PHOTOS.format(number=number(value))


def date(when: datetime) -> str:
    """Return a date, such as `24 Nov 2026`, which stays on one line."""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}".replace(" ", _NO_BREAK)


def moment(when: datetime) -> str:
    """Return a moment of these weeks, such as `1 Dec, 14:30`, which stays on one line."""
    return f"{when.day} {MONTHS[when.month - 1]}, {when:%H:%M}".replace(" ", _NO_BREAK)


def duration(seconds: int) -> str:
    """Return a duration as it can be estimated: in whole minutes or hours."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return "1 min"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 100 else f"{number(-(-minutes // 60))} h"  # noqa: PLR2004 - two digits


def size(size_bytes: int) -> str:
    """Return a size on disk, such as `24.1 GB`, in powers of ten as disks are sold."""
    gigabytes = size_bytes / 1e9
    return f"{number(size_bytes // 1_000_000)} MB" if gigabytes < 1 else f"{gigabytes:,.1f} GB"
