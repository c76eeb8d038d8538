"""A writer for the kernel's initramfs format: cpio "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).

Our own because no cpio binary is on a bare Debian, and because device nodes need no mknod this way.
"""

from __future__ import annotations

import stat


class Archive:
    """A newc archive in memory; times and owners are zero, so the same content gives the same bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._inode = 0

    def directory(self, name: str) -> None:
        """Add a directory, 0755."""
        self._add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._add(name, stat.S_IFREG | mode, content)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name: str, major: int, minor: int) -> None:
        """Add a character device, 0666."""
        self._add(name, stat.S_IFCHR | 0o666, device=(major, minor))

    def finish(self) -> bytes:
        """The whole archive with its trailer, padded to 512 bytes."""
        self._add("TRAILER!!!", 0)
        return bytes(self._data) + bytes(-len(self._data) % 512)

    def _add(self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        path = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        self._data += b"070701" + "".join(f"{value:08X}" for value in fields).encode() + path
        self._data += bytes(-len(self._data) % 4)
        self._data += content
        self._data += bytes(-len(self._data) % 4)
