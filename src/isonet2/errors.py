"""The one exception for everything that a user can cause and mend."""


class InputError(Exception):
    """A bad value, file or combination, said in one sentence.

    The sentence names the file or parameter, the value, and the remedy. The command
    line prints it without a traceback and ends with exit status 2.
    """
