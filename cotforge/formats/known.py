"""Every format there is, by its name in `--to`."""

from collections.abc import Mapping

from cotforge.formats.conversations import Axolotl, OpenAi, ShareGpt
from cotforge.formats.easyr1 import EasyR1
from cotforge.formats.format import Format
from cotforge.formats.llamafactory import LlamaFactory
from cotforge.formats.ms_swift import MsSwift
from cotforge.formats.trl import Trl
from cotforge.formats.webdataset import WebDatasetFormat

FORMATS: Mapping[str, Format] = {
    each.name: each for each in (LlamaFactory(), MsSwift(), EasyR1(), ShareGpt(), Trl(), Axolotl(), OpenAi(), WebDatasetFormat())
}
