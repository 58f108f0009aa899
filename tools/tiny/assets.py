"""Gathers fonts and emoji pictures from installed Debian packages into one folder that the renderers read.

    python3 assets.py [OUT_DIR]        (default: .fonts in the repository root, which git ignores)

Packages and licences are listed in the model card. TRAINING_FONTS draw the training scenes; HELD_OUT_FONTS are left to
holdout_draw.py, which draws the separate evaluation set.
"""

import os
import pathlib
import shutil
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import names

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".fonts"
SEARCH = pathlib.Path("/usr/share/fonts")
EMOJI_FONT = "NotoColorEmoji.ttf"
EMOJI_SIZE = 109              # the only size of NotoColorEmoji's bitmaps

TRAINING_FONTS = """DejaVuSans.ttf DejaVuSans-Bold.ttf DejaVuSerif.ttf DejaVuSerif-Bold.ttf DejaVuSansMono.ttf
DejaVuSansMono-Bold.ttf DejaVuSansCondensed-Bold.ttf LiberationSans-Regular.ttf LiberationSans-Bold.ttf
LiberationSerif-Regular.ttf LiberationSerif-Bold.ttf LiberationMono-Regular.ttf LiberationMono-Bold.ttf FreeSans.ttf
FreeSansBold.ttf FreeSerif.ttf FreeSerifBold.ttf FreeMonoBold.ttf OpenSans-Regular.ttf OpenSans-Bold.ttf
OpenSans-ExtraBold.ttf Roboto-Regular.ttf Roboto-Bold.ttf Roboto-Medium.ttf RobotoCondensed-Bold.ttf
RobotoSlab-Regular.otf Inter-Regular.otf Inter-Bold.otf Inter-Black.otf NotoSans-Regular.ttf NotoSans-Bold.ttf
NotoSerif-Regular.ttf NotoSerif-Bold.ttf NotoMono-Regular.ttf Carlito-Regular.ttf Carlito-Bold.ttf
Quicksand-Bold.ttf Comfortaa-Bold.ttf ComicNeue-Bold.otf ComicNeue-Regular.otf Inconsolata.otf Hack-Regular.ttf
Hack-Bold.ttf LinLibertine_R.otf LinLibertine_RB.otf LinBiolinum_RB.otf Go-Regular.ttf Go-Bold.ttf Go-Mono.ttf
Dosis-SemiBold.otf Jura-Bold.otf Play-Regular.ttf Play-Bold.ttf EBGaramond12-Regular.otf EBGaramond12-Bold.otf
NimbusRoman-Bold.otf NimbusSansNarrow-Bold.otf NimbusMonoPS-Bold.otf URWGothic-Demi.otf URWGothic-Book.otf
URWBookman-Demi.otf C059-Bold.otf FiraCode-Regular.ttf FiraCode-Bold.ttf mononoki-Bold.ttf YanoneKaffeesatz-Bold.otf
Andika-Regular.ttf Andika-Bold.ttf GenBasB.ttf Cousine-Bold.ttf Tinos-Bold.ttf Dustismo.ttf LeagueSpartan-Bold.otf
Anonymous_Pro_B.ttf GoudyBookletter1911.otf Courier_Prime_Bold.otf Arimo-Regular.ttf""".split()
HELD_OUT_FONTS = """Lato-Regular.ttf Lato-Bold.ttf Cabin-Bold.otf RobotoSlab-Bold.otf JetBrainsMono-Bold.ttf
Vollkorn-Bold.ttf Caladea-Bold.ttf Cantarell-Bold.otf P052-Bold.otf OpenSans-Semibold.ttf""".split()


def emoji_picture(char: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    """One emoji, cropped to what is visible: RGBA bytes [h, w, 4]."""
    image = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((8, 8), char, font=font, embedded_color=True)
    box = image.getchannel("A").getbbox()
    if box is None:
        raise ValueError(f"{EMOJI_FONT} has no picture for U+{ord(char):X}")
    return np.asarray(image.crop(box))


def gather(out: pathlib.Path) -> None:
    """Copy the fonts and write emoji.npz."""
    out.mkdir(parents=True, exist_ok=True)
    found = {name.replace(" ", "_"): pathlib.Path(at, name) for at, _, files in os.walk(SEARCH, followlinks=True) for name in files}
    for name in TRAINING_FONTS + HELD_OUT_FONTS:
        shutil.copy(found[name], out / name)
    font = ImageFont.truetype(str(found[EMOJI_FONT]), EMOJI_SIZE)
    pictures = {}
    for name, chars in names.EMOJI.items():
        for i, char in enumerate(chars):
            pictures[f"{name}#{i}"] = emoji_picture(char, font)
    np.savez_compressed(out / "emoji.npz", **pictures)


def load_emoji(folder: pathlib.Path = FOLDER) -> dict[str, list[Image.Image]]:
    """{name: pictures}, as written by gather()."""
    table = {}
    with np.load(folder / "emoji.npz") as pictures:
        for key in pictures.files:
            table.setdefault(key.split("#")[0], []).append(Image.fromarray(pictures[key], "RGBA"))
    return table


if __name__ == "__main__":
    gather(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
