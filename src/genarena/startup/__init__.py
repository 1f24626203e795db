"""What is done before torch is imported: the number of threads, keeping freed memory, no unneeded imports of Lightning."""
