"""Small networks at equal training loss by SAM with ascents of few or many samples: what models that learn features predict."""
