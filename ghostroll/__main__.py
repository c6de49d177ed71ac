"""`python -m ghostroll`."""

from ghostroll.cli import entry

if __name__ == "__main__":
    entry()
