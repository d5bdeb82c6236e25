"""The program of a fetch job: downloads the files that a shard of a manifest names."""
