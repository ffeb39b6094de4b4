"""The explorer: theory behind sliders. A marimo notebook (``app``) and what it shows, which needs no marimo."""
