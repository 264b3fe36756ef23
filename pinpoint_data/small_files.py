"""Files as strangers leave them: pipes and devices are refused before they are opened, endless ones before the end."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

MOST_BYTES = 256 * 2**20
MOST_ROWS_A_BYTE = 64


def refuse_special(path: Path) -> None:
    """Refuse what is neither a file nor a folder.

    Opening a named pipe waits for ever, and a link to `/dev/zero` never ends; both travel in an archive.

    Raises:
        OSError: It is a pipe, a device or a socket, or cannot be looked at; it is missing, for example.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))


def refuse_row_bomb(path: Path, rows: int) -> None:
    """Refuse a table that claims far more rows than its file has bytes.

    Ten million rows of nothing take 30 KB; each would be looked at, and its refusal listed. Honest rows can take less
    than a byte each: a million words of pages made from one form differ by the page's id alone, once a page.

    Raises:
        OSError: It does.
    """
    if rows > MOST_ROWS_A_BYTE * (size := path.stat().st_size):
        raise OSError(errno.EFBIG, f"claims {rows:,} rows in {size:,} bytes", str(path))


def read_regular(path: Path) -> bytes:
    """The bytes of a file of our own that grows with the work, and may be of any size.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    refuse_special(path)
    return path.read_bytes()


def read_small(path: Path) -> bytes:
    """The bytes of a file that is read whole because it is small.

    Raises:
        OSError: It cannot be read, is no regular file, or holds more than `MOST_BYTES`.
    """
    refuse_special(path)
    with path.open("rb") as handle:
        data = handle.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {MOST_BYTES // 2**20} MiB", str(path))
    return data


def read_small_text(path: Path, errors: str = "strict") -> str:
    """The text of a small UTF-8 file, line ends made `\\n`; see `read_small`.

    Raises:
        UnicodeDecodeError: It is no UTF-8.
    """
    return read_small(path).decode("utf-8", errors).replace("\r\n", "\n").replace("\r", "\n")
