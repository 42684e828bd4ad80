"""Weights: every format is read without running code, written whole or not at all, and refused when it does not fit."""

import http.server
import pickle
import threading
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from thingstuff.engine.weights.cache import ZOO_URL, cache_path, local_weights
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.engine.weights.file import read_weights_file, register_reader
from thingstuff.errors import SetupError, WeightsError


def model(width=4):
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(first=nn.Linear(3, width), second=nn.Linear(width, 2)))


def same(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def other(width=4):
    net = model(width)
    for p in net.parameters():
        p.data += 1
    return net


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
def test_every_format_gives_back_the_weights(tmp_path, suffix):
    path, saved = tmp_path / f"w{suffix}", model()
    if suffix == ".pth":
        torch.save({"model": saved.state_dict()}, path)
    elif suffix == ".pkl":
        arrays = {k: v.numpy() for k, v in saved.state_dict().items()}
        path.write_bytes(pickle.dumps({"model": arrays, "__author__": "test"}))
    else:
        save_file(saved.state_dict(), path)
    loaded = other()
    Checkpointer(loaded, whole_model=True).load(str(path))
    assert same(saved, loaded)


def test_another_kind_of_file_is_read_by_what_is_registered_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr("thingstuff.engine.weights.file._READERS", {})
    (tmp_path / "a.numbers").write_text("1 2")

    @register_reader(".numbers")
    def read_numbers(path):
        return {"model": {"value": torch.tensor([float(word) for word in path.read_text().split()])}}

    assert register_reader(".numbers")(read_numbers) is read_numbers
    assert read_weights_file(tmp_path / "a.numbers")["model"]["value"].tolist() == [1, 2]
    with pytest.raises(WeightsError, match=r"two readers of \.numbers files"):
        register_reader(".numbers")(dict)


def test_a_model_may_give_the_tensors_of_a_file_its_own_names(tmp_path):
    class Renaming(nn.Linear):
        def adapted_weights(self, file, state):
            assert file.endswith("theirs.pth")
            return {name.removeprefix("their_"): value for name, value in state.items()}

    model = Renaming(2, 1)
    torch.save({"their_weight": torch.ones(1, 2), "their_bias": torch.ones(1)}, tmp_path / "theirs.pth")
    Checkpointer(model, whole_model=True).load(str(tmp_path / "theirs.pth"))
    assert model.weight.tolist() == [[1, 1]]


def test_bare_state_dict_is_taken_for_a_model(tmp_path):
    torch.save(model().state_dict(), tmp_path / "w.pth")
    assert set(read_weights_file(tmp_path / "w.pth")["model"]) == set(model().state_dict())


def test_caffe2_blobs_lose_their_momentum_and_are_matched_by_name(tmp_path):
    content = {"blobs": {"conv1_w": np.ones(2), "conv1_w_momentum": np.ones(2)}}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content))
    read = read_weights_file(tmp_path / "w.pkl")
    assert set(read["model"]) == {"conv1_w"}
    assert (read["__author__"], read["matching_heuristics"]) == ("Caffe2", True)


def test_old_python2_pickle_with_byte_strings_is_read(tmp_path):
    protocol_2 = pickle.dumps({"model": {"first.bias": np.arange(4.0)}, "__author__": "x"}, protocol=2)
    (tmp_path / "w.pkl").write_bytes(protocol_2)
    assert read_weights_file(tmp_path / "w.pkl")["model"]["first.bias"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.98])
