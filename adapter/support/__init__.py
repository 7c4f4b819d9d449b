"""What is given away for help: bundles and recordings, with pseudonyms for all that names."""
