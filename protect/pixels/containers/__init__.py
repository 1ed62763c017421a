"""The file formats that can be written back, one file each."""
