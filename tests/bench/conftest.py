"""What the tests of several rooms share."""

from tests.bench.disks import small_disk

__all__ = ["small_disk"]
