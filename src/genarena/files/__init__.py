"""Files that are whole or not there, downloads, the cache, progress of long reading, streams that may lose their reader."""
