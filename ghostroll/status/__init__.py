"""The status: its model, the records of runs, and who listens to them."""
