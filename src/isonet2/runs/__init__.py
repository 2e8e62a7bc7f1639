"""What commands share: runs that train a network, or go through tomograms one by one."""
