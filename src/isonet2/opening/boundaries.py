"""What a person drew around the specimen of a tomogram."""

import logging

from isonet2.data.boundary import read_boundary
from isonet2.data.star import Tomogram
from isonet2.physics.masking import Boundary

log = logging.getLogger(__name__)


def boundary_of(tomogram: Tomogram) -> Boundary | None:
    """What a person drew around a tomogram's specimen, if anything."""
    if tomogram.mask_boundary is None:
        return None
    boundary = Boundary(*read_boundary(tomogram.mask_boundary))
    log.info(
        "%s: %d polygons of %s%s",
        tomogram.name,
        len(boundary.polygons),
        tomogram.mask_boundary,
        "" if boundary.z_range is None else ", slices {:g} to {:g}".format(*boundary.z_range),
    )
    return boundary
