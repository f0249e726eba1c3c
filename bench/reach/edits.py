"""What is done to a picture before it is put up again: families of edits, each made with a seeded random generator.

Written for `make bench-reach`; nothing of it is part of the product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Picture = Image.Image
Edit = Callable[[Picture, Random, Sequence[Picture]], Picture]
"""(the picture, a generator, other pictures) → the edited one."""

_GROUNDS = ("black", "white", "#eeeeee", "#181a1e")
_LANCZOS = Image.Resampling.LANCZOS
_BICUBIC = Image.Resampling.BICUBIC


def _ground(random: Random) -> str:
    return random.choice((*_GROUNDS, f"#{random.randrange(1 << 24):06x}"))


def _ink(ground: str) -> str:
    return "black" if ground in ("white", "#eeeeee") else "white"


def _words(random: Random, count: int) -> str:
    return " ".join("".join(random.choices("abdeghiklmnoprstuw", k=random.randint(2, 8))) for _ in range(count))


def _cut(picture: Picture, left: float, top: float, right: float, bottom: float) -> Picture:
    """These shares of the sides cut away."""
    width, height = picture.size
    return picture.crop(
        (round(left * width), round(top * height), round(width * (1 - right)), round(height * (1 - bottom)))
    )


def _scaled(picture: Picture, width: int, height: int) -> Picture:
    return picture.resize((max(8, width), max(8, height)), _LANCZOS)


# Cropped


def cropped_at_one_side(least: float, most: float) -> Edit:
    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        shares = [0.0] * 4
        shares[random.randrange(4)] = random.uniform(least, most)
        return _cut(picture, *shares)

    return edit


def cropped_all_round(least: float, most: float) -> Edit:
    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        return _cut(picture, *[random.uniform(least, most)] * 4)

    return edit


def cropped_freely(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return _cut(picture, *(random.uniform(0, 0.12) for _ in range(4)))


def cropped_to(aspect: float, *, centre: bool) -> Edit:
    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        width, height = picture.size
        place = 0.5 if centre else random.random()
        if width > aspect * height:
            gone = 1 - aspect * height / width
            return _cut(picture, gone * place, 0, gone * (1 - place), 0)
        gone = 1 - width / aspect / height
        return _cut(picture, 0, gone * place, 0, gone * (1 - place))

    return edit


# Framed


def bordered(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return ImageOps.expand(picture, round(random.uniform(0.02, 0.15) * min(picture.size)), _ground(random))


def letterboxed(*, blurred: bool, aspect: float | None = None) -> Edit:
    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        wanted = aspect or random.choice((1.0, 9 / 16, 0.8, 1.9))
        width, height = picture.size
        size = (round(height * wanted), height) if width < wanted * height else (width, round(width / wanted))
        if blurred:
            small = ImageOps.fit(picture, (max(8, size[0] // 8), max(8, size[1] // 8)))
            page = ImageEnhance.Brightness(small.filter(ImageFilter.GaussianBlur(3)).resize(size, _BICUBIC)).enhance(
                0.8
            )
        else:
            page = Image.new("RGB", size, _ground(random))
        page.paste(picture, ((size[0] - width) // 2, (size[1] - height) // 2))
        return page

    return edit


def captioned(*, outside: bool) -> Edit:
    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        width, height = picture.size
        bar = round(random.uniform(0.08, 0.22) * height)
        above, ground = random.random() < 0.5, random.choice(("black", "white"))
        if outside:
            page = Image.new("RGB", (width, height + bar), ground)
            page.paste(picture, (0, bar if above else 0))
            top = 0 if above else height
        else:
            page, top = picture.copy(), 0 if above else height - bar
        draw = ImageDraw.Draw(page)
        draw.rectangle((0, top, width, top + bar - 1), fill=ground)
        size = max(8.0, 0.3 * bar)
        for line in range(2):
            text = _words(random, max(2, int(width / size / 4)))
            draw.text((0.05 * width, top + bar * (line + 0.15) / 2), text, fill=_ink(ground), font_size=size)
        return page

    return edit


def _screen(random: Random) -> tuple[Picture, str]:
    """A telephone's screen, its status line drawn, and its ink."""
    ground = random.choice(("black", "white", "#181a1e"))
    screen = Image.new("RGB", (720, random.choice((1280, 1520, 1560))), ground)
    draw, ink = ImageDraw.Draw(screen), _ink(ground)
    draw.text((24, 10), f"{random.randrange(24)}:{random.randrange(10, 60)}", fill=ink, font_size=26)
    for place in (544, 586, 628, 670):
        draw.rectangle((place, 14, place + 28, 36), outline=ink, width=3)
    return screen, ink


