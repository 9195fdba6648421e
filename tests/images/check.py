"""Checks the Dockerfiles as far as that goes without a container engine.

Every COPY source exists and reaches the build, stages are defined before they are used, base images have a version, the
Rust version is the pinned one, and the image runs as a numbered user that is not root, straight as the binary.
"""

import fnmatch
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKERFILES = {"agent/Dockerfile": "podlatch-agent", "relay/Dockerfile": "podlatch-relay"}
failures: list[str] = []


def expect(holds: bool, complaint: str) -> None:
    if not holds:
        failures.append(complaint)


def instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines()]


def is_ignored(source: str) -> bool:
    """Whether .dockerignore keeps this path, or a folder above it, out of the build."""
    patterns = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()]
    patterns = [pattern for pattern in patterns if pattern and not pattern.startswith("#")]
    parts = pathlib.PurePosixPath(source).parts
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return any(
        fnmatch.fnmatch(path, pattern) or (pattern.startswith("**/") and path.split("/")[-1] == pattern[3:])
        for path in above
        for pattern in patterns
    )


def check_copy(name: str, arguments: str, stages: list[str]) -> None:
    flags = [word for word in arguments.split() if word.startswith("--")]
    *sources, _target = [word for word in arguments.split() if not word.startswith("--")]
    stage = next((flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")), None)
    if stage is not None:
        expect(stage in stages, f"{name}: COPY from the stage {stage}, which is not defined before")
        return
    for source in sources:
        expect((ROOT / source).exists(), f"{name}: COPY of {source}, which does not exist")
        expect(not is_ignored(source), f"{name}: COPY of {source}, which .dockerignore keeps out")


def check(name: str, binary: str) -> None:
    stages: list[str] = []
    last: dict[str, str] = {}
    toolchain = re.search(r'channel = "([0-9.]+)"', (ROOT / "rust-toolchain.toml").read_text()).group(1)
    for instruction, arguments in instructions((ROOT / name).read_text()):
        last[instruction] = arguments
        if instruction == "FROM":
            image, *alias = re.split(r"\s+[Aa][Ss]\s+", arguments)
            expect(":" in image and not image.endswith(":latest"), f"{name}: {image} has no version")
            rust = re.fullmatch(r"rust:([0-9.]+)-.*", image)
            expect(not rust or toolchain.startswith(rust.group(1)), f"{name}: {image} is not Rust {toolchain}")
            stages += alias
        elif instruction == "COPY":
            check_copy(name, arguments, stages)
        elif instruction == "ENV" and arguments.startswith("RUSTUP_TOOLCHAIN="):
            expect(arguments == f"RUSTUP_TOOLCHAIN={toolchain}", f"{name}: {arguments} is not Rust {toolchain}")
        expect(instruction != "ADD", f"{name}: ADD fetches and unpacks by itself; use COPY")
    expect(re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", last.get("USER", "")), f"{name}: the last USER is not a numbered one")
    expect(json.loads(last["ENTRYPOINT"]) == [f"/usr/local/bin/{binary}"], f"{name}: does not start {binary}")
    expect("org.opencontainers.image.licenses" in last.get("LABEL", ""), f"{name}: no licence label")


def main() -> None:
    for name, binary in DOCKERFILES.items():
        check(name, binary)
    if failures:
        sys.exit("\n".join(failures))
    print(f"{' and '.join(DOCKERFILES)} are consistent (nothing is built here: that needs a container engine)")


if __name__ == "__main__":
    main()
