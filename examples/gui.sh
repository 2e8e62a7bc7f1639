#!/usr/bin/env bash
# Open the demonstration in the browser; make its tomograms first where there are none.
# Usage: gui.sh FOLDER, with isonet.py on the PATH.
set -euo pipefail

mkdir -p "${1:?give a folder for the project}"
cd "$1"
if [ ! -d phantom ]; then
  isonet.py simulate phantom --shape 64,128,128 --count 2 --defocus 25000,35000 --density 0.1
fi
exec isonet.py gui
