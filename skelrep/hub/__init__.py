"""Loading, saving and publishing encoders: folders and the Hugging Face Hub."""

from __future__ import annotations

from skelrep.hub.cmd_checkpoint import convert_cmd as convert_cmd
from skelrep.hub.load import bundled as bundled
from skelrep.hub.load import download as download
from skelrep.hub.load import load_pretrained as load_pretrained
from skelrep.hub.model_card import model_card as model_card
from skelrep.hub.publish import push_to_hub as push_to_hub
from skelrep.hub.publish import save_pretrained as save_pretrained
