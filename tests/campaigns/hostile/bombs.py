"""Small files that claim, or unfold into, something huge. Each is a function of nothing: there is nothing to vary."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, data: bytes, *extra: bytes, color: int = 2, depth: int = 8) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _zeros(size: int) -> bytes:
    """`size` zeros, deflated, without ever holding them: a block of 1 MiB that stands alone, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, zlib.DEFLATED, -15)
    tail = rest.compress(bytes(size % 2**20)) + rest.flush()
    checksum = (size % 65_521) << 16 | 1
    return b"\x78\xda" + block * (size // 2**20) + tail + struct.pack(">I", checksum)


def png_claims() -> bytes:
    """50,000 x 50,000 pixels in 200 bytes."""
    return _png(50_000, 50_000, zlib.compress(bytes(99)))


def png_deflate() -> bytes:
    """9,400 x 9,400 real pixels, just below the limit: 265 MB out of 260 KB."""
    return _png(9_400, 9_400, _zeros(9_400 * (3 * 9_400 + 1)))


def png_deep() -> bytes:
    """9,400 x 9,400 pixels of 16 bits and alpha: 707 MB of scan lines."""
    return _png(9_400, 9_400, _zeros(9_400 * (8 * 9_400 + 1)), color=6, depth=16)


def png_text() -> bytes:
    """Comments that unfold to 1 GB."""
    text = b"Comment\x00\x00" + _zeros(64 * 2**20)
    return _png(4, 4, zlib.compress(bytes(4 * 13)), *[_chunk(b"zTXt", text)] * 16)


def png_profile() -> bytes:
    """A colour profile that unfolds to 1 GB."""
    return _png(4, 4, zlib.compress(bytes(4 * 13)), _chunk(b"iCCP", b"p\x00\x00" + _zeros(2**30)))


def png_line() -> bytes:
    """One line of 2^31 - 1 pixels."""
    return _png(2**31 - 1, 1, zlib.compress(bytes(99)))


def bmp_claims() -> bytes:
    """2^31 - 1 pixels on each side."""
    head = b"BM" + struct.pack("<IHHI", 154, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(100)


def gif_claims() -> bytes:
    """65,535 x 65,535 pixels, a thousand times."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0xF0, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * 1000 + b";"


def _tiff(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


_SMALL = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
_SMALL += [(277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16)]


def tiff_frames() -> bytes:
    """A million pages of four pixels, one after another."""
    size = len(_tiff(_SMALL, 0))
    places = range(24, 24 + size * 100_000, size)
    directories = b"".join(_tiff(_SMALL, place + size) for place in places)
    return b"II*\x00" + struct.pack("<I", 24) + bytes(16) + directories


def tiff_loop() -> bytes:
    """A page that is followed by itself."""
    return b"II*\x00" + struct.pack("<I", 24) + bytes(16) + _tiff(_SMALL, 24)


def tiff_tag() -> bytes:
    """A tag of four billion values, and strips of four gigabytes."""
    entries = [*_SMALL[:-1], (279, 4, 2**32 - 1, 24), (700, 7, 2**32 - 1, 24), (33723, 2, 2**31, 8)]
    return b"II*\x00" + struct.pack("<I", 24) + bytes(16) + _tiff(entries, 0)


def jpeg_claims() -> bytes:
    """65,500 x 65,500 pixels and nothing in them."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 65_500, 65_500)
    return bytes(data)


def webp_many() -> bytes:
    """An animation of 300 frames, 2,000 x 2,000 each."""
    buffer = io.BytesIO()
    frame = Image.new("RGB", (2_000, 2_000), "white")
    frame.save(buffer, "WEBP", save_all=True, append_images=[frame] * 4, lossless=True, duration=1, minimize_size=False)
    return buffer.getvalue()


def _pdf(objects: list[bytes], root: int = 1) -> bytes:
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, start)
    return bytes(out)


_CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"


def _one_page(box: bytes, content: bytes = b"", *more: bytes, resources: bytes = b"<< >>") -> bytes:
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Contents 4 0 R /Resources %s >>" % (box, resources)
    stream = content or b"<< /Length 0 >>\nstream\n\nendstream"
    return _pdf([_CATALOG, pages, page, stream, *more])


def pdf_giant() -> bytes:
    """A page of a million million points."""
    return _one_page(b"0 0 1000000000000 1000000000000")


def pdf_line() -> bytes:
    """A page of a hundred million points by a tenth of one."""
    return _one_page(b"0 0 100000000 0.1")


def pdf_unit() -> bytes:
    """A page in units of 10^9 points."""
    return _one_page(b"0 0 100 100").replace(b"/MediaBox", b"/UserUnit 1000000000 /MediaBox")


def pdf_nan() -> bytes:
    """A page whose box is no number."""
    return _one_page(b"0 0 -1e999 nan")


def pdf_deep() -> bytes:
    """A tree of pages, 20,000 deep."""
    nodes = [b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (number + 3) for number in range(20_000)]
    return _pdf([_CATALOG, *nodes, b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] >>"])


def pdf_loop() -> bytes:
    """A tree of pages that contains itself."""
    return _pdf([_CATALOG, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000 >>"])


def pdf_count() -> bytes:
    """Two thousand million pages, it says."""
    kids = b"<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>"
    return _pdf([_CATALOG, kids, b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 10 10] >>"])


def pdf_many() -> bytes:
    """One page, 100,000 times."""
    kids = b"<< /Type /Pages /Kids [%s] /Count 100000 >>" % (b"3 0 R " * 100_000)
    return _pdf([_CATALOG, kids, b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 10 10] >>"])


def pdf_flate() -> bytes:
    """Content that unfolds twice: 4 KB, 4 MB, 4 GB of blanks."""
    content = zlib.compress(_zeros(4 * 2**30), 9)
    head = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n" % len(content)
    return _one_page(b"0 0 200 200", head + content + b"\nendstream")


def pdf_forms() -> bytes:
    """Forms that draw the next form ten times, nine deep: a thousand million drawings."""
    forms = []
    for level in range(9):
        content = b"/F Do " * 10
        used = b"/Resources << /XObject << /F %d 0 R >> >>" % (level + 6)
        head = b"<< /Type /XObject /Subtype /Form /BBox [0 0 100 100] %s /Length %d >>" % (used, len(content))
        forms.append(head + b"\nstream\n" + content + b"\nendstream")
    content = b"<< /Length 5 >>\nstream\n/F Do\nendstream"
    return _one_page(b"0 0 100 100", content, *forms, resources=b"<< /XObject << /F 5 0 R >> >>")


def pdf_image() -> bytes:
    """An image of 60,000 x 60,000 pixels on a small page."""
    data = zlib.compress(bytes(1000))
    image = b"<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /ColorSpace /DeviceRGB /BitsPerComponent 8 "
    image += b"/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(data), data)
    content = b"<< /Length 23 >>\nstream\n100 0 0 100 0 0 cm /I Do\nendstream"
    return _one_page(b"0 0 100 100", content, image, resources=b"<< /XObject << /I 5 0 R >> >>")


def pdf_text() -> bytes:
    """A million characters on one page."""
    shown = b"BT /F1 1 Tf 1 1 Td " + b"(aaaaaaaaa ) Tj " * 100_000 + b"ET"
    content = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown)
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    return _one_page(b"0 0 200 200", content, font, resources=b"<< /Font << /F1 5 0 R >> >>")


IMAGES: tuple[Callable[[], bytes], ...] = (
    png_claims,
    png_deflate,
    png_deep,
    png_text,
    png_profile,
    png_line,
    bmp_claims,
    gif_claims,
    tiff_frames,
    tiff_loop,
    tiff_tag,
    jpeg_claims,
    webp_many,
)
PDFS: tuple[Callable[[], bytes], ...] = (
    pdf_giant,
    pdf_line,
    pdf_unit,
    pdf_nan,
    pdf_deep,
    pdf_loop,
    pdf_count,
    pdf_many,
    pdf_flate,
    pdf_forms,
    pdf_image,
    pdf_text,
)


def json_blank() -> bytes:
    """100 MB of nothing, then an empty list."""
    return b" " * 100_000_000 + b"[]"


def json_text() -> bytes:
    """One text of 70 MB."""
    return b'{"data": [{"questionId": "' + b"a" * 70_000_000 + b'"}]}'


def json_brackets() -> bytes:
    """A million brackets."""
    return b'{"data": ' + b"[" * 1_000_000


def json_number() -> bytes:
    """A number of ten million digits."""
    return b'{"data": [' + b"7" * 10_000_000 + b"]}"


def json_keys() -> bytes:
    """An object of 200,000 keys."""
    return json.dumps({"data": [{f"k{number}": 0 for number in range(200_000)}]}).encode()


def json_twice() -> bytes:
    """One object that names each of 20,000 keys twice."""
    pairs = ", ".join(f'"k{number}": 0' for number in range(20_000))
    return ('{"data": [{' + pairs + ", " + pairs + "}]}").encode()


JSONS: tuple[Callable[[], bytes], ...] = (json_blank, json_text, json_brackets, json_number, json_keys, json_twice)


def yaml_laughs() -> bytes:
    """Aliases of aliases: 9^9 texts."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return ("---\n" + "\n".join(lines) + "\nconfigs: *a8\n---\n# Card\n").encode()


def yaml_object() -> bytes:
    """A tag that a careless loader turns into a command."""
    return b"---\nconfigs: !!python/object/apply:os.system ['touch ../outside/owned']\n---\n# Card\n"


def xml_laughs() -> bytes:
    """Entities of entities: 10^9 texts."""
    names = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE v [<!ENTITY a0 "lol">{names}]><View>&a9;</View>'.encode()


def xml_outside() -> bytes:
    """An entity that is a file of this machine."""
    return b'<!DOCTYPE v [<!ENTITY a SYSTEM "../../outside/secret.json">]><View><Header value="x"/>&a;</View>'


INTERFACES: tuple[Callable[[], bytes], ...] = (xml_laughs, xml_outside)
CARDS: tuple[Callable[[], bytes], ...] = (yaml_laughs, yaml_object)


def safetensors_claims() -> bytes:
    """A tensor of 100 GB in a file of 100 bytes."""
    head = json.dumps({"a": {"dtype": "F32", "shape": [25_000_000_000], "data_offsets": [0, 10**11]}}).encode()
    return struct.pack("<Q", len(head)) + head


def safetensors_header() -> bytes:
    """A header of 2^63 bytes."""
    return struct.pack("<Q", 2**63) + b"{}"


def safetensors_many() -> bytes:
    """A hundred thousand empty tensors."""
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    head = json.dumps({f"t{number}": empty for number in range(100_000)}).encode()
    return struct.pack("<Q", len(head)) + head


WEIGHTS: tuple[Callable[[], bytes], ...] = (safetensors_claims, safetensors_header, safetensors_many)


def table_dictionary(schema: pa.Schema | None = None) -> bytes:
    """A text of 1 MB that 5,000 rows point to: 5 GB when it is unfolded."""
    table = pa.table({"question": pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), ["x" * 2**20])})
    return _parquet(table)


def table_columns() -> bytes:
    """Ten thousand columns."""
    return _parquet(pa.table({f"c{number}": [0] for number in range(10_000)}))


def table_nested() -> bytes:
    """Lists of lists, 200 deep."""
    kind = pa.int32()
    for _ in range(200):
        kind = pa.list_(kind)
    return _parquet(pa.table({"question": pa.nulls(1, kind)}))


def table_rows() -> bytes:
    """Ten million rows of nothing in 30 KB."""
    return _parquet(pa.table({"question": pa.nulls(10_000_000, pa.string())}))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


TABLES: tuple[Callable[[], bytes], ...] = (table_dictionary, table_columns, table_nested, table_rows)
