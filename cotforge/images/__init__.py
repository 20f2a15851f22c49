"""Images: where their bytes lie, what of them is sent, in which form, and a memory of all that."""

from cotforge.images.cell_refs import CellReader, CellRef
from cotforge.images.limits import Images
from cotforge.images.loading import read_ahead
from cotforge.images.refs import FileRef, MemberRef, Ref
from cotforge.images.sending import Sending, Urls, data_url, file_url
from cotforge.images.store import PictureStore

__all__ = [
    "CellReader",
    "CellRef",
    "FileRef",
    "Images",
    "MemberRef",
    "PictureStore",
    "Ref",
    "Sending",
    "Urls",
    "data_url",
    "file_url",
    "read_ahead",
]
