"""Pictures: reading whatever Pillow reads, writing files back with other pixels, and measuring."""
