"""How a trained network is applied: tiles, orientations, replicas on several devices."""
