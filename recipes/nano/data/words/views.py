"""Words and colours of the views, and nothing but tables: what a place may hold, what it is called in both languages.

Every value of every attribute is a word here, and a colour's word has one hex value for each kind of thing, so that a
picture follows from its attributes and a seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .common import Words

LOOKS: Final[Words] = {
    "flat": "flat illustration",
    "papercut": "paper cut illustration",
    "poster": "gradient poster",
    "painterly": "soft painting",
}
KIND: Final = "scene"

# time of day -> the sky's colour -> top, middle, horizon
SKIES: Final[Mapping[str, Mapping[str, tuple[str, str, str]]]] = {
    "daytime": {
        "light blue": ("#6fbdf0", "#a9dbf7", "#e6f5fa"),
        "blue": ("#1f6fd0", "#5ba6ea", "#c4e4f7"),
        "turquoise": ("#1fa8b8", "#6fd0cf", "#d9f3e8"),
    },
    "sunrise": {
        "peach": ("#f0a07c", "#fac8a0", "#fff0d2"),
        "light yellow": ("#f5cf6a", "#fae39b", "#fffadf"),
        "lavender": ("#8f86cf", "#c9b6e6", "#fde2d6"),
        "pink and blue": ("#6fa0dc", "#c8b7e0", "#fdc9c4"),
    },
    "sunset": {
        "orange": ("#cf4a1e", "#f2802e", "#ffc866"),
        "red": ("#8a1a36", "#d43c3c", "#fb9358"),
        "pink": ("#a8367e", "#ec6a94", "#fdbf9f"),
        "purple": ("#432479", "#8e469f", "#ee94ae"),
        "purple and orange": ("#4a2a86", "#b9506c", "#ffae58"),
    },
    "dusk": {
        "dark blue": ("#182c66", "#39599c", "#93b4d8"),
        "blue and pink": ("#26407f", "#7b70b4", "#f2aabc"),
    },
    "night": {
        "navy blue": ("#0a1440", "#182b68", "#3a5698"),
        "black": ("#05060b", "#0f1120", "#262b40"),
        "dark purple": ("#170b3a", "#35206c", "#6a4a9c"),
    },
}
GREY_SKIES: Final[Mapping[str, tuple[str, str, str]]] = {
    "grey": ("#7d8a99", "#9dabb8", "#c9d2d9"),
    "dark grey": ("#262b38", "#434c5c", "#7a8593"),
    "white": ("#cdd9e4", "#dde6ee", "#f3f6f8"),
}
WEATHER_SKIES: Final[Words] = {"rain": "grey", "thunderstorm": "dark grey", "fog": "white"}
"""Weather that has a sky of its own by day."""

# the light's colour on land, what the dark mixes into it and how much, how far haze reaches, the colour of halos
LIGHTS: Final[Mapping[str, tuple[str, str, float, float, str]]] = {
    "daytime": ("#fffdf6", "#3a5a86", 0.04, 0.72, "#fff6d8"),
    "sunrise": ("#ffe3cc", "#8a6a9a", 0.16, 0.74, "#fff0c8"),
    "sunset": ("#f8bc9c", "#4c1c50", 0.4, 0.7, "#ffe0a0"),
    "dusk": ("#9c9cd0", "#1f2a60", 0.5, 0.72, "#ffe0c0"),
    "night": ("#5666a8", "#0a1236", 0.62, 0.6, "#e8eeff"),
}

SUN_COLORS: Final[Words] = {"yellow": "#ffd83a", "orange": "#ff9626", "red": "#f04a2c", "white": "#fffbea"}
SUNS: Final[Mapping[str, tuple[str, ...]]] = {
    "daytime": ("sun", "sun high in the sky"),
    "sunrise": ("low sun", "sun on the horizon"),
    "sunset": ("sun", "low sun", "sun on the horizon"),
}
SUN_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "daytime": ("yellow", "white"),
    "sunrise": ("yellow", "white", "orange"),
    "sunset": ("yellow", "orange", "red", "white"),
}
MOON_COLORS: Final[Words] = {"white": "#f6f5ee", "light yellow": "#fdeaa0", "orange": "#f7a650"}

AURORAS: Final[Mapping[str, tuple[str, str]]] = {
    "green": ("#3df0a0", "#2fb8c8"),
    "purple": ("#b45cf0", "#5c7cf0"),
    "pink": ("#f06ac0", "#8a5cf0"),
}
"""The colour at the hem of the curtains, and farther up."""

WATERS: Final[Words] = {"blue": "#2470cf", "turquoise": "#22b5bd", "teal": "#17847f", "dark blue": "#173f86"}
"""Of water by day; at other hours it has the sky's colours and goes unsaid."""

