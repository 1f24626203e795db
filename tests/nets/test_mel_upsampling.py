"""Upsampling of mels is the transposed convolution of WaveGlow, with its kernel on the middle of the frame."""

import pytest
import torch
import torch.nn.functional as F

from genarena.nets.mel_upsampling import MelUpsampling


@torch.no_grad()
@pytest.mark.parametrize("group", [1, 8])
def test_it_is_a_transposed_convolution_cut_at_both_ends(group: int) -> None:
    torch.manual_seed(0)
    net, stride, frames = MelUpsampling(3, 2, group), 256 // group, 5
    mel = torch.randn(2, 3, frames)
    net.conv.weight.normal_()
    net.bias.normal_()
    weight = net.conv.weight.view(stride, 2, 3, 4)  # of position r in a hop: frames b - 1 .. b + 2
    kernel = weight.flip(3).permute(2, 1, 3, 0).reshape(3, 2, 4 * stride)  # frame k counts for 4 hops, first to last
    whole = F.conv_transpose1d(mel, kernel, stride=stride)
    expected = whole[:, :, 2 * stride :][:, :, : (frames - 1) * stride]
    torch.testing.assert_close(net(mel), expected + net.bias)


@torch.no_grad()
def test_it_starts_as_linear_interpolation() -> None:
    net = MelUpsampling(3, 2, group=64)
    mel = torch.randn(1, 3, 2)
    out = net(mel)  # 4 positions from one frame to the next
    torch.testing.assert_close(out[:, :, 1], 0.75 * out[:, :, 0] + 0.25 * net(mel[:, :, [1, 1]])[:, :, 0])
    assert out.std() > 0


@torch.no_grad()
def test_a_frame_counts_for_two_hops_on_each_side() -> None:
    torch.manual_seed(0)
    net = MelUpsampling(3, 2, group=1)
    net.conv.weight.normal_()
    mel = torch.randn(1, 3, 9)
    changed = mel.clone()
    changed[:, :, 4] += 1.0
    places = (net(changed) - net(mel)).abs().sum((0, 1)).nonzero().flatten()
    assert places.min() == 4 * 256 - 512 and places.max() == 4 * 256 + 511


@pytest.mark.parametrize("group", [0, 3, 512])
def test_a_group_that_does_not_divide_a_hop_is_refused(group: int) -> None:
    with pytest.raises(ValueError, match=f"group={group}: expected a divisor of 256"):
        MelUpsampling(3, 2, group)
