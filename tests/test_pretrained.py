"""Checkpoints come from a folder or from the hub, and what cannot be had is said in one line."""

import ast
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import zeros

from ssm_sense import pretrained
from ssm_sense.errors import UserError


def test_a_folder_is_itself(tmp_path):
    assert pretrained.resolve(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("path", ["/no/such/folder", "./missing", "missing", "too/many/parts"])
def test_what_is_neither_folder_nor_hub_id_is_refused_without_asking_the_network(path, monkeypatch):
    monkeypatch.setattr(pretrained, "snapshot_download", lambda *a, **k: pytest.fail("asked the network"))
    with pytest.raises(UserError, match="expected a folder"):
        pretrained.resolve(path)


def test_a_hub_id_is_downloaded_without_pickles(tmp_path, monkeypatch):
    asked = {}

    def download(repository, **patterns):
        asked.update(repository=repository, **patterns)
        return str(tmp_path)

    monkeypatch.setattr(pretrained, "snapshot_download", download)
    assert pretrained.resolve("google/siglip2-so400m-patch14-384") == tmp_path
    assert asked["repository"] == "google/siglip2-so400m-patch14-384"
    assert "*.safetensors" in asked["allow_patterns"]
    assert not any(pattern.endswith((".bin", ".pt", "*")) for pattern in asked["allow_patterns"])


def test_an_unreachable_hub_is_one_line(monkeypatch):
    def offline(*_, **__):
        raise LocalEntryNotFoundError("no connection\nand a long story")

    monkeypatch.setattr(pretrained, "snapshot_download", offline)
    with pytest.raises(UserError, match=r"google/nothing: no such folder.*\(no connection\)$"):
        pretrained.resolve("google/nothing")


def test_a_digest_names_weights_and_settings(tmp_path):
    save_file({"w": zeros(3)}, tmp_path / "model.safetensors")
    (tmp_path / "notes.json").write_text("{}")
    name = pretrained.digest(tmp_path, "a", 1)
    (tmp_path / "notes.json").unlink()
    assert pretrained.digest(tmp_path, "a", 1) == name
    assert pretrained.digest(tmp_path, "a", 2) != name
    save_file({"w": zeros(3) + 1}, tmp_path / "model.safetensors")
    assert pretrained.digest(tmp_path, "a", 1) != name
    assert len(name) == 16


@pytest.mark.parametrize("content", [b"[]", b"3", b"{", b"\xff\xfe"])
def test_a_config_is_a_mapping(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"expected a readable config\.json"):
        pretrained.config_of(tmp_path)


def test_no_call_of_transformers_may_run_a_checkpoint_s_own_code_or_ask_to():
    calls = [
        node
        for path in Path(pretrained.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "from_pretrained"
    ]
    assert calls
    for call in calls:
        refused = {word.arg: ast.unparse(word.value) for word in call.keywords}.get("trust_remote_code")
        assert refused == "False", ast.unparse(call)
