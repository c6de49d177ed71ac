"""GhostRoll: a photographer's card in, a private gallery and its QR code out."""

__version__ = "0.1.0"
