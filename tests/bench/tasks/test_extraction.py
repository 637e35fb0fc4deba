"""Extraction of frame features from generated videos in the UCF-101 layout."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.data.videos import CROP, read_frames
from bench.errors import DataError, UserError
from bench.tasks import build_task
from bench.tasks.extraction import build_frame_encoder
from impls.contract import Array
from tests.bench.tasks.layouts import write_ucf101_lists, write_video

pytest.importorskip("av", reason="needs PyAV, of the extra video")


def brightness(frames: Array) -> Array:
    """The number that `write_video` gave each frame."""
    return np.rint(frames.mean(axis=(1, 2, 3)) / 8).astype(int)


def test_every_frame_of_a_video_at_the_wanted_rate_is_read_once(tmp_path: Path):
    write_video(tmp_path / "clip.avi", frames=20)
    frames = read_frames(tmp_path / "clip.avi", frames_per_second=25, limit=250)
    assert frames.shape == (20, CROP, CROP, 3)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(brightness(frames), np.arange(20))


def test_no_more_than_the_limit_is_read(tmp_path: Path):
    write_video(tmp_path / "clip.avi", frames=20)
    frames = read_frames(tmp_path / "clip.avi", frames_per_second=25, limit=7)
    np.testing.assert_array_equal(brightness(frames), np.arange(7))
    write_video(tmp_path / "slow.avi", frames=3, rate=5)  # whose third frame stands for five
    frames = read_frames(tmp_path / "slow.avi", frames_per_second=25, limit=12)
    np.testing.assert_array_equal(brightness(frames), [0] * 5 + [1] * 5 + [2] * 2)


@pytest.mark.parametrize(
    ("rate", "frames", "shown"),
    [
        (50, 12, [0, 2, 4, 6, 8, 10]),
        (5, 3, [0] * 5 + [1] * 5 + [2] * 5),
        (30, 12, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]),
    ],
)
def test_other_rates_show_what_is_on_at_every_fortieth_millisecond(
    tmp_path: Path, rate: int, frames: int, shown: list[int]
):
    write_video(tmp_path / "clip.avi", frames=frames, rate=rate)
    found = brightness(read_frames(tmp_path / "clip.avi", frames_per_second=25, limit=250))
    np.testing.assert_array_equal(found, shown)


@pytest.mark.parametrize(("width", "height"), [(320, 240), (48, 96), (96, 48)])
def test_frames_are_scaled_and_cropped_to_the_middle(tmp_path: Path, width: int, height: int):
    write_video(tmp_path / "clip.avi", frames=2, width=width, height=height)
    assert read_frames(tmp_path / "clip.avi", frames_per_second=25, limit=250).shape == (2, CROP, CROP, 3)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_an_undecodable_video_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "clip.avi"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"clip\.avi: cannot be decoded"):
        read_frames(path, frames_per_second=25, limit=250)


class MeanColour:
    """Stands in for the network: features that tell the frame's brightness."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, frames: Array) -> Array:
        self.batches.append(len(frames))
        return np.repeat(frames.mean(axis=(1, 2, 3), dtype=np.float32)[:, np.newaxis], 2048, axis=1)


@pytest.fixture
def encoder(monkeypatch) -> MeanColour:
    encoder = MeanColour()
    monkeypatch.setattr("bench.tasks.extraction.PACKAGES", ("av",))
    monkeypatch.setattr("bench.tasks.extraction.build_frame_encoder", lambda **options: encoder)
    return encoder


def run(data: Path, **options: int) -> int:
    from bench.tasks.extraction import extract

    return extract("ucf101", data=data, **options)


def write_videos(data: Path) -> list[Path]:
    videos = [data / "ucf101" / "UCF-101" / path for path in write_ucf101_lists(data)]
    for number, path in enumerate(videos):
        write_video(path, frames=3 + number % 4)
    return videos


def test_features_are_extracted_in_batches_and_can_be_trained_on(tmp_path: Path, encoder: MeanColour):
    write_videos(tmp_path)
    assert run(tmp_path, batch_size=4) == 30
    assert max(encoder.batches) == 4
    task = build_task("ucf101", {"length": 8}, data=tmp_path)
    task.prepare()
    batch = task.train_batch(seed=0, step=0, size=12)
    np.testing.assert_array_equal(np.rint(batch.inputs[:, :3, 0] / 8), [[0, 1, 2]] * 12)


def test_extraction_goes_on_where_it_was(tmp_path: Path, encoder: MeanColour):
    videos = write_videos(tmp_path)
    run(tmp_path)
    again = (tmp_path / "ucf101/features").rglob("*.npy")
    files = sorted(again)
    assert len(files) == 30
    assert {np.load(path).shape[1] for path in files} == {2048}
    files[3].unlink()
    times = {path: path.stat().st_mtime_ns for path in files if path.exists()}
    assert run(tmp_path) == 1
    assert run(tmp_path) == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(videos) == 30


