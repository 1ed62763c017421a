"""Places in buckets, as paths.

What is read is brought here file by file and kept while there is room; what is written appears with its last byte. All
waits out a network that fails for a while. Credentials are found by the file system's own chain (environment,
`~/.aws`, roles) and by nothing else: none is ever part of a path.
"""

from protect.buckets.path import BucketPath, place, uploading
from protect.buckets.service import BucketError

__all__ = ["BucketError", "BucketPath", "place", "uploading"]
