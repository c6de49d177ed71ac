"""What `ghostroll demo` works on: a sample card, and settings of its own."""
