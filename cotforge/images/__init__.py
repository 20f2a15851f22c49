"""Images: where their bytes lie, what of them is sent, and a memory of both."""

from cotforge.images.cells import CellRef, Cells
from cotforge.images.limits import Images
from cotforge.images.refs import FileRef, MemberRef, Ref
from cotforge.images.store import PictureStore

__all__ = ["CellRef", "Cells", "FileRef", "Images", "MemberRef", "PictureStore", "Ref"]