PAINTS: Final[Words] = {
    "red": "#dc352c",
    "orange": "#f5872a",
    "yellow": "#fbcb2e",
    "green": "#3f9f4c",
    "blue": "#2c6cd6",
    "purple": "#8247c2",
    "pink": "#f583b2",
    "white": "#f8f5ec",
    "brown": "#8a5530",
    "grey": "#7d8794",
    "turquoise": "#26b4b0",
    "black": "#2b2c36",
}
_VIVID: Final = ("red", "orange", "yellow", "green", "blue", "purple", "pink")

# thing -> the colours it may have
COLORS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "sailboat": ("red", "orange", "yellow", "blue", "green", "purple", "pink", "white"),
    "rowing boat": ("red", "yellow", "blue", "green", "white", "brown"),
    "ship": ("red", "blue", "green", "black", "orange"),
    "lighthouse": ("red", "blue", "black", "green"),
    "beach umbrella": _VIVID,
    "house": ("red", "orange", "blue", "brown", "green", "purple"),
    "houses": ("red", "orange", "blue", "brown"),
    "cabin": ("red", "brown", "green", "blue"),
    "windmill": ("red", "brown", "blue", "orange"),
    "castle": ("red", "blue", "purple", "green"),
    "tent": ("red", "orange", "yellow", "green", "blue", "purple"),
    "bench": ("brown", "red", "green", "white"),
    "hot air balloon": _VIVID,
    "airplane": ("red", "blue", "orange", "green"),
    "rocket": ("red", "orange", "blue", "purple", "green"),
    "ufo": ("grey", "green", "purple", "red"),
    "whale": ("blue", "grey", "black"),
    "dolphin": ("grey", "blue"),
    "fish": ("orange", "yellow", "red", "blue", "purple", "pink", "green"),
    "jellyfish": ("pink", "purple", "blue", "orange", "white"),
    "sea turtle": ("green", "brown"),
    "butterfly": ("orange", "yellow", "blue", "purple", "pink", "white", "red"),
    "mushrooms": ("red", "brown", "orange"),
    "bridge": ("red", "brown", "grey", "white"),
    "flowers": ("red", "pink", "yellow", "purple", "white", "orange", "blue"),
    "tulips": ("red", "pink", "yellow", "purple", "white", "orange"),
    "corals": ("pink", "orange", "red", "purple", "yellow"),
    "planet": ("red", "orange", "yellow", "green", "blue", "purple", "pink", "turquoise", "grey"),
    "ringed planet": ("orange", "yellow", "blue", "purple", "pink", "turquoise", "brown"),
}

RELIEFS: Final[Mapping[str, Mapping[str, str]]] = {
    "mountains": {"blue": "#4f74b8", "purple": "#7a5cae", "green": "#4f8f62", "grey": "#77818f", "brown": "#8d6a4f"},
    "snowy mountains": {"blue": "#5b7db5", "grey": "#7d8896", "purple": "#7d6cb0"},
    "hills": {"green": "#6fb055", "yellow": "#e0bb4a", "purple": "#9a7cc8"},
    "dunes": {"beige": "#e6c690", "orange": "#e8964a", "yellow": "#f2c84e", "red": "#cf5f3c"},
}
"""Land whose colour is said, by day and at sunrise."""

LEAVES: Final[Mapping[str, tuple[str, ...]]] = {
    "spring": ("#8fca4f", "#a8d65c", "#6fb84e"),
    "summer": ("#4f9f48", "#3f8c45", "#66ad4c"),
    "autumn": ("#e07a2c", "#d6472c", "#f0b13a"),
    "winter": ("#8aa0a8", "#9aaeb5", "#7f959e"),
}
GRASS: Final[Words] = {"spring": "#8cc95a", "summer": "#6cb04c", "autumn": "#cfa94e", "winter": "#edf4fa"}
PINES: Final = ("#2f7a52", "#276a4c", "#3a8a58")
SAND: Final = "#f3d9a4"


