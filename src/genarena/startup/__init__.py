"""What has to be decided before torch is imported: how many threads, and what Lightning does not need to import."""
