"""Files: written whole or not at all, downloaded, cached, walked, read within limits; progress of long reading; streams."""
