"""Where bytes are: content-addressed files, Merkle trees over them, and directories made of both."""
