"""The models of transformers in miniature, end to end: folder, processor, generation, parser, words; and errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.asr.features import SAMPLE_RATE_HZ
from models.decoders.base import DecoderInput, DecoderTurn
from models.decoders.build import DecoderSettings, SettingUnsupported, load_decoder
from models.decoders.public import load as loading
from models.decoders.public.decoder import PublicDecoder, PublicRules
from models.decoders.public.kinds import KINDS, Hint
from models.decoders.public.load import PublicWeightsMissing, TooLittleMemory, count_weights, load_public
from models.decoders.public.writer import PublicWriter
from models.errors import BadCheckpoint
from models.registry import load_registry
from tests.models.decoders.public.tiny_public import TINY, save_tiny

NAMES = sorted(KINDS)
REGISTRY = load_registry()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save_tiny(name, tmp_path_factory.mktemp(name)) for name in NAMES}


def tone(hertz: float, seconds: float) -> np.ndarray:
    time_s = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.3 * np.sin(2 * np.pi * hertz * time_s)).astype(np.float32)


def writer_of(name: str, folder: Path) -> PublicWriter:
    return load_public(KINDS[name], REGISTRY.public_model(name), str(folder), "cpu", torch.float32)


def settings(tmp_path: Path, source: str, **change: object) -> DecoderSettings:
    return DecoderSettings(REGISTRY, tmp_path, public_source=source, **change)


@pytest.mark.parametrize("name", NAMES)
def test_by_name_from_a_folder(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """Random weights write nonsense; whatever it is, each asked turn is answered, with words inside the window."""
    decoder = load_decoder(name, settings(tmp_path, str(folders[name]), public_window_s=60.0))
    assert decoder.name == name
    assert decoder.max_samples == 60 * SAMPLE_RATE_HZ
    sound = tone(300, 2) + tone(1000, 2)
    turns = (DecoderTurn(0, 16_000, 0), DecoderTurn(8_000, 30_000, 1), DecoderTurn(30_000, 31_000, 0, ask=False))
    (output,) = decoder.decode_batch([DecoderInput(sound, turns, "en", ("Crosstalk",), "so")])
    assert len(output.turns) == 2
    assert all(turn.words or turn.flags for turn in output.turns)
    words = [word for turn in output.turns for word in turn.words]
    assert all(0 <= word.start <= word.end <= len(sound) and 0 <= word.confidence <= 1 for word in words)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_does_not_depend_on_the_batch(name: str, folders: dict[str, Path]) -> None:
    writer = writer_of(name, folders[name])
    sounds = [tone(300, 1.3), tone(700, 3), tone(200, 0.01)]
    hints = [Hint(("Crosstalk",)), Hint(context="so"), Hint()]
    limits = [30, 50, 10]
    together = writer.write(sounds, hints, limits)
    alone = [writer.write([s], [h], [n])[0] for s, h, n in zip(sounds, hints, limits, strict=True)]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    again = writer.write(sounds, hints, limits)
    assert again == together


@pytest.mark.parametrize("name", NAMES)
def test_hotwords_and_context_are_in_the_prompt(name: str) -> None:
    processor = TINY[name]()[1]
    hints = KINDS[name].request([Hint(("Crosstalk", "Kees"), "about meetings"), Hint()])
    first, second = processor.apply_transcription_request([tone(300, 1)] * 2, tokenize=False, **hints)
    assert "Crosstalk, Kees" in first
    assert "about meetings" in first
    assert "Crosstalk" not in second


MOSS_ANSWERS = (
    "[0.00][S01]good morning[0.50][0.50][S02]héllo 你好[1.00]",
    "[0.00][S01]no sound of that kind[1.00]",
)
VIBEVOICE_ANSWERS = (
    'assistant\n[{"Start":0,"End":0.5,"Speaker":0,"Content":"good morning"},'
    '{"Start":0.5,"End":1,"Speaker":1,"Content":"héllo 你好"}]',
    'assistant\n[{"Start":0,"End":1,"Speaker":0,"Content":"no sound of that kind"}]',
)


@pytest.mark.parametrize(("name", "answers"), [("moss", MOSS_ANSWERS), ("vibevoice", VIBEVOICE_ANSWERS)])
def test_a_model_that_has_learnt_two_answers_writes_them(name: str, answers: tuple[str, str]) -> None:
    """Trained here on two sounds of the same length: the answer is read from the sound, and read whole."""
    model, processor = TINY[name]()
    sounds = [tone(300, 1), tone(2500, 1)]
    learn(name, model, processor, sounds, answers)
    decoder = PublicDecoder(KINDS[name], PublicWriter(KINDS[name], model, processor), PublicRules(spare_tokens=300))
    turns = (DecoderTurn(0, 8_000, 5), DecoderTurn(8_000, 16_000, 3))
    first, second = decoder.decode_batch([DecoderInput(sound, turns) for sound in sounds])
    assert [[word.text for word in turn.words] for turn in first.turns] == [["good", "morning"], ["héllo", "你", "好"]]
    assert " ".join(word.text for turn in second.turns for word in turn.words) == "no sound of that kind"
    assert all(word.confidence > 0.5 for turn in first.turns for word in turn.words)
    assert not decoder.counts["answers_unended"]


def learn(name: str, model: torch.nn.Module, processor, sounds: list[np.ndarray], answers: tuple[str, str]) -> None:
    """Train until each sound gives its answer."""
    examples = []
    for sound, answer in zip(sounds, answers, strict=True):
        kind = KINDS[name]
        request = PublicWriter(kind, model, processor).request([sound], [Hint()])
        ids = processor.tokenizer.encode(answer, add_special_tokens=False)
        target = torch.tensor([[*ids, processor.tokenizer.eos_token_id]])
        prompt = request["input_ids"]
        whole = torch.cat([prompt, target], dim=1)
        rest = {key: value for key, value in request.items() if key not in ("input_ids", "attention_mask")}
        mask = torch.ones_like(whole)
        examples.append(({**rest, **kind.options, "input_ids": whole, "attention_mask": mask}, target[0]))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(600):
        losses = torch.cat([token_losses(model, *example) for example in examples])
        if losses.max() < 0.2:
            break
        optimizer.zero_grad()
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    else:
        pytest.fail(f"not learnt: {losses.max()}")
    model.requires_grad_(False)


def token_losses(model: torch.nn.Module, inputs: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    logits = model(**inputs).logits[0, -len(target) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, target, reduction="none")


def test_a_loop_is_stopped_long_before_the_limit(folders: dict[str, Path]) -> None:
    """The tiny moss writes the same letter for ever."""
    (answer,) = writer_of("moss", folders["moss"]).write([tone(300, 1)], [Hint()], [2000])
    assert answer.looped
    assert not answer.ended
    assert answer.text == "\n"


@pytest.mark.parametrize("name", NAMES)
def test_no_source_is_told_with_a_way_out(name: str, tmp_path: Path) -> None:
    with pytest.raises(PublicWeightsMissing, match=f"{name} .*CROSSTALK_ENGINE__DECODER_MODEL.*-HF"):
        load_decoder(name, settings(tmp_path, ""))
    with pytest.raises(PublicWeightsMissing, match="no folder with a config"):
        load_decoder(name, settings(tmp_path, str(tmp_path / "nowhere")))
    with pytest.raises(PublicWeightsMissing, match="full commit hash"):
        load_decoder(name, settings(tmp_path, "some/model@main"))


def test_a_commit_that_was_never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "snapshot_download", in_cache(tmp_path))
    with pytest.raises(PublicWeightsMissing, match=f"hf download some/model --revision {'a' * 40}"):
        load_decoder("moss", settings(tmp_path, f"some/model@{'a' * 40}"))


def in_cache(cache: Path) -> Callable[..., str]:
    """The hub's own function, looking into a cache of the test."""
    real = loading.snapshot_download
    return lambda repo, **options: real(repo, cache_dir=cache, **options)


