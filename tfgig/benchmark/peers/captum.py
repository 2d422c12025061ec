"""Captum: attributions of PyTorch models."""

from __future__ import annotations

import numpy as np

from tfgig.benchmark.peers.base import NOISE, Peer


class Captum(Peer):
    """Explains the images together; the network is torchvision's, so its gradients differ too."""

    name = "captum"
    title = "Captum"
    requirements = ("captum==0.9.0", "torch", "torchvision")

    def __init__(self, network: str):
        import torch
        import torchvision

        self._torch = torch
        network = getattr(torchvision.models, network)(weights=None)
        self._model = torch.nn.Sequential(network, torch.nn.Softmax(1)).eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)

    def _images(self, images):
        return self._torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))

    def gradients(self, images):
        given = self._images(images).requires_grad_()
        (found,) = self._torch.autograd.grad(self._model(given)[:, 0].sum(), given)
        return found.numpy()

    def methods(self):
        from captum import attr

        def ig(images, steps, points):
            return attr.IntegratedGradients(self._model).attribute(
                self._images(images),
                target=0,
                n_steps=steps,
                method="riemann_middle",
                internal_batch_size=points,
            )

        def smooth_grad(images, samples, points):
            return attr.NoiseTunnel(attr.Saliency(self._model)).attribute(
                self._images(images),
                target=0,
                abs=False,
                stdevs=NOISE * float(np.ptp(images)),
                nt_samples=samples,
                nt_samples_batch_size=max(1, points // len(images)),
            )

        return {
            "ig": lambda *given: ig(*given).numpy(),
            "smooth_grad": lambda *given: smooth_grad(*given).numpy(),
        }
