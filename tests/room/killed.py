"""Publish a local image, and kill this process at a step: its number, or `push` for the middle of
the push.
"""

import os
import signal
import sys
from functools import partial

from megalotron_images import release
from megalotron_images.convention import parse_reference
from megalotron_images.engine import Engine
from megalotron_images.plan import Overrides
from megalotron_images.registry.client import Registry
from megalotron_images.registry.credentials import Credentials


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def main(name, tag, when):
    steps = []

    def say(step):
        steps.append(step)
        if len(steps) - 1 == int(when if when.isdigit() else -1):
            die()

    def progress(layer, current, total):
        if when == "push" and 0 < current < total:
            die()

    credentials = Credentials("octocat", "practice-token-may-push", "a test")
    engine, registry = Engine(credentials), Registry("ghcr.io", credentials)
    image, reference = engine.image(name), parse_reference(f"ghcr.io/megalotron/backend:{tag}")
    plan = release.publish_plan(registry, reference, image, Overrides())
    push = partial(engine.push, progress=progress)
    release.publish(plan, image, registry, push, say=say, settle=0)


main(*sys.argv[1:])
