"""Copying media files from the card: plan, copy, flush, read back, record."""
