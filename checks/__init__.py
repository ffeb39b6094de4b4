"""The claims of the paper as data: what is stated, how it is checked, and the verdict."""
