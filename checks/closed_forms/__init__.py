"""Claims about the closed forms, checked against simulation and exact arithmetic."""
