"""Makes the virtual environment in which the peers run, from PyPI: llama.cpp built here for this processor, mlx-vlm on
mlx's CPU backend, transformers on torch. What is there already is kept.

    python3 bench/peers/setup.py build/peers/venv [--reuse OTHER_VENV]

--reuse takes packages that are missing from another virtual environment of the same Python instead of PyPI.
"""

import argparse
import os
import subprocess
import sys

PACKAGES = {  # module: what pip is asked for
    "numpy": ["numpy"],
    "gguf": ["gguf"],
    "torch": ["torch", "torchvision"],
    "transformers": ["transformers", "pillow"],
    "mlx_vlm": ["mlx[cpu]", "mlx-vlm"],
    "llama_cpp": ["llama-cpp-python"],
}
# Compiled here, so that it uses every instruction that this processor has; the wheels of others do not.
LLAMA_FLAGS = "-DGGML_NATIVE=ON"
# A second build, in the environment's folder avx2, for comparisons as on a processor without AVX-512.
LLAMA_AVX2_FLAGS = "-DGGML_NATIVE=OFF -DGGML_AVX2=ON"


def has(python, module):
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", probe], check=False).returncode == 0


def link(python, other):
    """Adds the other environment's packages behind this one's own."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.check_output([python, "-c", where], text=True).strip()
    theirs = subprocess.check_output([os.path.join(other, "bin", "python"), "-c", where], text=True).strip()
    with open(os.path.join(own, "reuse.pth"), "w", encoding="utf-8") as file:
        file.write(theirs + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("venv")
    parser.add_argument("--reuse", metavar="OTHER_VENV")
    args = parser.parse_args()
    python = os.path.join(args.venv, "bin", "python")
    if not os.path.exists(python):
        base = os.path.join(args.reuse, "bin", "python") if args.reuse else sys.executable
        subprocess.run([base, "-m", "venv", args.venv], check=True)
    if args.reuse:
        link(python, args.reuse)
    environment = dict(os.environ)
    environment.setdefault("CMAKE_ARGS", LLAMA_FLAGS)
    environment.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count()))
    for module, packages in PACKAGES.items():
        if not has(python, module):
            subprocess.run([python, "-m", "pip", "install", *packages], check=True, env=environment)
    second = os.path.join(args.venv, "avx2")
    if os.uname().machine == "x86_64" and not os.path.exists(second):
        environment["CMAKE_ARGS"] = LLAMA_AVX2_FLAGS
        options = ["--no-deps", "--no-cache-dir", "--no-binary", "llama-cpp-python", "--target", second]
        subprocess.run([python, "-m", "pip", "install", *options, "llama-cpp-python"], check=True, env=environment)


if __name__ == "__main__":
    main()
