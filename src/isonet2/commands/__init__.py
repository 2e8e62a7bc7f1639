"""What `isonet.py COMMAND` runs: a module and a function of the same name each."""
