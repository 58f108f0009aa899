"""Runs image_files over public collections of malformed and odd images, which are fetched and not kept in the repository.

    python3 tests/images/corpora.py build/address/image_files build/corpora [--mirrors FOLDER]

--mirrors: git directories that are there already, named owner+repository/repo; nothing is fetched then. Files are told
by their first bytes and named by their content, so that equal ones are taken once.
"""

import argparse
import collections
import hashlib
import pathlib
import subprocess
import sys

COLLECTIONS = (
    "libjpeg-turbo/seed-corpora", "image-rs/image-png", "image-rs/image", "dvyukov/go-fuzz-corpus",
    "strongcourage/fuzzing-corpus", "corkami/pics", "python-pillow/Pillow", "pnggroup/libpng",
    "webmproject/libwebp-test-data", "google/wuffs",
)
LARGEST = 20_000_000


def kind_of(data):
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None


def git_directory(name, folder, mirrors):
    plain = name.replace("/", "+")
    if mirrors:
        return mirrors / plain / "repo"
    target = folder / (plain + ".git")
    if not target.exists():
        url = f"https://github.com/{name}"
        if subprocess.run(["git", "clone", "-q", "--bare", "--depth", "1", url, target]).returncode:
            return None
    return target


def blobs(git_dir):
    """The contents of all files of the newest commit; those that are not there are left out."""
    git = ["git", "--git-dir", str(git_dir)]
    tree = subprocess.run(
        [*git, "ls-tree", "-r", "HEAD"], stdout=subprocess.PIPE, check=True
    ).stdout.splitlines()
    names = {line.split()[2] for line in tree if line.split()[1] == b"blob"}
    batch = subprocess.Popen(
        [*git, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    for name in sorted(names):
        batch.stdin.write(name + b"\n")
        batch.stdin.flush()
        head = batch.stdout.readline().split()
        if len(head) != 3:
            continue
        data = batch.stdout.read(int(head[2]) + 1)[:-1]
        yield data
    batch.stdin.close()
    batch.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--mirrors", type=pathlib.Path)
    options = parser.parse_args()
    files = options.folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    for name in COLLECTIONS:
        done = options.folder / (name.replace("/", "+") + ".done")
        if done.exists():
            continue
        git_dir = git_directory(name, options.folder, options.mirrors)
        if git_dir is None or not git_dir.exists():
            print(f"{name}: cannot be fetched, skipped", flush=True)
            continue
        new = 0
        for data in blobs(git_dir):
            kind = kind_of(data)
            if kind is None or len(data) > LARGEST:
                continue
            target = files / f"{hashlib.sha256(data).hexdigest()[:24]}.{kind}"
            if not target.exists():
                target.write_bytes(data)
                new += 1
        print(f"{name}: {new} files that no other has", flush=True)
        done.touch()
    paths = sorted(str(path) for path in files.iterdir())
    kinds = collections.Counter(path.rsplit(".", 1)[1] for path in paths)
    print(f"{len(paths)} files: {dict(sorted(kinds.items()))}", flush=True)
    sys.exit(subprocess.run([options.program, "-"], input="\n".join(paths) + "\n", text=True).returncode)


if __name__ == "__main__":
    main()