@dataclass(frozen=True)
class Place:
    """What a place may hold.

    Attributes:
        water: what its water is called, if its colour may be said.
        times, weathers: those it is seen in; the first weather is the usual one and goes unsaid.
        seasons: whether its plants show them.
        aurora: the share of its nights that have one.
        relief: attribute values, of which one is drawn and said.
        slots: attribute -> (share of the pictures, things of which one is drawn).
    """

    water: str = ""
    times: tuple[str, ...] = ("daytime", "daytime", "sunrise", "sunset", "sunset", "dusk", "night")
    weathers: tuple[str, ...] = ("cloudy", "rain", "thunderstorm", "fog", "rainbow")
    seasons: bool = False
    aurora: float = 0.0
    relief: tuple[str, ...] = ()
    slots: Mapping[str, tuple[float, tuple[str, ...]]] = field(default_factory=dict)


_COLD: Final = ("cloudy", "rain", "fog", "rainbow", "snowfall")

PLACES: Final[Mapping[str, Place]] = {
    "sea": Place(
        water="water",
        slots={
            "vehicle": (0.65, ("sailboat", "sailboat", "ship", "rowing boat")),
            "land": (0.35, ("island", "islands")),
            "building": (0.2, ("lighthouse",)),
            "animal": (0.2, ("whale", "dolphin")),
            "birds": (0.35, ("birds",)),
        },
    ),
    "beach": Place(
        water="sea",
        slots={
            "plants": (0.55, ("palm trees", "palm tree")),
            "prop": (0.45, ("beach umbrella",)),
            "vehicle": (0.4, ("sailboat", "sailboat", "rowing boat")),
            "land": (0.25, ("island", "islands")),
            "birds": (0.3, ("birds",)),
        },
    ),
    "tropical island": Place(
        water="sea",
        slots={
            "plants": (1.0, ("palm trees",)),
            "building": (0.35, ("hut",)),
            "vehicle": (0.4, ("sailboat", "rowing boat")),
            "birds": (0.3, ("birds",)),
        },
    ),
    "mountain landscape": Place(
        aurora=0.35,
        weathers=_COLD,
        relief=("mountains", "snowy mountains"),
        slots={
            "plants": (0.65, ("pine trees",)),
            "prop": (0.25, ("tent", "campfire")),
            "vehicle": (0.2, ("hot air balloon",)),
            "animal": (0.2, ("deer",)),
            "birds": (0.25, ("birds",)),
        },
    ),
    "lake": Place(
        aurora=0.35,
        water="water",
        weathers=_COLD,
        relief=("mountains", "snowy mountains", "hills"),
        slots={
            "plants": (0.65, ("pine trees",)),
            "vehicle": (0.35, ("rowing boat", "sailboat")),
            "building": (0.3, ("cabin",)),
            "animal": (0.2, ("swan",)),
            "birds": (0.2, ("birds",)),
        },
    ),
    "forest": Place(
        weathers=("cloudy", "rain", "fog", "snowfall"),
        seasons=True,
        slots={
            "plants": (1.0, ("pine trees", "leafy trees")),
            "prop": (0.35, ("tent", "campfire", "mushrooms")),
            "animal": (0.3, ("deer",)),
            "path": (0.35, ("path",)),
        },
    ),
    "river": Place(
        water="water",
        seasons=True,
        relief=("hills", "mountains", "snowy mountains"),
        slots={
            "plants": (0.75, ("leafy trees", "pine trees")),
            "prop": (0.35, ("bridge",)),
            "vehicle": (0.25, ("rowing boat",)),
            "animal": (0.2, ("swan", "deer")),
        },
    ),
    "meadow": Place(
        seasons=True,
        slots={
            "flowers": (0.75, ("flowers",)),
            "plants": (0.55, ("leafy tree", "leafy trees")),
            "animal": (0.5, ("sheep", "cow", "butterfly")),
            "vehicle": (0.2, ("hot air balloon",)),
            "birds": (0.2, ("birds",)),
        },
    ),
    "rolling hills": Place(
        seasons=True,
        slots={
            "building": (0.6, ("windmill", "house", "castle")),
            "plants": (0.7, ("leafy trees", "leafy tree")),
            "animal": (0.25, ("sheep", "cow")),
            "path": (0.4, ("path",)),
            "vehicle": (0.2, ("hot air balloon",)),
        },
    ),
    "desert": Place(
        weathers=("cloudy",),
        relief=("dunes",),
        slots={
            "plants": (0.65, ("cacti",)),
            "animal": (0.45, ("camel",)),
            "building": (0.25, ("pyramids",)),
            "prop": (0.2, ("tent", "campfire")),
        },
    ),
    "snowy landscape": Place(
        aurora=0.35,
        weathers=("cloudy", "snowfall", "snowfall", "fog"),
        slots={
            "plants": (0.75, ("pine trees",)),
            "building": (0.45, ("cabin", "igloo")),
            "prop": (0.35, ("snowman",)),
            "animal": (0.25, ("penguin", "deer")),
        },
    ),
    "village": Place(
        seasons=True,
        weathers=("cloudy", "rain", "fog", "rainbow", "snowfall"),
        slots={
            "building": (1.0, ("houses",)),
            "plants": (0.7, ("leafy trees",)),
            "path": (0.4, ("path",)),
            "birds": (0.2, ("birds",)),
        },
    ),
    "city skyline": Place(
        weathers=("cloudy", "rain", "thunderstorm", "fog"),
        slots={
            "vehicle": (0.25, ("airplane", "hot air balloon")),
            "river": (0.45, ("river",)),
        },
    ),
    "harbour": Place(
        water="water",
        slots={
            "vehicle": (1.0, ("sailboat", "ship", "rowing boat")),
            "building": (0.5, ("lighthouse",)),
            "birds": (0.3, ("birds",)),
        },
    ),
    "garden": Place(
        seasons=True,
        weathers=("cloudy", "rain", "rainbow"),
        slots={
            "flowers": (1.0, ("flowers", "tulips")),
            "plants": (0.6, ("cherry trees", "leafy trees")),
            "prop": (0.35, ("bench",)),
            "building": (0.35, ("house",)),
            "animal": (0.3, ("butterfly",)),
        },
    ),
    "underwater world": Place(
        water="water",
        times=(),
        weathers=(),
        slots={
            "animal": (1.0, ("fish", "fish", "jellyfish", "sea turtle", "whale")),
            "plants": (0.85, ("corals", "seaweed")),
        },
    ),
    "sky": Place(
        weathers=("rainbow",),
        slots={
            "vehicle": (0.6, ("hot air balloon", "hot air balloon", "airplane")),
            "birds": (0.35, ("birds",)),
        },
    ),
    "outer space": Place(
        times=(),
        weathers=(),
        slots={
            "planet": (0.85, ("planet", "ringed planet")),
            "vehicle": (0.5, ("rocket", "ufo")),
        },
    ),
}

