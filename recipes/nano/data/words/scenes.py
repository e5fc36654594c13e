"""Words for the scenes, and nothing but tables: plants in pots, planets, landscapes; in English and in Chinese.

A table maps a variant or a colour to the words a person would type; `UNNAMED` means that the variant is drawn
but not worth a word. `EXCLUDED` lists what is never drawn, so that tables and exclusions together cover a style
completely. `CHINESE` has every word of the scenes, the plainest translation first.
"""

from collections.abc import Mapping
from typing import Final

from .common import UNNAMED, Words

KINDS: Final[Words] = {"sprouts": "plant", "planets": "planet", "landscape": "landscape"}

_STARS: Final[Words] = {"small": "tiny stars", "medium": "stars", "large": "stars", "sparkle": "sparkling stars"}

# style -> component of the style's JSON -> variant -> words
VARIANTS: Final[Mapping[str, Mapping[str, Words]]] = {
    "sprouts": {
        "plant": {
            "sprout": "sprout",
            "seedling": "big leaf",
            "cactus": "cactus",
            "ball": "round cactus",
            "succulent": "succulent",
            "bush": "bush",
            "tall": "tall leafy plant",
            "flower": "flower",
            "tulip": "tulip",
            "palm": "palm tree",
            "grass": "grass",
            "buds": "flower buds",
        },
        "pot": {
            "taper": "flower pot",
            "tub": "flower pot",
            "cylinder": "square pot",
            "bowl": "bowl-shaped pot",
            "round": "round pot",
            "bag": "barrel-shaped pot",
            "rim": "pot with a rim",
        },
        "cheeks": {"blush": "blushing cheeks", "blushBig": "blushing cheeks", "freckles": "freckles"},
        "eyes": {
            "dots": UNNAMED,
            "close": UNNAMED,
            "round": "round eyes",
            "bigPupils": "big eyes",
            "sideeye": "sideways glance",
            "happy": "happy eyes",
            "closedLine": "closed eyes",
            "wink": "winking eye",
            "sleepy": "sleepy eyes",
            "wide": "wide eyes",
            "angry": "angry eyes",
        },
        "mouth": {
            "smile": "smile",
            "tinySmile": "small smile",
            "grin": "big smile",
            "ooh": "surprised mouth",
            "open": "open mouth",
            "line": "serious mouth",
            "catMouth": "cat mouth",
            "tongue": "tongue out",
            "frown": "sad mouth",
            "wavy": "worried mouth",
            "tooth": "one tooth",
        },
    },
    "planets": {
        "surface": {
            "banded": "stripes",
            "belted": "stripes",
            "cratered": "craters",
            "swirl": "swirls",
            "spotted": "storm spot",
            "marbled": "large patches",
            "cracked": "cracks",
            "terra": "continents",
            "speckled": "speckles",
        },
        "ring": {"thin": "thin ring", "double": "double ring", "bold": "wide ring"},
        "moons": {"one": "moon", "two": "two moons", "tiny": "small moon"},
        "star": _STARS,
        "planet": {"disc": UNNAMED},
        "shade": {"soft": UNNAMED, "hard": UNNAMED},
    },
    "landscape": {
        "orb": {"sun": UNNAMED, "glow": "halo"},
    },
}

# Never drawn. A whole component is written as `name`, one variant as `name:variant`.
EXCLUDED: Final[Mapping[str, frozenset[str]]] = {
    "sprouts": frozenset({"pattern", "animation"}),  # a pattern is faint and runs through the mouth
    "planets": frozenset({"surface:cap", "star:faint", "animation"}),  # too faint for a word
    "landscape": frozenset({"orb:ring", "animation"}),
}

