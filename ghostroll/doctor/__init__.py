"""The doctor's checks: one file a group. Each yields findings, with a fix beside what is wrong."""