STAGES: Final = (
    "beach", "desert", "garden", "meadow", "mountain landscape", "rolling hills", "snowy landscape", "city skyline",
)  # fmt: skip
"""Places with open ground in front, where an object may stand."""
FRONT: Final = ("prop", "animal", "vehicle", "river")
"""What an object takes the place of."""

HELD_OUT: Final[Mapping[str, tuple[frozenset[tuple[str, str]], ...]]] = {
    look: (
        frozenset({("vehicle", "sailboat"), ("vehicle_color", "purple")}),
        frozenset({("place", "beach"), ("sky_color", "lavender")}),
        frozenset({("place", "desert"), ("time_of_day", "dusk")}),
        frozenset({("flowers", "flowers"), ("flowers_color", "blue")}),
        frozenset({("place", "village"), ("sky_color", "pink")}),
        frozenset({("planet", "planet"), ("planet_color", "pink")}),
    )
    for look in LOOKS
}
"""Combinations that no training picture shows."""

CHINESE: Final[Mapping[str, tuple[str, ...]]] = {
    "scene": ("场景", "景色"),
    # looks
    "flat illustration": ("扁平插画", "扁平风插画"),
    "paper cut illustration": ("剪纸插画", "剪纸风插画"),
    "gradient poster": ("渐变海报", "渐变风海报"),
    "soft painting": ("柔和的绘画", "柔和手绘"),
    # places
    "sea": ("大海", "海面", "海洋"),
    "beach": ("海滩", "海边", "沙滩"),
    "tropical island": ("热带小岛", "热带岛屿"),
    "mountain landscape": ("山景", "山水风景"),
    "lake": ("湖", "湖水", "湖泊", "湖边"),
    "forest": ("森林", "树林"),
    "river": ("河流", "小河"),
    "meadow": ("草地", "草原"),
    "rolling hills": ("丘陵", "起伏的山丘"),
    "desert": ("沙漠", "大漠"),
    "snowy landscape": ("雪景", "雪地"),
    "village": ("村庄", "乡村", "小村子"),
    "city skyline": ("城市天际线", "城市"),
    "harbour": ("港口", "海港", "码头"),
    "garden": ("花园", "庭院"),
    "underwater world": ("海底世界", "水下世界"),
    "sky": ("天空",),
    "outer space": ("太空", "宇宙", "外太空"),
    # times, seasons, weather
    "dusk": ("暮色", "傍晚"),
    "spring": ("春天", "春季"),
    "summer": ("夏天", "夏季"),
    "autumn": ("秋天", "秋季"),
    "winter": ("冬天", "冬季"),
    "cloudy": ("多云", "阴云"),
    "rain": ("下雨", "雨天"),
    "thunderstorm": ("雷雨", "雷暴", "暴风雨"),
    "fog": ("有雾", "大雾"),
    "rainbow": ("彩虹",),
    "aurora": ("极光",),
    "snowfall": ("下雪", "飘雪"),
    # sky
    "sun": ("太阳",),
    "sun high in the sky": ("高挂的太阳",),
    "low sun": ("低垂的太阳", "低低的太阳"),
    "sun on the horizon": ("地平线上的太阳", "天边的太阳"),
    "full moon": ("圆月", "满月"),
    "crescent moon": ("弯月", "月牙"),
    "stars": ("星星",),
    "starry sky": ("星空", "满天繁星"),
    "shooting star": ("流星",),
    "clouds": ("云", "白云", "云朵"),
    "many clouds": ("很多云", "层层云朵"),
    "streaky clouds": ("丝状的云", "条状云"),
    "dark clouds": ("乌云", "黑云"),
    "birds": ("飞鸟", "海鸥", "鸟群"),
    # colours that other tables lack
    "white": ("白色",),
    "dark grey": ("深灰色",),
    "dark blue": ("深蓝色",),
    "pink and blue": ("粉蓝渐变", "粉色和蓝色"),
    "blue and pink": ("蓝粉渐变", "蓝色和粉色"),
    # land and water
    "water": ("水面", "水"),
    "island": ("小岛", "岛"),
    "islands": ("群岛", "几座小岛"),
    "mountains": ("群山", "山脉"),
    "snowy mountains": ("雪山",),
    "hills": ("山丘", "小山"),
    "dunes": ("沙丘",),
    "path": ("小路", "小径"),
    # plants
    "palm tree": ("棕榈树", "椰子树"),
    "palm trees": ("几棵棕榈树", "椰子树", "棕榈树"),
    "pine trees": ("松树", "松林"),
    "leafy tree": ("大树", "一棵树"),
    "leafy trees": ("树木", "阔叶树"),
    "cherry trees": ("樱花树", "樱桃树"),
    "cacti": ("仙人掌",),
    "corals": ("珊瑚",),
    "seaweed": ("海草", "水草"),
    "flowers": ("花", "花朵", "野花"),
    "tulips": ("郁金香",),
    "mushrooms": ("蘑菇",),
    # what people made
    "sailboat": ("帆船",),
    "rowing boat": ("小船", "划艇"),
    "ship": ("轮船", "大船"),
    "lighthouse": ("灯塔",),
    "beach umbrella": ("遮阳伞", "沙滩伞"),
    "house": ("房子", "小屋"),
    "houses": ("房子", "屋舍"),
    "cabin": ("木屋", "小木屋"),
    "hut": ("茅屋", "草屋"),
    "windmill": ("风车",),
    "castle": ("城堡",),
    "igloo": ("冰屋", "雪屋"),
    "pyramids": ("金字塔",),
    "tent": ("帐篷",),
    "campfire": ("篝火", "营火"),
    "snowman": ("雪人",),
    "bench": ("长椅", "长凳"),
    "hot air balloon": ("热气球",),
    "airplane": ("飞机",),
    "rocket": ("火箭",),
    "ufo": ("飞碟",),
    "bridge": ("桥", "小桥"),
    # animals
    "sheep": ("羊", "绵羊"),
    "cow": ("奶牛", "牛"),
    "deer": ("鹿", "小鹿"),
    "camel": ("骆驼",),
    "penguin": ("企鹅",),
    "swan": ("天鹅",),
    "whale": ("鲸", "鲸鱼"),
    "dolphin": ("海豚",),
    "fish": ("鱼", "小鱼"),
    "jellyfish": ("水母",),
    "sea turtle": ("海龟",),
    "butterfly": ("蝴蝶",),
    # space
    "planet": ("行星", "星球"),
    "ringed planet": ("带光环的行星", "有环的行星"),
}