GREENS: Final[Words] = {"#48ab52": "green", "#1f7038": "dark green", "#a0d93a": "lime green", "#23a596": "teal"}
RARE_LEAVES: Final[Words] = {"#8144bb": "purple", "#3f7fe0": "blue", "#d93a3a": "red", "#f7d23b": "yellow"}
BLOOMS: Final[Words] = {
    "#f28cb5": "pink",
    "#e03a3a": "red",
    "#f7d23b": "yellow",
    "#f28c28": "orange",
    "#9a5bd0": "purple",
    "#4f86e8": "blue",
    "#ffffff": "white",
}
# The face is dark, so no pot is.
POTS: Final[Words] = {
    "#f2f2ef": "white",
    "#a3a8af": "grey",
    "#d9714a": "terracotta",
    "#e04848": "red",
    "#f2933a": "orange",
    "#f7d23b": "yellow",
    "#5fbf68": "green",
    "#35b0a5": "teal",
    "#a8dafa": "light blue",
    "#5a94ea": "blue",
    "#a06bd6": "purple",
    "#f7a8c8": "pink",
}
PLANETS: Final[Words] = {
    "#d8433f": "red",
    "#ea8236": "orange",
    "#f0cb45": "yellow",
    "#57b05a": "green",
    "#1fa295": "teal",
    "#9bd5f5": "light blue",
    "#3f7fe0": "blue",
    "#8f55cc": "purple",
    "#f08db8": "pink",
    "#94613f": "brown",
    "#8d929b": "grey",
    "#efefee": "white",
}
MOONS: Final = ("#d3d7e2", "#bed9e7", "#e5d6b6", "#eaccc7")

# Backgrounds of planets, all dark enough for the white of rings and stars.
SPACE: Final = frozenset({"black", "navy blue"})
DARK: Final = SPACE | {"blue", "purple", "teal", "green", "red", "brown", "grey"}

# time of day -> the sky's colour -> its top and its horizon
SKIES: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "daytime": {
        "light blue": ("#a5d8f8", "#e4f4fd"),
        "blue": ("#2f80e0", "#8cc4f5"),
        "turquoise": ("#3cc4c4", "#c2f0ea"),
        "grey": ("#8f969f", "#ccd1d6"),
    },
    "sunrise": {
        "light yellow": ("#fbe58f", "#fff7d6"),
        "peach": ("#fbbf98", "#ffe9d6"),
        "lavender": ("#b9a5ea", "#efe6fb"),
    },
    "sunset": {
        "orange": ("#ee6f22", "#fbb55a"),
        "red": ("#b8282c", "#ee6a4a"),
        "pink": ("#e8558f", "#fbb0c4"),
        "purple": ("#5f2f9c", "#c278c8"),
        "purple and orange": ("#6a3aa8", "#fb9a4a"),
        "pink and yellow": ("#ea5f96", "#fbdc6a"),
    },
    "night": {
        "navy blue": ("#0d1a48", "#263a7a"),
        "black": ("#08080c", "#1c1d26"),
        "dark purple": ("#210f45", "#47297a"),
    },
}
SUNS: Final[Words] = {"#fbd62f": "yellow", "#fa8a1e": "orange", "#e23228": "red", "#fffdf2": "white"}
FULL_MOONS: Final[Words] = {"#f4f4f0": "white", "#fbe68a": "light yellow", "#f59a3c": "orange"}

# colour -> the four layers of land or water from far to near
LAYERS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "green": ("#a9d8a0", "#74bf72", "#3f9a4b", "#24702f"),
    "olive green": ("#c9cf8f", "#a5ae5c", "#7d8838", "#565f20"),
    "yellow": ("#fbe79a", "#f7d65a", "#eebf28", "#d69f10"),
    "orange": ("#fbc48f", "#f5a052", "#e67d24", "#bd5c10"),
    "red": ("#ee9a90", "#de6258", "#c2382f", "#8f1f1c"),
    "brown": ("#cbab8d", "#a97f5a", "#835a38", "#5c3b22"),
    "beige": ("#f7ead0", "#ecd7ad", "#dcc08a", "#c5a468"),
    "pink": ("#fbcfdf", "#f5a8c4", "#ea7da6", "#d05284"),
    "purple": ("#cbb0e6", "#a67cd2", "#7f4cb5", "#582c8a"),
    "blue": ("#a5c8f5", "#6ea2ea", "#3c78d4", "#2053a3"),
    "teal": ("#98d8d0", "#58b8ae", "#24948a", "#0f6a64"),
    "grey": ("#c0c5cb", "#9aa0a8", "#737a83", "#4d535c"),
    "white": ("#b9c9dd", "#d3deea", "#e9eff5", "#ffffff"),
}
NIGHT: Final = "#0a1230"  # what the dark mixes into land and water; snow stays white

