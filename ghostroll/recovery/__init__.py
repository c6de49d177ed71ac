"""Repair sessions and catalog after crashes, and verify them."""
