"""What people read of claims and findings: a summary of two pages, a page for each claim, one HTML file, JSON."""