WATERS: Final = ("blue", "teal")

# terrain -> its shapes and its colours
TERRAINS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "rolling hills": (
        ("dunes", "gentle", "mesa", "rolling", "slope"),
        ("green", "olive green", "brown", "red", "pink", "purple"),
    ),
    "mountains": (
        ("peak", "ridge", "rugged"),
        ("green", "olive green", "brown", "grey", "red", "purple", "blue", "teal", "pink"),
    ),
    "snowy mountains": (("peak", "ridge", "rugged"), ("white",)),
    "desert dunes": (("dunes", "rolling", "gentle"), ("beige", "yellow", "orange")),
    "sea": (("gentle", "slope"), WATERS),
}
LAKES: Final = frozenset({"rolling hills", "mountains", "snowy mountains"})  # where there may be one in front

# Combinations which no training picture shows: style -> ((attribute, words), (attribute, words))
HELD_OUT: Final[Mapping[str, tuple[frozenset[tuple[str, str]], ...]]] = {
    "sprouts": (
        frozenset({("plant", "cactus"), ("pot_color", "yellow")}),
        frozenset({("plant", "tulip"), ("plant_color", "blue")}),
        frozenset({("plant", "palm tree"), ("eyes", "angry eyes")}),
    ),
    "planets": (
        *(frozenset({("planet_color", "purple"), ("ring", ring)}) for ring in VARIANTS["planets"]["ring"].values()),
        frozenset({("planet_color", "green"), ("surface", "craters")}),
    ),
    "landscape": (
        frozenset({("time_of_day", "sunset"), ("terrain_color", "green")}),
        frozenset({("terrain", "sea"), ("sky_color", "pink")}),
        frozenset({("terrain", "desert dunes"), ("time_of_day", "night")}),
    ),
}