def test_undecodable_videos_are_named_after_all_others_were_extracted(tmp_path: Path, encoder: MeanColour):
    videos = write_videos(tmp_path)
    videos[2].write_bytes(b"broken")
    videos[5].write_bytes(b"")
    with pytest.raises(DataError, match="cannot be decoded") as caught:
        run(tmp_path)
    assert str(videos[2]) in str(caught.value)
    assert str(videos[5]) in str(caught.value)
    assert len(list((tmp_path / "ucf101/features").rglob("*.npy"))) == 28


def test_missing_videos_lists_and_tasks_are_told(tmp_path: Path, encoder: MeanColour):
    from bench.tasks.extraction import extract

    with pytest.raises(UserError, match="extract mnist: only ucf101"):
        extract("mnist", data=tmp_path)
    with pytest.raises(DataError, match=r"classInd\.txt"):
        run(tmp_path)
    videos = write_videos(tmp_path)
    (tmp_path / "ucf101/UCF-101").rename(tmp_path / "elsewhere")
    (tmp_path / "ucf101/features").mkdir()
    with pytest.raises(DataError, match=r"UCF-101: missing, and 30 of 30 clips have no features yet; have UCF101\.rar"):
        run(tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / "ucf101/UCF-101")
    videos[7].unlink()
    with pytest.raises(DataError, match="1 of 30 videos are missing, the first is") as caught:
        run(tmp_path)
    assert str(videos[7]) in str(caught.value)


def test_wrong_options_are_told(tmp_path: Path):
    from bench.tasks.extraction import extract

    with pytest.raises(UserError, match="--device cudo: not one of auto, cpu, cuda; did you mean 'cuda'"):
        extract("ucf101", data=tmp_path, device="cudo")
    with pytest.raises(UserError, match=r"--weights .*absent\.pth: there is no such file"):
        extract("ucf101", data=tmp_path, weights=tmp_path / "absent.pth")


def test_missing_packages_are_told(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("bench.tasks.extraction.PACKAGES", ("av", "no_such_package"))
    with pytest.raises(UserError, match=r"extract needs no_such_package: pip install 'skiprnn-bench\[video\]'"):
        run(tmp_path)


def test_frames_reach_the_network_as_it_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """timm is optional: a stand-in for its network tells each channel's mean, with one weight that is loaded."""
    import torch

    class Means(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.added = torch.nn.Parameter(torch.zeros(1))
            self.whole = True

        def reset_classifier(self, classes: int) -> None:
            self.whole = classes != 0

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            assert not self.whole
            assert not self.training
            return pixels.mean(dim=(2, 3)) + self.added

    asked: list[bool] = []
    timm = SimpleNamespace(create_model=lambda name, *, pretrained: [asked.append(pretrained), Means()][1])
    monkeypatch.setitem(sys.modules, "timm", timm)
    torch.save({"added": torch.ones(1)}, tmp_path / "means.pth")
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    means = ((frames / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).mean(axis=(1, 2))
    for weights, added in ((None, 0), (tmp_path / "means.pth", 1)):
        features = build_frame_encoder(weights=weights, device="cpu").encode(frames)
        np.testing.assert_allclose(features, means + added, rtol=1e-5, atol=1e-6)
    assert asked == [True, False], "a file's weights need no download"


def test_a_timm_that_does_not_fit_torch_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator nms does not exist\\nmore')", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UserError, match=r"^timm cannot be imported \(operator nms does not exist\); install the torchv"
    ):
        build_frame_encoder(weights=None, device="cpu")


def test_resnet_features_come_from_a_file_of_weights(tmp_path: Path):
    """With random weights in torchvision's layout; the features are the pooled output of the last block."""
    torch = pytest.importorskip("torch")
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm cannot be imported: {error}")
    network = timm.create_model("resnet50").eval()
    torch.save(network.state_dict(), tmp_path / "resnet50.pth")
    encoder = build_frame_encoder(weights=tmp_path / "resnet50.pth", device="cpu")
    frames = np.random.default_rng(0).integers(0, 256, (2, CROP, CROP, 3), dtype=np.uint8)
    features = encoder.encode(frames)
    scaled = (frames / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    with torch.no_grad():
        maps = network.forward_features(torch.tensor(scaled.transpose(0, 3, 1, 2), dtype=torch.float32))
    np.testing.assert_allclose(features, maps.mean(dim=(2, 3)).numpy(), rtol=1e-4, atol=1e-5)
    (tmp_path / "other.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"other\.pth: no weights of a ResNet-50"):
        build_frame_encoder(weights=tmp_path / "other.pth", device="cpu")
