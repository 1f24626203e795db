"""Files: atomic writing, downloads, cache, listing of folders, safe reading, progress bars, stdout and stderr."""
