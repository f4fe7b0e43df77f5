"""Make airfoil.csv from the centered table of treforevans/uci_datasets, in physical units.

Usage: python restore.py airfoil.data.csv.gz > airfoil.csv
"""

import gzip
import sys

# name, mean that was subtracted, decimals of the original
COLUMNS = [
    ("frequency", 2886.380572, 0),
    ("angle_of_attack", 6.782302, 1),
    ("chord_length", 0.136548, 4),
    ("free_stream_velocity", 50.860745, 1),
    ("displacement_thickness", 0.011139880, 7),
    ("sound_pressure_level", 124.835943, 3),
]

print(",".join(name for name, _, _ in COLUMNS))
with gzip.open(sys.argv[1], "rt") as table:
    for line in table:
        values = [float(value) for value in line.split(",")]
        restored = [
            f"{value + mean:.{decimals}f}"
            for value, (_, mean, decimals) in zip(values, COLUMNS, strict=True)
        ]
        print(",".join(restored))
