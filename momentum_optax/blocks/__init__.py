"""Updates of large leaves on a CPU, block by block, so that what is used more than once is read from memory once."""

from .blocks import in_blocks as in_blocks
