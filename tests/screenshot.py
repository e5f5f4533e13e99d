#!/usr/bin/env python3
"""Turns the frame buffer that `Xvfb -fbdir` keeps (an XWD file) into a PNG: screenshot.py Xvfb_screen0 OUT.png"""
import struct
import sys
import zlib


def main(source, target):
    data = open(source, "rb").read()
    fields = struct.unpack(">25I", data[:100])
    header, width, height, stride, colours = fields[0], fields[4], fields[5], fields[12], fields[19]
    if fields[11] != 32:
        sys.exit(f"{source}: {fields[11]} bits a pixel, not 32")
    start = header + colours * 12
    rows = bytearray()
    for row in range(height):
        line = data[start + row * stride : start + row * stride + width * 4]
        rows.append(0)
        pixels = bytearray(width * 3)
        pixels[0::3], pixels[1::3], pixels[2::3] = line[2::4], line[1::4], line[0::4]
        rows += pixels

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    with open(target, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n")
        out.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
        out.write(chunk(b"IDAT", zlib.compress(bytes(rows), 6)))
        out.write(chunk(b"IEND", b""))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
