"""How a network is to be used: what its inputs went through in training, and its results go."""

from dataclasses import dataclass

from isonet2.physics.ctf import CtfTreatment


@dataclass(frozen=True, slots=True)
class Usage:
    """What must be known of a network, beside its weights, to restore a tomogram with it.

    Parameters
    ----------
    cube_size
        Edge of its training cubes, voxels.
    treatment
        How the CTF of its data was treated.
    apply_mw_x1
        Whether its inputs were freed of what lies in the missing wedge.
    in_ball
        Leave out what results hold beyond Nyquist, in the corners of the Fourier cube: for
        networks that no data taught anything there.
    gain
        Factors of the mean of two restored halves, at equal steps from frequency 0 to 0.5
        cycles per voxel; empty for none. Each half is restored with the amplitude that suits
        its own noise, and their mean has less; what is noise only is made faint.
    """

    cube_size: int
    treatment: CtfTreatment
    apply_mw_x1: bool = True
    in_ball: bool = False
    gain: tuple[float, ...] = ()
