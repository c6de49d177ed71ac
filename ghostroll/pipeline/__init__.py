"""One run: select the session, save, render and upload side by side, share."""
