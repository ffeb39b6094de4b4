"""The paper's two theorems and what goes beyond them: exact sharpness, bounds, blocks, normalized ascent."""
