"""Whether the results of a study are all there, whole, unaltered, in their places, and agree with each other."""
