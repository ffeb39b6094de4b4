"""SAM and SharpBalance."""
