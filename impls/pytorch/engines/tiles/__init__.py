"""What the fast engine is made of on a GPU: kernels in Triton, one program a tile of sequences for all rounds."""
