"""The steady loop of `ghostroll watch`, and what goes on beside the cards."""
