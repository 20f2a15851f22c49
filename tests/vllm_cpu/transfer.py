"""Takes a trainer's weights over a file, where vLLM and TRL have NCCL alone, which no CPU has: a weight-transfer engine of vLLM's.

vLLM loads it by the entry point `vllm.general_plugins`, which names `register`; TRL's client gets its other half by `use_files`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from vllm.distributed.weight_transfer.base import WeightTransferEngine, WeightTransferInitInfo, WeightTransferUpdateInfo
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

NAME = "file"
ENTRY_POINT = "[vllm.general_plugins]\nfile_transfer = tests.vllm_cpu.transfer:register\n"


@dataclass
class Place(WeightTransferUpdateInfo):
    """Where the weights lie."""

    path: str


class FileTransfer(WeightTransferEngine[WeightTransferInitInfo, Place]):
    """As vLLM's NCCL engine is, but for the way that the weights come."""

    init_info_cls = WeightTransferInitInfo
    update_info_cls = Place

    def init_transfer_engine(self, init_info: WeightTransferInitInfo) -> None:
        """There is nothing to begin."""

    def start_weight_update(self) -> None:
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: Place) -> None:
        self.model.load_weights(load_file(update_info.path).items())

    def finish_weight_update(self) -> None:
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        """There is nothing to end."""


def register() -> None:
    """In each process of vLLM's."""
    if NAME not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(NAME, FileTransfer)


def use_files(client: Any, file: Path) -> None:
    """Have TRL's client class send weights over `file`."""

    def begin(self: Any, device: Any) -> None:
        self._post(f"{self.base_url}/init_weight_transfer_engine", json={"init_info": {}})

    def send(self: Any, metadata: Any, weights: Iterator[tuple[str, torch.Tensor]]) -> None:
        save_file({name: weight.detach().clone() for name, weight in weights}, file)
        self._start_weight_update()
        self._post(f"{self.base_url}/update_weights", json={"update_info": {"path": str(file)}})
        self._finish_weight_update()

    client.init_communicator, client.update_named_params = begin, send
