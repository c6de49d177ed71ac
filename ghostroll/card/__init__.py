"""Camera cards: find volumes, list media files, recognise files by samples. Everything here is read-only."""