def on_a_viewer(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    screen, ink = _screen(random)
    shown = ImageOps.contain(picture, screen.size, _LANCZOS)
    screen.paste(shown, ((screen.width - shown.width) // 2, (screen.height - shown.height) // 2))
    draw = ImageDraw.Draw(screen)
    for place in range(90, 720, 170):
        draw.ellipse((place, screen.height - 90, place + 40, screen.height - 50), outline=ink, width=4)
    return screen


def on_a_feed(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    screen, ink = _screen(random)
    draw = ImageDraw.Draw(screen)
    draw.line((0, 60, screen.width, 60), fill="grey", width=2)
    screen.paste(Image.effect_noise((64, 64), 90).convert("RGB"), (20, 78))
    draw.text((100, 84), _words(random, 2), fill=ink, font_size=26)
    shown = _scaled(picture, screen.width, round(picture.height * screen.width / picture.width))
    shown = shown.crop((0, 0, screen.width, min(shown.height, screen.height - 280)))
    screen.paste(shown, (0, 160))
    line = 160 + shown.height + 20
    while line < screen.height - 120:
        draw.text((24, line), _words(random, random.randint(3, 7)), fill=ink, font_size=24)
        line += 36
    for place in range(50, 720, 140):
        draw.rectangle((place, screen.height - 80, place + 40, screen.height - 40), outline=ink, width=4)
    return screen


def in_a_chat(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    screen, ink = _screen(random)
    draw = ImageDraw.Draw(screen)
    draw.text((100, 64), _words(random, 2), fill=ink, font_size=30)
    top = 130
    for _ in range(random.randint(1, 3)):
        width = random.randint(200, 480)
        draw.rounded_rectangle((20, top, 20 + width, top + 60), 24, fill="#466e5a")
        draw.text((36, top + 14), _words(random, 3), fill="white", font_size=24)
        top += 76
    shown = _scaled(picture, 490, round(picture.height * 490 / picture.width))
    shown = shown.crop((0, 0, shown.width, min(shown.height, screen.height - top - 120)))
    screen.paste(shown, (20 if random.random() < 0.5 else screen.width - 20 - shown.width, top))
    draw.rounded_rectangle((20, screen.height - 80, screen.width - 20, screen.height - 24), 24, outline="grey", width=3)
    return screen


# Written on, covered


def words_over(*, strokes: bool, places: Sequence[tuple[float, float]], size: float, strength: int) -> Edit:
    """Words at these shares of the sides, of this height, of this strength (of 255)."""

    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        width, height = picture.size
        layer = Image.new("RGBA", picture.size)
        draw = ImageDraw.Draw(layer)
        for across, down in places:
            draw.text(
                (across * width, down * height),
                _words(random, 2),
                fill=(255, 255, 255, strength),
                font_size=size * height,
                stroke_width=max(1, height // 160) if strokes else 0,
                stroke_fill="black",
            )
        return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")

    return edit


_EVERYWHERE = [(0.05 + 0.4 * column, 0.02 + row / 6) for row in range(6) for column in range(3)]


def covered(least: float, most: float) -> Edit:
    """A disc, a bar, coarse squares or a blur over what is somewhere near the middle."""

    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        copy = picture.copy()
        width, height = copy.size
        radius = random.uniform(least, most) * min(width, height) / 2
        x, y = random.uniform(0.3, 0.7) * width, random.uniform(0.2, 0.5) * height
        box = (round(max(0, x - radius)), round(max(0, y - radius)), round(x + radius), round(y + radius))
        kind = random.choice(("disc", "bar", "squares", "blur"))
        draw = ImageDraw.Draw(copy)
        if kind == "disc":
            draw.ellipse(box, fill="#ffcd3c", outline="#3c2800", width=4)
        elif kind == "bar":
            draw.rectangle((max(0, x - 1.4 * radius), y - 0.4 * radius, x + 1.4 * radius, y + 0.4 * radius), fill=0)
        else:
            part = copy.crop(box)
            if kind == "squares":
                part = part.resize((6, 6), Image.Resampling.BOX).resize(part.size, Image.Resampling.NEAREST)
            else:
                part = part.filter(ImageFilter.GaussianBlur(radius / 3))
            copy.paste(part, box[:2])
        return copy

    return edit


# Turned, filtered


def turned(least: float, most: float, *, straightened: bool) -> Edit:
    """By so many degrees: with the corners filled, or cut to the largest rectangle that has none."""

    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        degrees = random.uniform(least, most) * random.choice((-1, 1))
        if not straightened:
            return picture.rotate(degrees, _BICUBIC, expand=random.random() < 0.5, fillcolor=random.choice(_GROUNDS))
        width, height = picture.size
        sine, cosine = math.sin(abs(math.radians(degrees))), math.cos(math.radians(degrees))
        kept = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
        return _cut(picture.rotate(degrees, _BICUBIC), *[(1 - kept) / 2] * 4)

    return edit


def in_perspective(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    width, height = picture.size
    corners = [
        abs(at - random.uniform(0, 0.04)) * side
        for across, down in ((0, 0), (0, 1), (1, 1), (1, 0))
        for at, side in ((across, width), (down, height))
    ]
    return picture.transform(picture.size, Image.Transform.QUAD, corners, _BICUBIC)


def _brightened(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return ImageEnhance.Brightness(picture).enhance(random.uniform(0.6, 1.5))


def _contrasted(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return ImageEnhance.Contrast(picture).enhance(random.uniform(0.6, 1.6))


def _blurred(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return picture.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 0.008 * max(picture.size))))


def _gamma(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    power = random.uniform(0.5, 1.8)
    return picture.point([round(255 * (level / 255) ** power) for level in range(256)] * 3)


def _faded(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return Image.blend(ImageOps.colorize(picture.convert("L"), "#28140a", "#fff0c8"), picture, 0.3)


def _noisy(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return ImageChops.blend(picture, Image.effect_noise(picture.size, 60).convert("RGB"), random.uniform(0.1, 0.25))


# Beside others


def collage(across: int, down: int, *, square: bool = False) -> Edit:
    """Tiles of one size, the picture among them uncropped; `square`: all of them cropped to squares."""

    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        size = (min(picture.size),) * 2 if square else picture.size
        tiles = [ImageOps.fit(one, size) for one in others[: across * down - 1]]
        tiles.insert(random.randrange(across * down), ImageOps.fit(picture, size) if square else picture)
        gap = random.choice((0, 0, 4, 10))
        page = Image.new(
            "RGB",
            (across * (size[0] + gap) - gap, down * (size[1] + gap) - gap),
            random.choice(("white", "black")),
        )
        for number, tile in enumerate(tiles):
            row, column = divmod(number, across)
            page.paste(tile, (column * (size[0] + gap), row * (size[1] + gap)))
        return page

    return edit


def _together(*edits: Edit) -> Edit:
    def edit(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
        for one in edits:
            picture = one(picture, random, others)
        return picture

    return edit


def _smaller(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    scale = random.uniform(0.4, 1)
    return _scaled(picture, round(picture.width * scale), round(picture.height * scale))


def _mirrored(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return ImageOps.mirror(picture)


def _on_its_side(picture: Picture, random: Random, others: Sequence[Picture]) -> Picture:
    return picture.rotate(90, expand=True)


_ASPECTS = {"1:1": 1.0, "4:5": 0.8, "16:9": 16 / 9, "9:16": 9 / 16}
_CORNER = words_over(strokes=False, places=((0.6, 0.9),), size=0.05, strength=200)

FAMILIES: Mapping[str, Edit] = {
    "smaller": _smaller,
    **{
        f"cropped at one side, {round(100 * a)}-{round(100 * b)} %": cropped_at_one_side(a, b)
        for a, b in ((0.01, 0.05), (0.05, 0.1), (0.1, 0.15), (0.15, 0.25))
    },
    **{
        f"cropped all round, {round(100 * a)}-{round(100 * b)} %": cropped_all_round(a, b)
        for a, b in ((0.01, 0.05), (0.05, 0.1), (0.1, 0.15))
    },
    "cropped freely, each side 0-12 %": cropped_freely,
    **{f"cropped to {name}, centre": cropped_to(aspect, centre=True) for name, aspect in _ASPECTS.items()},
    **{f"cropped to {name}, anywhere": cropped_to(aspect, centre=False) for name, aspect in _ASPECTS.items()},
    "border of 2-15 %": bordered,
    "letterbox": letterboxed(blurred=False),
    "letterbox, blurred": letterboxed(blurred=True),
    "caption outside": captioned(outside=True),
    "caption inside": captioned(outside=False),
    "watermark in a corner": _CORNER,
    "watermark in the middle": words_over(strokes=False, places=((0.08, 0.42),), size=0.12, strength=200),
    "watermark all over": words_over(strokes=False, places=_EVERYWHERE, size=0.05, strength=130),
    "words at top and bottom": words_over(strokes=True, places=((0.05, 0.03), (0.05, 0.86)), size=0.1, strength=255),
    "screenshot of a viewer": on_a_viewer,
    "screenshot of a feed": on_a_feed,
    "screenshot of a chat": in_a_chat,
    **{f"turned by {a}-{b} degrees, filled": turned(a, b, straightened=False) for a, b in ((1, 3), (3, 5), (5, 7))},
    **{f"turned by {a}-{b} degrees, cut": turned(a, b, straightened=True) for a, b in ((1, 3), (3, 5), (5, 7))},
    "perspective of 0-4 %": in_perspective,
    "brighter or darker": _brightened,
    "contrast": _contrasted,
    "grey": lambda picture, random, others: picture.convert("L").convert("RGB"),
    "blurred": _blurred,
    "gamma": _gamma,
    "faded": _faded,
    "noise": _noisy,
    "collage, two beside one another": collage(2, 1),
    "collage, two below one another": collage(1, 2),
    "collage, two squares": collage(2, 1, square=True),
    "collage, four": collage(2, 2),
    "collage, six": collage(3, 2),
    "covered in part, 15-30 %": covered(0.15, 0.3),
    "covered in part, 30-45 %": covered(0.3, 0.45),
    "mirrored": _mirrored,
    "mirrored, cropped 3-15 %": _together(_mirrored, cropped_at_one_side(0.03, 0.15)),
    "mirrored, border": _together(_mirrored, bordered),
    "mirrored, letterbox": _together(_mirrored, letterboxed(blurred=False, aspect=9 / 16)),
    "mirrored, screenshot": _together(_mirrored, on_a_feed),
    "mirrored, collage": _together(_mirrored, collage(2, 1)),
    "on its side, border": _together(_on_its_side, bordered),
    "cropped 3-15 %, border": _together(cropped_at_one_side(0.03, 0.15), bordered),
    "square, screenshot": _together(cropped_to(1.0, centre=True), on_a_feed),
    "caption inside, letterbox": _together(captioned(outside=False), letterboxed(blurred=False)),
    "cropped, watermark, contrast": _together(cropped_at_one_side(0.02, 0.1), _CORNER, _contrasted),
    "cropped, covered": _together(cropped_at_one_side(0.02, 0.1), covered(0.1, 0.2)),
}
