"""Work that must be done before torch is imported: choose the number of threads, and avoid unneeded imports of Lightning."""
