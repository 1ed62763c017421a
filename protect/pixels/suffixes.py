"""Which file names are pictures. Whoever walks a dataset reads or lists every one of them."""

from __future__ import annotations

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".mpo")
_PNG = (".png", ".apng")
_MODERN = (".webp", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl")
_JPEG_2000 = (".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".j2c", ".jpm")
_BITMAPS = (".bmp", ".dib", ".tif", ".tiff", ".gif", ".ico", ".icns", ".tga", ".qoi", ".psd", ".dds")
_OLD = (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm", ".pcx", ".sgi", ".rgb", ".ras", ".xbm", ".xpm")
_SCIENCE = (".exr", ".hdr")
_RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf")
_DRAWN = (".svg", ".svgz", ".eps")

PICTURE_SUFFIXES: frozenset[str] = frozenset(
    (*_JPEG, *_PNG, *_MODERN, *_JPEG_2000, *_BITMAPS, *_OLD, *_SCIENCE, *_RAW, *_DRAWN)
)
"""Endings of picture files, lower case, with the dot.

Some of them (raw photographs, drawings) cannot be read: their samples are set aside with the reason, never passed over.
"""