def test_a_commit_from_the_hubs_cache(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "b" * 40
    shutil.copytree(folders["moss"], tmp_path / "models--some--model" / "snapshots" / commit)
    monkeypatch.setattr(loading, "snapshot_download", in_cache(tmp_path))
    assert load_decoder("moss", settings(tmp_path, f"some/model@{commit}")).name == "moss"


def test_another_model_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="'vibevoice_asr'; the moss decoder is 'moss_transcribe_diarize'"):
        load_decoder("moss", settings(tmp_path, str(folders["vibevoice"])))


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_told(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    def copy(number: int) -> Path:
        return Path(shutil.copytree(folders[name], tmp_path / str(number)))

    cut = copy(0)
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    deeper = copy(1)
    config = json.loads((deeper / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    config["text_config"].pop("layer_types", None)
    (deeper / "config.json").write_text(json.dumps(config))
    empty = copy(2)
    (empty / "model.safetensors").unlink()
    mute = copy(3)
    (mute / "chat_template.jinja").unlink()
    garbled = copy(4)
    (garbled / "config.json").write_text("{")
    for folder, message in (
        (cut, "model.safetensors cannot be read"),
        (deeper, "missing keys"),
        (empty, "no .safetensors file"),
        (mute, "no chat template"),
        (garbled, "config.json cannot be read"),
    ):
        with pytest.raises(BadCheckpoint, match=message):
            load_decoder(name, settings(tmp_path, str(folder)))


def test_too_little_memory_is_told_before_loading(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_bytes", lambda device: 10**9)
    with pytest.raises(
        TooLittleMemory, match=r"moss model needs about 1\.1 GB as float32, and 1\.0 GB of cpu's memory"
    ):
        load_decoder("moss", settings(tmp_path, str(folders["moss"])))


def test_weights_are_counted(folders: dict[str, Path]) -> None:
    model = TINY["moss"]()[0]
    stored = {tensor.data_ptr(): tensor.numel() for tensor in model.state_dict().values()}
    assert count_weights(folders["moss"]) == sum(stored.values())


def test_8_bit_layers_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingUnsupported, match="moss decoder has no 8-bit"):
        load_decoder("moss", settings(tmp_path, str(folders["moss"]), quantize=True))
