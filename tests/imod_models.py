"""IMOD models that tests read."""

import warnings

import imodmodel
import pandas as pd


def model(path, contours):
    """Write contours of (x, y, z) points."""
    rows = [
        {"object_id": 0, "contour_id": c, "x": x, "y": y, "z": z}
        for c, points in enumerate(contours)
        for x, y, z in points
    ]
    with warnings.catch_warnings(action="ignore"):
        imodmodel.write(pd.DataFrame(rows), path)
    return path
