"""Studies of accuracy and speed: `make bench` runs them and writes their results into the docs."""
