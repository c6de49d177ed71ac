"""What can go wrong with a panel, or the picture in its place."""

from ghostroll.base.errors import GhostrollError


class PanelFailed(GhostrollError):
    """The panel does not take a frame, or there is none."""

    exit_code = 69  # EX_UNAVAILABLE (sysexits.h)
    default_hint = "`ghostroll doctor` looks at the panel's connections."


class PictureFailed(PanelFailed):
    """The picture cannot be written."""

    exit_code = 73
    default_hint = "Check that its directory is there, and that the display may write to it."


class NoBus(PanelFailed):
    """There is nothing that a panel could be connected to."""
