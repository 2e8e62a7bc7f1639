"""What `prepare_star` asks of files beside the tomograms, and of an earlier table."""
