"""The camera's card: its volume, what is on it, and how a file is recognised."""
