"""The gallery of a session: its page, zip and QR code, and how they are published."""
