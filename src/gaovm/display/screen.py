"""The picture: pixels of 32 bits in the host's byte order (0x00RRGGBB), the form of Qt's RGB32."""

from __future__ import annotations

from gaovm import errors

PIXEL = 4
#: The longest side in pixels. The spec has the same limit; a guest that asks for more fails.
MAX_SIDE = 8192


class Screen:
    """A picture of fixed size; ``resized`` makes one of another size."""

    def __init__(self, width: int, height: int) -> None:
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
            raise errors.ProtocolError(f"VNC: a picture of {width} x {height} pixels")
        self.width, self.height = width, height
        self.stride = width * PIXEL
        self.pixels = bytearray(self.stride * height)
        self._view = memoryview(self.pixels)

    def resized(self, width: int, height: int) -> Screen:
        """Make a picture of another size, and copy what fits of this one.

        Raises:
            errors.ProtocolError: the size is out of bounds.
        """
        new = Screen(width, height)
        columns = min(width, self.width) * PIXEL
        for row in range(min(height, self.height)):
            new.put_row(0, row, self._view[row * self.stride : row * self.stride + columns])
        return new

    def check(self, x: int, y: int, width: int, height: int) -> None:
        """Check that a rectangle lies inside the picture.

        Raises:
            errors.ProtocolError: it does not.
        """
        if x < 0 or y < 0 or x + width > self.width or y + height > self.height:
            raise errors.ProtocolError(
                f"VNC: rectangle {width} x {height} at {x},{y} outside of the picture of "
                f"{self.width} x {self.height}"
            )

    def put_row(self, x: int, y: int, row: bytes | bytearray | memoryview) -> None:
        """Write pixels of one row from ``x`` on. The caller has checked the place."""
        start = y * self.stride + x * PIXEL
        self._view[start : start + len(row)] = row

    def copy(self, source: tuple[int, int], x: int, y: int, width: int, height: int) -> None:
        """Copy a rectangle. The caller has checked both places, which may overlap."""
        from_x, from_y = source
        # When it moves down, start at the bottom, so that no row is overwritten before it is read.
        rows = range(height - 1, -1, -1) if y > from_y else range(height)
        for row in rows:
            start = (from_y + row) * self.stride + from_x * PIXEL
            self.put_row(x, y + row, bytes(self._view[start : start + width * PIXEL]))
