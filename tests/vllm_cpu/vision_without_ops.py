"""Lets torchvision's Python part load beside a torch without its compiled operators: they are declared, which is all that vLLM wants."""

import sysconfig
from pathlib import Path

DECLARED = """
if not torchvision.extension._has_ops():
    _declared = torch.library.Library("torchvision", "DEF")
    for _op in ("nms", "qnms"):
        _declared.define(f"{_op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

"""
BEFORE = '@torch.library.register_fake("torchvision::nms")'

file = Path(sysconfig.get_path("purelib")) / "torchvision" / "_meta_registrations.py"
text = file.read_text()
if "_declared" not in text:
    assert BEFORE in text, f"{file}: is not the torchvision that this was written for"
    file.write_text(text.replace(BEFORE, DECLARED + BEFORE, 1))