def test_truncated_files_are_named(tmp_path, suffix, kept):
    path = tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(model().state_dict(), path)
    elif suffix == ".pkl":
        path.write_bytes(pickle.dumps({"model": {"a": np.ones(100)}, "__author__": "x"}))
    else:
        torch.save(model().state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(WeightsError, match=f"w{suffix}"):
        read_weights_file(path)


def test_text_file_is_no_weights(tmp_path):
    (tmp_path / "w.pth").write_text("hello, I am no checkpoint")
    with pytest.raises(WeightsError, match="damaged"):
        read_weights_file(tmp_path / "w.pth")


def test_picture_and_folder_are_no_weights(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(WeightsError, match="no file of weights"):
        read_weights_file(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"is a folder: .*model_final\.pth"):
        Checkpointer(model()).load(str(tmp_path))


def test_missing_and_empty_names():
    with pytest.raises(WeightsError, match="no weights at .*nowhere"):
        Checkpointer(model()).load("nowhere/model.pth")
    with pytest.raises(WeightsError, match="MODEL.WEIGHTS is empty"):
        Checkpointer(model(), whole_model=True).load("")
    assert Checkpointer(model()).load("") == {}


def test_weights_of_another_architecture_are_refused(tmp_path):
    torch.save({"model": {"backbone.x": torch.ones(2), "backbone.y": torch.ones(2)}}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"another model: 0 of its 2 tensors fit"):
        Checkpointer(model()).load(str(tmp_path / "w.pth"))
    torch.save({"model": model(width=9).state_dict()}, tmp_path / "wide.pth")
    with pytest.raises(WeightsError, match=r"another model: 1 of its 4 tensors fit .*first"):
        Checkpointer(model()).load(str(tmp_path / "wide.pth"))


def test_a_part_is_enough_for_training_and_too_little_for_evaluation(tmp_path):
    part = {k: v for k, v in model().state_dict().items() if k.startswith("first")}
    torch.save({"model": part}, tmp_path / "w.pth")
    Checkpointer(other()).load(str(tmp_path / "w.pth"))
    with pytest.raises(WeightsError, match=r"lacks 2 parameters .*second"):
        Checkpointer(other(), whole_model=True).load(str(tmp_path / "w.pth"))


def test_after_a_refusal_the_checkpointer_still_works(tmp_path):
    torch.save({"model": model().state_dict()}, tmp_path / "w.pth")
    (tmp_path / "bad.pth").write_bytes(b"x")
    net = other()
    checkpointer = Checkpointer(net)
    with pytest.raises(WeightsError):
        checkpointer.load(str(tmp_path / "bad.pth"))
    checkpointer.load(str(tmp_path / "w.pth"))
    assert same(net, model())


def test_save_replaces_only_by_a_whole_file(tmp_path, monkeypatch):
    checkpointer = Checkpointer(model(), str(tmp_path))
    checkpointer.save("model_0", iteration=1)
    before = (tmp_path / "model_0.pth").read_bytes()

    def half_written(data, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(SetupError, match=r"cannot write checkpoint .*model_0\.pth: the disk is full"):
        checkpointer.save("model_0", iteration=2)
    assert (tmp_path / "model_0.pth").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last_checkpoint", "model_0.pth", "model_0.pth.sha256"]
    assert checkpointer.get_checkpoint_file() == str(tmp_path / "model_0.pth")


# ---- the cache ---------------------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 4096


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, understands `Range`, and cuts the first answer short."""

    cuts = 1
    ranges: list = []  # noqa: RUF012

    def do_GET(self):
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        type(self).ranges.append(begin)
        if self.path.endswith("missing.pkl"):
            self.send_error(404)
            return
        rest = CONTENT[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cut, type(self).cuts = type(self).cuts > 0, type(self).cuts - 1
        self.wfile.write(rest[: len(rest) // 2] if cut else rest)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    Server.cuts, Server.ranges = 1, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_cut_transfer_is_continued_where_it_stopped(server):
    file = local_weights(f"{server}/zoo/model.pkl")
    assert file.read_bytes() == CONTENT
    assert Server.ranges == [0, len(CONTENT) // 2]
    assert local_weights(f"{server}/zoo/model.pkl") == file
    assert len(Server.ranges) == 2  # the second call took it from the cache
    assert [p.name for p in file.parent.iterdir()] == ["model.pkl"]


def test_what_an_earlier_process_fetched_is_continued(server):
    Server.cuts = 0
    part = cache_path(f"{server}/zoo/model.pkl.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    assert local_weights(f"{server}/zoo/model.pkl").read_bytes() == CONTENT
    assert Server.ranges == [1000]


def test_without_the_file_the_message_says_what_to_fetch_and_where_to_put_it(server, tmp_path):
    with pytest.raises(WeightsError) as caught:
        local_weights(f"{server}/zoo/missing.pkl")
    assert f"{server}/zoo/missing.pkl" in str(caught.value)
    assert str(tmp_path / "cache" / "zoo" / "missing.pkl") in str(caught.value)


def test_the_cache_is_the_one_detectron2_uses(server, tmp_path):
    from detectron2.utils.file_io import PathManager

    Server.cuts = 0
    theirs = PathManager.get_local_path(f"{server}/zoo/model.pkl")
    assert theirs == str(cache_path(f"{server}/zoo/model.pkl"))


def test_zoo_name_without_network_names_its_url(tmp_path, monkeypatch):
    import urllib.error
    import urllib.request

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("Network is unreachable")

    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(WeightsError) as caught:
        local_weights("detectron2://ImageNetPretrained/MSRA/R-50.pkl")
    assert f"{ZOO_URL}ImageNetPretrained/MSRA/R-50.pkl" in str(caught.value)
    assert str(tmp_path / "detectron2/ImageNetPretrained/MSRA/R-50.pkl") in str(caught.value)
