"""The machine: devices, memory, interrupts, and the starting of ranks."""