CHINESE: Final[Mapping[str, tuple[str, ...]]] = {
    # kinds
    "plant": ("植物", "盆栽"),
    "planet": ("星球", "行星"),
    "landscape": ("风景", "风景画", "景色"),
    # colours
    "white": ("白色",),
    "light grey": ("浅灰色",),
    "grey": ("灰色",),
    "black": ("黑色",),
    "light blue": ("浅蓝色", "淡蓝色"),
    "blue": ("蓝色",),
    "navy blue": ("深蓝色", "藏青色"),
    "turquoise": ("青绿色", "绿松石色"),
    "teal": ("蓝绿色", "青色"),
    "mint green": ("薄荷绿",),
    "green": ("绿色",),
    "dark green": ("深绿色", "墨绿色"),
    "lime green": ("黄绿色", "嫩绿色"),
    "olive green": ("橄榄绿",),
    "light yellow": ("浅黄色", "淡黄色"),
    "yellow": ("黄色",),
    "orange": ("橙色", "橘色"),
    "peach": ("桃色", "蜜桃色"),
    "pink": ("粉色", "粉红色"),
    "red": ("红色",),
    "terracotta": ("陶土色", "赤陶色"),
    "purple": ("紫色",),
    "dark purple": ("深紫色", "暗紫色"),
    "lavender": ("淡紫色", "薰衣草紫"),
    "brown": ("棕色", "褐色"),
    "beige": ("米色", "沙色"),
    "purple and orange": ("紫橙渐变", "紫色和橙色"),
    "pink and yellow": ("粉黄渐变", "粉色和黄色"),
    # plants
    "sprout": ("嫩芽", "小苗"),
    "big leaf": ("大叶子", "大叶植物"),
    "cactus": ("仙人掌",),
    "round cactus": ("仙人球", "圆仙人掌"),
    "succulent": ("多肉植物", "芦荟"),
    "bush": ("灌木", "小树丛"),
    "berries": ("浆果", "果子"),
    "tall leafy plant": ("高高的绿植", "长茎植物"),
    "flower": ("花", "花朵"),
    "tulip": ("郁金香",),
    "palm tree": ("棕榈树", "椰子树"),
    "grass": ("小草", "草"),
    "flower buds": ("花苞", "花骨朵"),
    "flower pot": ("花盆",),
    "square pot": ("方花盆", "方形花盆"),
    "bowl-shaped pot": ("碗形花盆",),
    "round pot": ("圆花盆", "圆形花盆"),
    "barrel-shaped pot": ("桶形花盆",),
    "pot with a rim": ("宽边花盆", "带边花盆"),
    "blushing cheeks": ("红脸蛋", "腮红"),
    "freckles": ("雀斑",),
    "round eyes": ("圆眼睛",),
    "big eyes": ("大眼睛",),
    "sideways glance": ("斜眼", "斜着看"),
    "happy eyes": ("笑眼", "开心的眼睛"),
    "closed eyes": ("闭着眼睛", "闭眼"),
    "winking eye": ("眨眼", "眨一只眼"),
    "sleepy eyes": ("困倦的眼睛", "睡眼"),
    "wide eyes": ("瞪大的眼睛", "睁大的眼睛"),
    "angry eyes": ("生气的眼睛", "愤怒的眼睛"),
    "smile": ("微笑", "笑容"),
    "small smile": ("浅笑", "淡淡的微笑"),
    "big smile": ("大笑", "咧嘴笑"),
    "surprised mouth": ("惊讶的嘴",),
    "open mouth": ("张开的嘴", "张着嘴"),
    "serious mouth": ("严肃的嘴", "抿着嘴"),
    "cat mouth": ("猫嘴",),
    "tongue out": ("吐舌头",),
    "sad mouth": ("难过的嘴", "撇嘴"),
    "worried mouth": ("担心的嘴", "不安的嘴"),
    "one tooth": ("一颗牙", "露出一颗牙"),
    # planets
    "stripes": ("条纹",),
    "craters": ("陨石坑", "环形山"),
    "swirls": ("漩涡纹", "旋涡"),
    "storm spot": ("风暴斑", "大斑"),
    "large patches": ("大块斑纹", "大理石纹"),
    "cracks": ("裂纹", "裂缝"),
    "continents": ("大陆", "陆地"),
    "speckles": ("斑点", "小斑点"),
    "thin ring": ("细光环", "细环"),
    "double ring": ("双光环", "双环"),
    "wide ring": ("宽光环", "宽环"),
    "moon": ("月亮", "卫星"),
    "two moons": ("两个月亮", "两颗卫星"),
    "small moon": ("小月亮", "小卫星"),
    "tiny stars": ("小星星", "细小的星星"),
    "stars": ("星星", "星空"),
    "sparkling stars": ("闪烁的星星", "闪闪的星星"),
    # landscapes
    "daytime": ("白天",),
    "sunrise": ("日出", "清晨"),
    "sunset": ("日落", "夕阳", "黄昏"),
    "night": ("夜晚", "夜景"),
    "sun": ("太阳",),
    "sun with a halo": ("带光晕的太阳", "光晕太阳"),
    "full moon": ("圆月", "满月"),
    "full moon with a halo": ("带光晕的圆月", "月晕"),
    "rolling hills": ("丘陵", "起伏的山丘"),
    "mountains": ("群山", "山脉"),
    "snowy mountains": ("雪山",),
    "desert dunes": ("沙漠", "沙丘"),
    "sea": ("大海", "海面"),
    "lake": ("湖", "湖水"),
}
