"""Files in, typed records out: STAR table, volumes, tilt geometry."""
