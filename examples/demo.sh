#!/usr/bin/env bash
# The whole way from half tomograms to restored ones, on a small specimen whose truth is known.
# Usage: demo.sh FOLDER, with isonet.py on the PATH.
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?give a folder for the results}"
cd "$1"

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

run isonet.py simulate phantom --shape 64,128,128 --count 2 --defocus 25000,35000 \
  --density 0.1

run isonet.py prepare_star --even phantom/EVN --odd phantom/ODD --tilt_file phantom/tilts.tlt \
  --defocus 25000,35000 --number_subtomos 60

run isonet.py refine tomograms.star -o isonet_maps --CTF_mode network --mw_weight 20 \
  --arch unet-small --cube_size 48 --epochs 5

run isonet.py predict tomograms.star \
  isonet_maps/network_isonet2-n2n_unet-small_48_full.pt -o corrected_tomos

printf '\nHow far the restored tomograms agree with the truth:\n\n'
python "$examples/compare.py" tomograms.star phantom/truth compare.png

cat <<END

All results lie in $PWD:
  phantom/          simulated halves (EVN, ODD), the truth and the tilt angles
  tomograms.star    the table of the tomograms
  isonet_maps/      the trained network, its history and its loss curves
  corrected_tomos/  the restored tomograms
  compare.png       input, restored and truth: slices and power spectra
END
