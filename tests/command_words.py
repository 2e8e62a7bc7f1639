"""Words read as the command line reads them."""

import pytest

from isonet2.errors import InputError
from isonet2.parameters import RefineParameters
from isonet2.parameters.command_line import parse, plain


def refine(*words):
    return parse([plain(word) for word in words], RefineParameters)


def problems(words, model=RefineParameters):
    with pytest.raises(InputError) as caught:
        parse([plain(word) for word in words], model)
    return str(caught.value).splitlines()
