"""The display: reads the status record and draws it. It knows nothing of how the photos are saved."""
