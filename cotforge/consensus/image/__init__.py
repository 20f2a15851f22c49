"""Pictures as a voter that costs nothing: features of them, a classifier that is taught what is believed, and its admission by people."""
