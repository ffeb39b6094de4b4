"""Images: fetched and verified, read, split, corrupted."""
