"""Ingest a card: plan, copy, flush, read back, catalogue."""
