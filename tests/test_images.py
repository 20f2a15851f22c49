"""Images: what is kept, what is recoded, what is refused, and what is remembered."""

import os
import random
import stat
import struct
import threading
import time
import zlib
from contextlib import closing, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cotforge.errors import JournalError
from cotforge.images import CellReader, CellRef, FileRef, Images, MemberRef, PictureStore
from cotforge.images.cut import CutShortError, UntidyError, cut_metadata
from cotforge.images.look import look_at
from cotforge.records import Fault, Picture

MIMES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
SECRET = b"52.5200N 13.4050E"


def drawn(mode: str = "RGB", size: tuple[int, int] = (64, 48), seed: int = 0) -> Image.Image:
    """A picture with edges and gradients, so that rotations and scalings show."""
    image = Image.frombytes("RGB", (8, 6), random.Random(seed).randbytes(8 * 6 * 3)).resize(size, Image.Resampling.BICUBIC)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = SECRET.decode()
    return tags.tobytes()


def pixels(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data)).convert("RGB")


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures, in grey levels."""
    pairs = list(zip(one.convert("RGB").tobytes(), other.convert("RGB").tobytes(), strict=True))
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


class Shelf:
    """A folder of images and a run folder."""

    def __init__(self, folder: Path, **limits: int) -> None:
        self.folder, self.run = folder, folder / "run"
        self.store = PictureStore(self.run, Images(**limits))

    def picture(self, data: bytes, name: str = "a.bin") -> Picture:
        path = self.folder / name
        path.write_bytes(data)
        return self.store.picture(FileRef(str(path), name))

    def reason(self, data: bytes) -> str:
        with pytest.raises(Fault) as caught:
            self.picture(data)
        return caught.value.reason


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


KEPT = {
    "baseline": encoded(drawn(), "JPEG"),
    "progressive": encoded(drawn(), "JPEG", progressive=True),
    "restarts": encoded(drawn(), "JPEG", restart_marker_blocks=2),
    "grey_jpeg": encoded(drawn("L"), "JPEG"),
    "png": encoded(drawn(), "PNG"),
    "grey_png": encoded(drawn("L"), "PNG"),
    "webp": encoded(drawn(), "WEBP"),
    "lossless_webp": encoded(drawn(), "WEBP", lossless=True),
}


RECODED = {
    "cmyk": (encoded(drawn("CMYK"), "JPEG", quality=95), "image/jpeg"),
    "palette": (encoded(drawn("P"), "PNG"), "image/png"),
    "one_bit": (encoded(drawn("1"), "PNG"), "image/png"),
    "gif": (encoded(drawn("P"), "GIF"), "image/png"),
    "bmp": (encoded(drawn(), "BMP"), "image/png"),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_plain_image_without_metadata_is_sent_as_it_is(shelf: Shelf, name: str) -> None:
    picture = shelf.picture(KEPT[name])
    assert picture.load() == KEPT[name]
    assert (picture.digest, picture.size) == (sha256(KEPT[name]).hexdigest(), len(KEPT[name]))
    assert (picture.width, picture.height) == (64, 48)
    assert not list((shelf.run / "cache" / "sent").iterdir())


WITH_METADATA = {
    "jpeg": encoded(drawn(), "JPEG", exif=exif(), comment=SECRET, xmp=SECRET) + b"trailer" + SECRET,
    "mpo": encoded(drawn(), "MPO", save_all=True, append_images=[drawn(seed=1)], exif=exif()),
    "png": encoded(drawn(), "PNG", exif=exif())[:-12]
    + chunk(b"tEXt", b"At\0" + SECRET)
    + chunk(b"prVt", SECRET)
    + chunk(b"IEND", b"")
    + SECRET,
    "webp": encoded(drawn(), "WEBP", exif=exif(), xmp=SECRET) + SECRET,
}


@pytest.mark.parametrize("name", WITH_METADATA)
def test_metadata_is_cut_out_and_the_pixels_stay(shelf: Shelf, name: str) -> None:
    data = WITH_METADATA[name]
    assert SECRET in data
    sent = shelf.picture(data).load()
    assert SECRET not in sent
    assert pixels(sent).tobytes() == pixels(data).tobytes()
    assert not Image.open(BytesIO(sent)).getexif()
    assert not list((shelf.run / "cache" / "sent").iterdir())


def test_a_thumbnail_inside_the_jfif_header_is_cut_out(shelf: Shelf) -> None:
    data = encoded(drawn(), "JPEG")
    with_thumbnail = data[:2] + b"\xff\xe0" + struct.pack(">H", 16 + 12) + data[6:18] + b"\x02\x02" + b"THUMB_PIXELS" + data[20:]
    assert shelf.picture(with_thumbnail).load() == data


@pytest.mark.parametrize("kind", MIMES)
def test_a_colour_profile_stays(shelf: Shelf, kind: str) -> None:
    profile = b"\0" * 16 + b"RGB " + b"\0" * 108
    sent = shelf.picture(encoded(drawn(), kind, icc_profile=profile, exif=exif())).load()
    assert Image.open(BytesIO(sent)).info["icc_profile"] == profile


@given(st.sampled_from(sorted([*KEPT, *WITH_METADATA])), st.binary(max_size=40))
def test_cutting_twice_is_cutting_once(name: str, trailer: bytes) -> None:
    data = {**WITH_METADATA, **KEPT}[name] + trailer
    mime = next(mime for kind, mime in MIMES.items() if Image.open(BytesIO(data)).format in (kind, "MPO"))
    once = cut_metadata(data, mime)
    assert cut_metadata(once, mime) is once


@given(st.sampled_from(sorted(KEPT)), st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_damage_never_makes_the_cutting_fail_in_another_way_than_it_says(name: str, at: int, damage: bytes) -> None:
    data = bytearray(KEPT[name])
    data[at % len(data) : at % len(data) + len(damage)] = damage
    mime = next(mime for kind, mime in MIMES.items() if Image.open(BytesIO(KEPT[name])).format == kind)
    with suppress(CutShortError, UntidyError):
        assert len(cut_metadata(bytes(data), mime)) <= len(data)


@given(st.sampled_from(sorted([*KEPT, *WITH_METADATA, *RECODED])), st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_damage_gives_a_picture_or_a_fault_and_nothing_else(name: str, at: int, damage: bytes) -> None:
    data = bytearray({**KEPT, **WITH_METADATA, **{name: data for name, (data, _) in RECODED.items()}}[name])
    data[at % len(data) : at % len(data) + len(damage)] = damage
    with suppress(Fault):
        assert look_at(bytes(data), Images()).width > 0


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_rotated_photo_is_set_upright_once(shelf: Shelf, orientation: int) -> None:
    data = encoded(drawn(), "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    picture = shelf.picture(data)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    assert (picture.width, picture.height) == upright.size
    assert distance(pixels(picture.load()), upright) < 2
    assert picture.mime == "image/jpeg"
    assert not Image.open(BytesIO(picture.load())).getexif()


def sixteen_bit(kind: str) -> bytes:
    """A ramp from black to white as a 16-bit PNG, grey or RGB."""
    channels, colour = (1, 0) if kind == "grey" else (3, 2)
    rows = b"".join(b"\0" + b"".join(struct.pack(">H", x * 257) * channels for x in range(256)) for _ in range(4))
    header = struct.pack(">IIBBBBB", 256, 4, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["grey", "rgb"])
def test_sixteen_bits_are_scaled_to_eight_not_clipped(shelf: Shelf, kind: str) -> None:
    picture = shelf.picture(sixteen_bit(kind))
    sent = Image.open(BytesIO(picture.load())).convert("L").crop((0, 0, 256, 1)).tobytes()
    assert picture.mime == "image/png"
    assert Image.open(BytesIO(picture.load())).mode in ("L", "RGB")
    assert picture.load()[24] == 8
    assert [sent[x] for x in (0, 100, 200, 255)] == [0, 100, 200, 255]


@pytest.mark.parametrize("name", RECODED)
def test_what_not_every_teacher_reads_is_recoded_once(shelf: Shelf, name: str) -> None:
    data, mime = RECODED[name]
    picture = shelf.picture(data)
    assert picture.mime == mime
    assert Image.open(BytesIO(picture.load())).mode in ("RGB", "L")
    assert distance(pixels(picture.load()), pixels(data)) < 3
    assert picture.digest == sha256(picture.load()).hexdigest()
    assert [path.name for path in (shelf.run / "cache" / "sent").iterdir()] == [f"{picture.digest}.{mime.removeprefix('image/')}"]


def test_what_is_transparent_lies_on_white(shelf: Shelf) -> None:
    glass = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    sent = pixels(shelf.picture(encoded(glass, "PNG")).load())
    assert sent.getpixel((3, 3)) == (255, 255, 255)


def depth(*values: int) -> bytes:
    """A 16-bit grey PNG of these values in a row."""
    rows = b"\0" + b"".join(struct.pack(">H", value) for value in values)
    header = struct.pack(">IIBBBBB", len(values), 1, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("values", "sent"), [
    ((0, 100, 200), [0, 127, 255]),
    ((60_000, 60_050, 60_100), [0, 127, 255]),
    ((7, 7, 7), [0, 0, 0]),
    ((0, 257, 514), [0, 1, 2]),
])  # fmt: skip
def test_sixteen_bits_of_a_small_range_are_scaled_by_it_where_they_would_be_one_colour(
    shelf: Shelf, values: tuple[int, ...], sent: list[int]
) -> None:
    picture = shelf.picture(depth(*values))
    found = list(Image.open(BytesIO(picture.load())).convert("L").tobytes())
    assert all(abs(one - other) <= 1 for one, other in zip(found, sent, strict=True)), found


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_white_on_transparent_lies_on_black(shelf: Shelf, mode: str) -> None:
    drawing = Image.new(mode, (8, 8), (255,) * (len(mode) - 1) + (0,))
    drawing.putpixel((3, 3), (255,) * len(mode))
    sent = pixels(shelf.picture(encoded(drawing, "PNG")).load())
    assert (sent.getpixel((3, 3)), sent.getpixel((0, 0))) == ((255, 255, 255), (0, 0, 0))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame(shelf: Shelf, kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    picture = shelf.picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert distance(pixels(picture.load()), frames[0]) < 3
    assert not getattr(Image.open(BytesIO(picture.load())), "is_animated", False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_with_too_many_pixels_is_scaled_down_in_its_proportions(tmp_path: Path, kind: str) -> None:
    picture = Shelf(tmp_path, max_pixels=4_000).picture(encoded(drawn(size=(400, 200)), kind))
    assert 3_500 < picture.width * picture.height <= 4_000
    assert abs(picture.width / picture.height - 2) < 0.05
    assert pixels(picture.load()).size == (picture.width, picture.height)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_with_too_many_bytes_shrinks_until_it_fits(tmp_path: Path, kind: str) -> None:
    noise = Image.frombytes("RGB", (200, 150), random.Random(0).randbytes(200 * 150 * 3))
    picture = Shelf(tmp_path, max_bytes=16_384).picture(encoded(noise, kind, **({"quality": 100} if kind == "JPEG" else {})))
    assert (picture.mime, picture.size == len(picture.load())) == ("image/jpeg", True)
    assert 4_000 < picture.size <= 16_384


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_a_truncated_image_is_never_sent(shelf: Shelf, kind: str, share: float) -> None:
    data = encoded(drawn(size=(200, 150)), kind)
    assert shelf.reason(data[: int(len(data) * share)]) in ("image_truncated", "image_broken")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_last_bytes_is_truncated(shelf: Shelf, progressive: bool) -> None:
    data = encoded(drawn(), "JPEG", progressive=progressive)
    for missing in (1, 2, 3, 50):
        assert shelf.reason(data[:-missing]) == "image_truncated"


def test_what_is_no_image_is_named_so(shelf: Shelf) -> None:
    assert shelf.reason(b"") == "image_empty"
    assert shelf.reason(b"just some text") == "image_not_an_image"
    assert shelf.reason(b"%PDF-1.7 and more") == "image_not_an_image"
    assert shelf.reason(b"\x89PNG\r\n\x1a\n" + b"\0" * 200) in ("image_broken", "image_not_an_image", "image_truncated")


def test_a_format_outside_the_list_is_not_tried(shelf: Shelf) -> None:
    assert shelf.reason(encoded(drawn(), "TIFF")) == "image_not_an_image"


@pytest.mark.parametrize("side", [8_000, 12_000, 20_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(shelf: Shelf, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1_000)) + chunk(b"IEND", b"")
    assert shelf.reason(bomb) == "image_too_many_pixels"


def test_a_missing_file_a_folder_and_a_pipe_are_faults(shelf: Shelf) -> None:
    os.mkfifo(shelf.folder / "pipe")
    for name, reason in (("none.jpg", "image_missing"), ("run", "image_not_an_image"), ("pipe", "image_not_an_image")):
        with pytest.raises(Fault) as caught:
            shelf.store.picture(FileRef(str(shelf.folder / name), name))
        assert caught.value.reason == reason


def test_a_second_run_neither_reads_nor_decodes_an_unchanged_file(shelf: Shelf) -> None:
    first = shelf.picture(KEPT["baseline"], "a.jpg")
    shelf.store.close()
    path = shelf.folder / "a.jpg"
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)  # would be found out, were it read
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = Shelf(shelf.folder).store.picture(FileRef(str(path), "a.jpg"))
    assert again == first


def test_a_fault_is_remembered_too(shelf: Shelf) -> None:
    assert shelf.reason(b"no image") == "image_not_an_image"
    ref = FileRef(str(shelf.folder / "a.bin"), "another/name.jpg")
    with pytest.raises(Fault, match=r"another/name\.jpg") as caught:
        shelf.store.recall(ref)
    assert caught.value.reason == "image_not_an_image"


def test_a_changed_file_is_looked_at_again(shelf: Shelf) -> None:
    first = shelf.picture(KEPT["baseline"])
    assert shelf.picture(KEPT["png"]).digest != first.digest


def test_other_limits_are_not_answered_from_memory(tmp_path: Path) -> None:
    data = encoded(drawn(size=(100, 100)), "PNG")
    assert Shelf(tmp_path).picture(data).width == 100
    assert Shelf(tmp_path, max_pixels=2_500).picture(data).width == 50


def test_a_picture_that_changed_on_disk_says_so_and_the_next_run_takes_the_new_one(shelf: Shelf) -> None:
    old, new = KEPT["baseline"], bytearray(KEPT["baseline"])
    new[14:18] = b"\x00\x60\x00\x60"  # another density, the same length
    picture = shelf.picture(old)
    path = shelf.folder / "a.bin"
    mtime = path.stat().st_mtime_ns
    path.write_bytes(new)
    os.utime(path, ns=(mtime, mtime))
    with pytest.raises(Fault) as caught:
        picture.load()
    assert caught.value.reason == "image_changed"
    assert shelf.store.picture(FileRef(str(path), "a.bin")).load() == bytes(new)


def test_a_picture_that_is_gone_says_so(shelf: Shelf) -> None:
    picture = shelf.picture(KEPT["baseline"])
    (shelf.folder / "a.bin").unlink()
    with pytest.raises(Fault) as caught:
        picture.load()
    assert caught.value.reason == "image_missing"


def test_lost_recoded_bytes_are_made_again(shelf: Shelf) -> None:
    data = RECODED["palette"][0]
    first = shelf.picture(data)
    (shelf.run / "cache" / "sent" / f"{first.digest}.png").unlink()
    again = shelf.picture(data)
    assert again.digest == first.digest
    assert sha256(again.load()).hexdigest() == first.digest


@pytest.mark.parametrize("damage", [b"this is no database" * 100, b""])
def test_a_broken_cache_is_made_anew(shelf: Shelf, damage: bytes) -> None:
    shelf.picture(KEPT["png"])
    shelf.store.close()
    (shelf.run / "cache" / "images.sqlite").write_bytes(damage)
    assert Shelf(shelf.folder).picture(KEPT["png"]).load() == KEPT["png"]


def test_a_cache_that_breaks_while_in_use_is_made_anew(shelf: Shelf) -> None:
    for seed in range(40):
        shelf.picture(encoded(drawn(seed=seed), "PNG"), f"{seed}.png")
    shelf.store.close()
    path = shelf.run / "cache" / "images.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    again = Shelf(shelf.folder)
    assert again.picture(KEPT["png"]).load() == KEPT["png"]
    assert again.store.recall(FileRef(str(shelf.folder / "a.bin"), "a")) is not None


def test_a_run_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file stands here")
    with pytest.raises(JournalError, match="run"):
        PictureStore(tmp_path / "run", Images())


def test_only_the_owner_reads_the_cache_until_its_folders_are_opened(shelf: Shelf) -> None:
    shelf.picture(RECODED["palette"][0])
    shelf.store.spool(b"bytes", "a")
    for path in (shelf.run, *shelf.run.rglob("*")):
        mode = 0o700 if path.is_dir() else 0o644 if path.parent.name in ("sent", "spool") else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert len(list(shelf.run.glob("cache/s*/*"))) == 2


def test_many_threads_get_the_same_pictures(shelf: Shelf) -> None:
    datas = [encoded(drawn(seed=seed), "PNG") for seed in range(6)] + [RECODED["palette"][0], b"broken"]
    for number, data in enumerate(datas):
        (shelf.folder / f"{number}").write_bytes(data)
    refs = [FileRef(str(shelf.folder / f"{number}"), str(number)) for number in range(len(datas))]
    results: list[list[str]] = []

    def read() -> None:
        found = []
        for ref in refs:
            try:
                found.append(sha256(shelf.store.picture(ref).load()).hexdigest())
            except Fault as fault:
                found.append(fault.reason)
        results.append(found)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(found == results[0] for found in results)
    assert results[0][-1] == "image_not_an_image"


def test_a_member_is_read_where_it_lies(shelf: Shelf) -> None:
    data = KEPT["baseline"]
    path = shelf.folder / "shard.tar"
    path.write_bytes(b"before" + data + b"after")
    assert shelf.store.picture(MemberRef(str(path), "a.jpg", 6, len(data))).load() == data
    with pytest.raises(Fault) as caught:
        shelf.store.picture(MemberRef(str(path), "b.jpg", 6, len(data) + 100))
    assert caught.value.reason == "image_truncated"


def test_spooled_bytes_are_kept_once(shelf: Shelf) -> None:
    refs = [shelf.store.spool(KEPT["png"], name) for name in ("a", "b")]
    assert [shelf.store.picture(ref).load() for ref in refs] == [KEPT["png"]] * 2
    assert len(list((shelf.run / "cache" / "spool").iterdir())) == 1


def parquet(path: Path, datas: list[bytes | None], rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = pa.array([{"bytes": data, "path": None} for data in datas], struct)
    pq.write_table(pa.table({"image": column}), path, row_group_size=rows)


@pytest.mark.parametrize("rows", [7, 1_000])
def test_cells_are_read_in_any_order(tmp_path: Path, rows: int) -> None:
    datas = [random.Random(number).randbytes(200_000) for number in range(60)]
    parquet(tmp_path / "a.parquet", list(datas), rows)
    cells = CellReader()
    refs = [CellRef(cells, str(tmp_path / "a.parquet"), "image.bytes", n // rows, n % rows, None, str(n)) for n in range(60)]
    order = [*range(60), 59, 0, 30, 31, 5]
    assert [refs[n].read() for n in order] == [datas[n] for n in order]
    assert len({ref.key for ref in refs}) == 60


def test_a_cell_that_is_empty_or_gone_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet(path, [None, b"x"], 10)
    for row, reason in ((0, "image_missing"), (9, "image_unreadable")):
        with pytest.raises(Fault) as caught:
            CellRef(CellReader(), str(path), "image.bytes", 0, row, None, "a").read()
        assert caught.value.reason == reason
    ref = CellRef(CellReader(), str(path), "image.bytes", 0, 1, None, "a")
    path.unlink()
    with pytest.raises(Fault):
        ref.read()


def test_loading_a_photo_costs_little(shelf: Shelf) -> None:
    data = encoded(drawn(size=(1_000, 800)), "JPEG", quality=95)
    picture = shelf.picture(data)
    start = time.process_time()
    for _ in range(100):
        picture.load()
    assert (time.process_time() - start) / 100 < 0.002


def test_an_image_of_a_kind_that_is_not_decoded_is_told_from_what_is_none(shelf: Shelf) -> None:
    with pytest.raises(Fault, match="is a TIFF, AVIF or HEIC image, which is not decoded: convert it to PNG or JPEG"):
        shelf.picture(encoded(drawn(), "TIFF"))
    with pytest.raises(Fault, match="is not an image of a known kind"):
        shelf.picture(b"\x89PNG\r\n\x1a\nhello")


SENT_OTHERWISE = {
    "turned": encoded(drawn(), "JPEG", exif=exif(6)),
    "told": encoded(drawn(), "JPEG", exif=exif(), comment=SECRET),
    "turned_png": encoded(drawn(), "PNG", exif=exif(6)),
    "clear": encoded(drawn("RGBA"), "PNG"),
    "large": encoded(drawn(size=(400, 200)), "JPEG"),
}


@pytest.mark.parametrize("data", [*KEPT.values(), *(data for data, _ in RECODED.values()), *SENT_OTHERWISE.values()])
def test_a_digest_that_is_known_without_decoding_is_that_of_the_picture(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(data)
    ref = FileRef(str(tmp_path / "a.bin"), "a.bin")
    with closing(Shelf(tmp_path, max_pixels=60_000).store) as store:
        told = store.digest(ref)
        picture = store.picture(ref)
        assert told == picture.digest == sha256(picture.load()).hexdigest()
        assert store.digest(ref) == told


def test_a_digest_needs_no_decoding_where_the_bytes_are_sent_as_they_are(shelf: Shelf) -> None:
    whole = KEPT["restarts"]
    undecodable = whole[:-40] + b"\x00" * 38 + whole[-2:]
    (shelf.folder / "a.jpg").write_bytes(undecodable)
    ref = FileRef(str(shelf.folder / "a.jpg"), "a.jpg")
    assert shelf.store.digest(ref) == sha256(undecodable).hexdigest()
    assert shelf.store.recall(ref) is None, "nobody knows yet whether it is sound"


@pytest.mark.parametrize("data", [b"", b"no image", KEPT["baseline"][:300], KEPT["png"][:-30]])
def test_there_is_no_digest_of_what_is_no_sound_image(shelf: Shelf, data: bytes) -> None:
    reason = shelf.reason(data)
    with pytest.raises(Fault) as caught:
        shelf.store.digest(FileRef(str(shelf.folder / "a.bin"), "a.bin"))
    assert caught.value.reason == reason
