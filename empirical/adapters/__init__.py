"""SAM in other people's training loops; each file needs a library that an extra brings."""
