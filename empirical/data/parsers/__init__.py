"""Published image files to arrays, strictly: a file is exactly what its format says, or an error names it.

Only binary and image formats are read, from memory: nothing is unpickled, and nothing is unpacked to disk.
"""
