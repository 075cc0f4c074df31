from conftest_room import cli, engine, make_image, played, registry

__all__ = ["cli", "engine", "make_image", "played", "registry"]
