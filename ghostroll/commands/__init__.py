"""One file for each command of `ghostroll`."""
