"""Plan bundles: the plan of a whole run in one file, to be applied later or elsewhere while all it rests on holds."""
